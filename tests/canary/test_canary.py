"""No card data at rest, ever (invariant 1): the whole bot as its processes, pushed at through every door, paid with,
killed and cut off in the middle; then every byte of what it wrote and said is looked at.

What this proves and what not: the numbers are searched for in every way of writing that `scan` names. The last four,
which a call's row may keep while a payment is open, are looked for in the rows alone, not in what a database has not
overwritten yet. Expiry dates and security codes that are really keyed in are too short to search for. A reason given to
the API is free text and kept: only whole numbers are pushed there, as a person would write them. So is the filter for
an actor: base64 is left out there. A number that lies inside a well-formed SID is a SID. `next` and `failed` of a step
are told to Twilio again as they came. Memory and swap are not looked at, nor is the simulator.
"""

from __future__ import annotations

import pytest
from flask import Flask

from tests.canary.canary import Canary
from tests.canary.cards import Deck
from tests.canary.doors import Doors, rules_of
from tests.canary.scan import Hit, Scanner
from tests.canary.wire import ANYBODY

TIMEOUT_SECONDS = 240

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


def test_no_card_stays_anywhere_on_sqlite(sqlite_canary: Canary) -> None:
    canary = sqlite_canary
    with canary.doors() as doors:
        with canary.meanwhile(canary.pay_by_phone):
            canary.push(doors.pushes())
        canary.push_what_is_malformed()
        canary.take_over_an_account()
        canary.pay(doors)
        canary.kill_in_the_middle()
        canary.without_database(doors)
        everybody_reads_and_nothing_is_found(canary)
        assert canary.pushed == {rule.endpoint for rule in doors.rules}
        assert canary.entered == canary.pushed


def test_no_card_stays_anywhere_on_postgresql(postgresql_canary: Canary) -> None:
    canary = postgresql_canary
    with canary.doors() as doors:
        canary.push(doors.everything_once())
        canary.push(doors.twilio_posts())
        canary.pay(doors)
        canary.without_database(doors)
        everybody_reads_and_nothing_is_found(canary)


def everybody_reads_and_nothing_is_found(canary: Canary) -> None:
    canary.look_for_results_too()
    canary.everybody_reads()
    canary.export()
    canary.scan_what_runs()
    canary.house.end()
    canary.scan_what_lies_there()
    assert summary(canary.leaks) == []
    assert canary.blamed == []
    assert '"last_four": "' not in canary.kept_of_calls()


def summary(leaks: list[Hit]) -> list[str]:
    return sorted({f"{hit.place}: {hit.what}" for hit in leaks})


def test_route_that_is_new_is_pushed_at_with_each_of_its_methods() -> None:
    app = Flask(__name__)
    app.add_url_rule("/new/<thing>", "new", methods=["GET", "PUT"])
    doors = Doors(rules_of(app), Deck(), (ANYBODY,), (ANYBODY,), lambda: "CA" + "0" * 32)
    pushes = [push for push in doors.pushes() if push.route == "new"]
    assert {"GET", "PUT", "DELETE"} <= {push.request.method for push in pushes}
    assert any(Scanner().find("", push.request.path.encode()) for push in pushes)
