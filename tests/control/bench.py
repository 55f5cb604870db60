"""One or several processes' worth of control over one database, the simulated Twilio, and its callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from bot.actors import By
from bot.audit.journal import Journal
from bot.call import Call, is_safe
from bot.control import CallControl
from bot.messages import Policy
from bot.results import Outcome
from bot.settings import Settings
from bot.simulator.client import SimulatorClient
from bot.storage import entries, users
from bot.storage.engine import Database
from bot.storage.entries import Filter
from bot.telephony import webhooks
from bot.telephony.twilio_gateway import TwilioGateway
from bot.worker import Worker

CRM = By(actor="crm", source="api", origin="127.0.0.1")
ALICE = By(actor="alice", source="agent", origin="127.0.0.1")
BOB = By(actor="bob", source="agent", origin="127.0.0.1")
HOLDER = "api:crm"
SECRET = b"a secret of the tests"
WARNING = timedelta(seconds=0.5)
READERS = {
    "call-status": (webhooks.CALL_FIELDS, webhooks.call_report),
    "recording-status": (webhooks.RECORDING_FIELDS, webhooks.recording_report),
    "conference-status": (webhooks.CONFERENCE_FIELDS, webhooks.conference_report),
}
T = TypeVar("T")


@dataclass
class Node:
    """What one process of the bot has of its own."""

    name: str
    database: Database
    journal: Journal
    control: CallControl
    worker: Worker

    def close(self) -> None:
        self.worker.close()
        self.control.close()
        self.database.close()


@dataclass
class Bench:
    """The database's URL and the simulator behind `settings`; `node()` starts another process on them."""

    settings: Settings
    twilio: SimulatorClient
    nodes: list[Node] = field(default_factory=list)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(100))
    delivered: int = 0

    @property
    def policy(self) -> Policy:
        return Policy(
            claim=timedelta(seconds=self.settings.claim_seconds), late=timedelta(seconds=1.5), warning=WARNING
        )

    def node(self, **policy: Any) -> Node:
        name = f"node-{len(self.nodes) + 1}"
        database = Database(self.settings.database_url)
        journal = Journal(database, name)
        control = CallControl(
            database,
            journal,
            TwilioGateway(self.settings, connections=100),
            replace(self.policy, node=name, **policy),
            self.settings.twilio_account_sid,
            admitted_max=90,
            commanding_max=90,
        )
        node = Node(name, database, journal, control, Worker(database, journal, control))
        self.nodes.append(node)
        return node

    def close(self) -> None:
        self.threads.shutdown(wait=True)
        for node in self.nodes:
            node.close()

    def beside(self, what: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Do it in a thread of its own."""
        return self.threads.submit(what, *args, **kwargs)

    def deliver(self, node: Node, *, backwards: bool = False, only: str = "") -> list[bool]:
        """Hand over the simulator's callbacks that were not handed over yet; whether each was new. With `only`, the
        others are lost.
        """
        waiting = [one for one in self.twilio.callbacks() if one["id"] > self.delivered]
        self.delivered = max((one["id"] for one in waiting), default=self.delivered)
        waiting = [one for one in waiting if one["url"].endswith(only)]
        return [deliver(node, one) for one in (reversed(waiting) if backwards else waiting)]

    def call(self, sid: str) -> Call:
        call = self.nodes[0].control.find(sid)
        assert call is not None
        return call

    def log(self, sid: str) -> list[str]:
        """The types of the call's entries, in order."""
        return [one["type"] for one in self.entries(sid)]

    def entries(self, sid: str | None, type_: str | None = None) -> list[dict[str, Any]]:
        """The fields of the call's entries, in order; of all entries without a call."""
        with self.nodes[0].database.read() as connection:
            found = entries.oldest(connection, Filter(call=sid, type=type_), None, 1000)
        return [dict(one.fields) for one in found]

    def give_contact(self, node: Node, name: str, contact: str) -> None:
        node.journal.write(lambda transaction: users.set_contacts(transaction, name, (contact,)))

    def state(self, recording: str) -> str:
        """What the recording really does, as only the simulator knows."""
        found = [one for one in self.twilio.state()["calls"] for one in one["recordings"] if one["sid"] == recording]
        return str(found[0]["state"])


def deliver(node: Node, callback: dict[str, Any]) -> bool:
    """One callback, the way the web takes it in; whether it was new."""
    endpoint = callback["url"].rsplit("/", 1)[1]
    fields, read = READERS[endpoint]
    form = {name: value for name, value in callback["params"].items() if name in fields}
    return node.control.receive(read(form), webhooks.digest(SECRET, endpoint, fields, form))


def safe(outcome: Outcome) -> bool:
    return outcome.problem is None and is_safe(outcome.call, outcome.now)


def until(what: Callable[[], object], within_seconds: float = 10.0) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + within_seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
