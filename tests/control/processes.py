"""Processes of the bot that die at any command, on a line to Twilio that loses, keeps and delivers late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from bot.audit.journal import Journal
from bot.call import Of, Wish
from bot.control import CallControl
from bot.messages import CallSeen, Kind, Listing, Policy, Reply, Target
from bot.settings import Settings
from bot.storage.engine import Database
from bot.telephony.gateway import RecordingGateway
from bot.telephony.twilio_gateway import TwilioGateway

AT_ONCE = dict.fromkeys(("agent", "api", "ivr", "payment", "system"), 0.0)
"""No waiting within a request: whoever goes on does so in a later step."""

Fate = Literal["sent", "kept", "vanished"]
"""What the line does with a command. One that is kept or vanished is never answered; one that is kept arrives late."""

Death = Literal["never", "before", "after"]
"""Whether the process dies, before its command went out or before it could save what came of it."""


class Crash(BaseException):
    """The process is dead: nothing of ours may catch this."""


@dataclass
class Event:
    """What happens to the next command of any process: others act `first`, or `then`, while its reply is on its way."""

    fate: Fate = "sent"
    death: Death = "never"
    first: Callable[[], object] | None = None
    then: Callable[[], object] | None = None


@dataclass
class Kept:
    """A command that will arrive late."""

    send: Callable[[], Reply]
    text: str
    flight: object


@dataclass
class Line:
    """What all processes share of the way to Twilio. `observe` is told of each command that begins and ends."""

    begin: Callable[[], Any]
    end: Callable[[Any, Reply | None], None]
    events: list[Event] = field(default_factory=list)
    dies_listing: list[bool] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


class Gateway:
    """`RecordingGateway`: the real one to the simulated Twilio, with an accident now and then."""

    def __init__(self, real: RecordingGateway, line: Line) -> None:
        self._real = real
        self._line = line

    @property
    def timeout_seconds(self) -> float:
        return self._real.timeout_seconds

    def command(self, account: str, target: Target, wish: Wish, deadline: float | None = None) -> Reply:  # noqa: ARG002
        return self._met(
            partial(self._real.command, account, target, wish), f"{wish} of {target.of} {target.recording}"
        )

    def start_recording(self, account: str, call: str, deadline: float | None = None) -> Reply:  # noqa: ARG002
        return self._met(partial(self._real.start_recording, account, call), f"a new recording of {call}")

    def _met(self, send: Callable[[], Reply], text: str) -> Reply:
        """The command with what happens to it."""
        event = self._line.events.pop(0) if self._line.events else Event()
        flight = self._line.begin()
        reply: Reply | None = None
        try:
            if event.first is not None:
                event.first()
            if event.death == "before":
                raise Crash
            reply = self._send(event.fate, flight, send, text)
            if event.then is not None:
                event.then()
            if event.death == "after":
                raise Crash
            return reply
        finally:
            self._line.end(flight, reply)

    def _send(self, fate: Fate, flight: object, send: Callable[[], Reply], text: str) -> Reply:
        if fate == "sent":
            return send()
        if fate == "kept":
            self._line.kept.append(Kept(send, text, flight))
        return Reply(kind=Kind.UNANSWERED, why="no reply in time")

    def list_recordings(self, account: str, of: Of, owner: str) -> Listing:
        with suppress(IndexError):
            self._line.dies_listing.pop()
            raise Crash
        return self._real.list_recordings(account, of, owner)

    def fetch_call(self, account: str, sid: str) -> CallSeen:
        return self._real.fetch_call(account, sid)


class Beside(Executor):
    """What a process does beside its requests: it waits until it is told to, or dies with the process."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.waiting.append(partial(fn, *args, **kwargs))
        return Future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - Executor's
        self.waiting.clear()


class Process:
    """Its control is thrown away when it dies, and the next process takes its place."""

    def __init__(self, name: str, settings: Settings, policy: Policy, line: Line) -> None:
        self._account = settings.twilio_account_sid
        self._policy = replace(policy, node=name)
        self._gateway = Gateway(TwilioGateway(settings, connections=20), line)
        self.database = Database(settings.database_url)
        self._journal = Journal(self.database, name)
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self.beside = Beside()
        self.control = CallControl(
            self.database,
            self._journal,
            self._gateway,
            self._policy,
            self._account,
            admitted_max=4,
            commanding_max=4,
            patience_seconds=AT_ONCE,
            background=self.beside,
        )

    @contextmanager
    def living(self) -> Iterator[CallControl]:
        """The control, for as long as the process lives."""
        try:
            yield self.control
        except Crash:
            self.deaths += 1
            self.restart()

    def follow(self, policy: Policy) -> None:
        """Start again, with the operator's other choices."""
        self._policy = replace(policy, node=self._policy.node)
        self.restart()

    def restart(self) -> None:
        self.control.close()
        self._start()

    def close(self) -> None:
        self.control.close()
        self.database.close()
