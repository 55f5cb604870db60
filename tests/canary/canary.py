"""The canary's way through the house, in parts; whatever leaks on the way is noted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path

from tests.canary import readers
from tests.canary.cards import Deck
from tests.canary.doors import SIGNED, Doors, Push, rules_of
from tests.canary.house import ADA, TAKEN_OVER, House, application_of, running_house
from tests.canary.malformed import malformed
from tests.canary.scan import Hit, Scanner
from tests.canary.till import CARD, Till, pay_by_phone
from tests.canary.wire import Answer, Request, Sender, form, json_of, key_holder, send, send_raw, signed_in
from tests.conftest import ALICE, CAROL, SAM
from tests.e2e.processes import until
from tests.support.receiver import CUT, Receiver
from tests.web.bench import KEYS

SENDERS_AT_ONCE = 8
SOON_SECONDS = 30.0
BY_PHONE, BY_AGENT, UNDELIVERED, DISTURBED = (
    "4012888888881881", "5555555555554444", ("378282246310005", "5105105105105100"), "2223000048400011",
)  # fmt: skip
NOT_ACCEPTED = "6011111111111117"
WHILE_KILLED = "4111111111111111"
ENTERED = frozenset({200, 204, 206, 302, 303, 304, 308, 409, 422})
"""A door was open: what a route answers only to those who may go in there."""

Away = Callable[[], AbstractContextManager[None]]


@dataclass
class Canary:
    """`files`: where a database server keeps its own. `blamed`: answers that say that it is our fault."""

    house: House
    database_url: str
    away: Away
    receiver: Receiver
    people: dict[str, Sender]
    keys: dict[str, Sender]
    deck: Deck
    scanner: Scanner
    files: Path | None = None
    calls: list[str] = field(default_factory=list)
    leaks: list[Hit] = field(default_factory=list)
    blamed: list[str] = field(default_factory=list)
    pushed: set[str] = field(default_factory=set)
    entered: set[str] = field(default_factory=set)

    @property
    def alice(self) -> Sender:
        return self.people[ALICE.name]

    def look(self, place: str, data: bytes) -> None:
        self.leaks += self.scanner.find(place, data)

    def new_call(self) -> str:
        """A call of Alice's that is recorded."""
        self.calls.append(self.house.twilio.place_call(agent=ALICE.contact).call)
        return self.calls[-1]

    @contextmanager
    def doors(self) -> Iterator[Doors]:
        with application_of(self.house, self.database_url) as app:
            yield Doors(rules_of(app), self.deck, tuple(self.people.values()), tuple(self.keys.values()), self.new_call)

    # Pushing

    @contextmanager
    def meanwhile(self, what: Callable[[], None]) -> Iterator[None]:
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(what)
            yield
            done.result()

    def push(self, pushes: Iterable[Push], is_away: bool = False) -> None:
        """Many at once; what comes back may not hold what was pushed, and may not blame us."""
        with ThreadPoolExecutor(SENDERS_AT_ONCE) as senders:
            for push, answer in senders.map(self._sent, pushes):
                self._judge(push, answer, is_away)

    def _sent(self, push: Push) -> tuple[Push, Answer]:
        request = push.sender.dressed(push.request, self.house.url)
        return push, send(self.house.url, request)

    def _judge(self, push: Push, answer: Answer, is_away: bool) -> None:
        name = f"{push.request.method} {push.route} as {push.sender.name}"
        self.pushed.add(push.route)
        if answer.status in ENTERED and not answer.headers.get("Location", "").startswith("/login"):
            self.entered.add(push.route)
        if not push.is_echoed:
            self.look(f"the answer {answer.status} to {name}", answer.data)
        is_ours = answer.status >= 500 if push.request.path.startswith(SIGNED) else answer.status == 500
        if is_ours or (answer.status == 503 and not is_away):
            self.blamed.append(f"{answer.status} to {name}")

    def push_what_is_malformed(self) -> None:
        for number, data in enumerate(malformed(self.deck.any)):
            answer = send_raw(self.house.url, data)
            self.look(f"the answer to malformed request {number}", answer)
            if answer.startswith(b"HTTP/1.1 5"):
                self.blamed.append(f"{answer[9:12].decode()} to malformed request {number}")

    def take_over_an_account(self) -> None:
        """Somebody whose password becomes a card."""
        mia = signed_in(self.house.url, TAKEN_OVER, "10.0.0.9")
        fields = {"password": TAKEN_OVER.password, "new_password": f"card {self.deck.typed()}"}
        answer = send(self.house.url, mia.dressed(form("POST", "/password", fields), self.house.url))
        assert answer.status == 303, answer.text
        self.look("the answer to a new password", answer.data)

    # Paying

    def pay_by_phone(self) -> None:
        self.calls.append(pay_by_phone(self.house, BY_PHONE))
        self.receiver.wait(1)

    def pay(self, doors: Doors) -> None:
        """At the page; with a card that is not accepted before the one that is, and with Twilio late; and in vain: the
        result does not reach who wants it, because they answer with an error, or not at all.
        """
        in_vain = [partial(self._undelivered, number) for number in UNDELIVERED]
        self._at_once(self._by_agent, lambda: self._disturbed(doors), *in_vain)

    def _at_once(self, *tills: Callable[[], None]) -> None:
        with ThreadPoolExecutor() as threads:
            for till in [threads.submit(till) for till in tills]:
                till.result()

    def _till(self) -> Till:
        till = Till(self.house, self.alice, self.new_call())
        till.page_says("Recording")
        return till

    def _by_agent(self) -> None:
        till = self._till()
        till.open()
        till.enter(CARD, NOT_ACCEPTED)
        till.page_says("ask again")
        till.take(BY_AGENT)
        till.page_says("The card was saved")
        self.look("the page after a payment", till.page().encode())

    def _disturbed(self, doors: Doors) -> None:
        """Twilio does not answer in time, and what it was told arrives later. It says more of the card than it does."""
        till = self._till()
        for kind in ("delay", "late"):
            self.house.twilio.add_fault(kind, on="pause", seconds=1.5, times=1, call=till.call)
        till.open()
        self.house.twilio.add_fault("late", on="payment-update", seconds=1.5, times=1, call=till.call)
        till.enter(CARD, DISTURBED)
        till.page_says(f"•••• {DISTURBED[-4:]}")
        assert f'"{DISTURBED[-4:]}"' in self.kept_of_calls()
        last = self.house.twilio.callbacks(call=till.call)[-1]
        self.push(doors.callbacks_in_clear(last["url"].removeprefix(self.house.url), last["params"]))
        self.look("the page of a payment", till.page().encode())
        self.house.twilio.hang_up(till.call)

    def _undelivered(self, number: str) -> None:
        till = self._till()
        self.receiver.answers_to[till.call.encode()] = [500, CUT]
        till.open()
        till.take(number)
        till.page_says("did not reach your system")

    def kept_of_calls(self) -> str:
        return json.dumps(readers.call_bodies(self.database_url))

    def look_for_results_too(self) -> None:
        """What was handed on of each payment, and nowhere else."""
        results = [json.loads(got.body)["data"] for got in self.receiver.received]
        secrets = [result[name] for result in results for name in ("token", "confirmation_code") if result[name]]
        assert secrets
        self.scanner = Scanner((*self.deck.words, *secrets))

    # Breaking off

    def kill_in_the_middle(self) -> None:
        """The web processes die while a card is being keyed in, and while requests with cards wait for Twilio."""
        till, waiting = self._till(), [self.new_call(), self.new_call()]
        till.open()
        till.enter(CARD, WHILE_KILLED[:5])
        crm = self.keys["crm"]
        self.house.twilio.settle()
        for sid in waiting:
            self.house.twilio.add_fault("delay", on="pause", seconds=20, call=sid)
        requests = [
            (crm, json_of("POST", f"/api/v1/calls/{waiting[0]}/pause", {"reason": self.deck.typed()})),
            (self.alice, form("POST", f"/calls/{waiting[1]}/pause", {"card": self.deck.any()})),
        ]
        threads = [threading.Thread(target=self._sent_in_vain, args=one) for one in requests]
        threads.append(threading.Thread(target=self.house.twilio.press, args=(till.call, WHILE_KILLED[5:])))
        for thread in threads:
            thread.start()
        until(lambda: all(map(self._is_pausing, waiting)), SOON_SECONDS, "pauses under way")
        self.house.kill_web()
        for thread in threads:
            thread.join()
        self.house.twilio.clear_faults()
        till.press("cancel")
        till.page_says("Payment cancelled")

    def _is_pausing(self, sid: str) -> bool:
        return bool(self.house.twilio.requests(call=sid, kind="pause"))

    def _sent_in_vain(self, sender: Sender, request: Request) -> None:
        with suppress(OSError, HTTPException):
            self.look("an answer before the end", send(self.house.url, sender.dressed(request, self.house.url)).data)

    def without_database(self, doors: Doors) -> None:
        """What cannot be saved now, Twilio must not be told with an error: its debugger keeps what it posted."""
        quiet = list(doors.everything_once())
        with self.away():
            until(lambda: self._readyz() == 503, SOON_SECONDS, "the database is missed")
            self.push(doors.twilio_posts(), is_away=True)
            self.push(quiet, is_away=True)
        until(lambda: self._readyz() == 200, SOON_SECONDS, "the database is back")

    def _readyz(self) -> int:
        return send(self.house.url, Request("GET", "/readyz")).status

    # Reading

    def everybody_reads(self) -> None:
        for answer in readers.later_readings(
            self.house,
            self.people[SAM.name],
            self.people[CAROL.name],
            self.keys["crm"],
            self.keys["auditor"],
            self.calls,
        ):
            self.look("what is read later", answer)
        self.look("the tables", readers.tables(self.database_url))

    def export(self) -> None:
        done = readers.export(self.house)
        self.look("the words of the export", done)

    def scan_what_runs(self) -> None:
        for pid in self.house.pids:
            self.leaks += self.scanner.process(pid)
        self.leaks += self.scanner.folder(self.house.folder)

    def scan_what_lies_there(self) -> None:
        """A database tidies up when it is closed, so its files were looked at before as well; a server's are open."""
        self.leaks += self.scanner.folder(self.house.folder)
        if self.files is not None:
            self.leaks += self.scanner.folder(self.files)


@contextmanager
def canary_in(
    folder: Path, database_url: str, password: str, away: Callable[[House], AbstractContextManager[None]]
) -> Iterator[Canary]:
    with Receiver() as receiver, running_house(folder, database_url, password, receiver.url) as house:
        people = {
            person.name: signed_in(house.url, person, f"10.0.0.{number}")
            for number, person in enumerate((ALICE, SAM, CAROL, ADA), start=1)
        }
        keys = {name: key_holder(name, KEYS[name][0]) for name in ("crm", "auditor")}
        deck = Deck()
        scanner = Scanner(deck.words)
        yield Canary(house, database_url, lambda: away(house), receiver, people, keys, deck, scanner)
