"""Processes that die in the middle of a payment: the worker alone ends what they left, session first."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openapi_core import OpenAPI

from bot.actors import By
from bot.capture import holder_of
from bot.payment import AskField, Field, OpenPayment, SessionOpened, Via
from bot.simulator.client import SimulatorClient
from bot.telephony.payment_sessions import PaymentSessions
from bot.worker import Worker
from tests.conftest import ALICE
from tests.simulator.process import ACCOUNT, Simulator
from tests.web.bench import Bench
from tests.web.conftest import bench_of, settings_of

SECRET = "whsec_" + "a" * 32
BY = By(actor="alice", source="agent")
PAYMENT = "a" * 32
SOON_SECONDS = 25.0


@pytest.fixture
def web_dying(
    simulator: Simulator, twilio: SimulatorClient, web_url: str, web_document: OpenAPI, tmp_path: Path
) -> Iterator[Bench]:
    """A time limit of two seconds, and nobody who would get the result."""
    settings = settings_of(
        simulator.url,
        web_url,
        tmp_path,
        payment_connector="Default",
        payment_result_url="http://127.0.0.1:9/",
        payment_result_secret=SECRET,
        pause_max_seconds=2,
    )
    with bench_of(settings, twilio, web_document) as bench:
        yield bench


def dies_in_a_payment(bench: Bench, until: str) -> str:
    """The call of a process that was killed before it could do what comes after this step."""
    control, call = bench.services.control, bench.place_call(ALICE)
    fields = (Field.CARD_NUMBER,)
    wish = OpenPayment(by=BY, id=PAYMENT, hold_id=secrets.token_hex(16), via=Via.AGENT, fields=fields, max_seconds=40)
    outcome = control.until_safe(call, wish, BY, holder_of(PAYMENT))
    assert (outcome.problem, bench.recording_states(call)) == (None, ["paused"])
    payment = outcome.call.payment_of(PAYMENT)
    assert payment is not None
    if until == "pause proven":
        return call
    sessions = PaymentSessions(bench.services.settings)
    reply = sessions.open(ACCOUNT, payment)
    assert reply.sid is not None
    if until == "session opened":
        return call
    control.tell(call, SessionOpened(by=BY, id=PAYMENT, sid=reply.sid))
    if until == "session saved":
        return call
    payment = control.tell(call, AskField(by=BY, id=PAYMENT, field=Field.CARD_NUMBER)).call.payment_of(PAYMENT)
    assert payment is not None
    assert sessions.ask(ACCOUNT, payment, Field.CARD_NUMBER).sid is not None
    return call


@pytest.mark.parametrize(
    ("until", "left"),
    [
        ("pause proven", []),
        ("session opened", ["in-progress"]),  # nobody knows its name; nothing was ever asked for in it
        ("session saved", ["cancelled"]),
        ("card asked for", ["cancelled"]),
    ],
)
def test_worker_ends_what_a_process_left_that_died(web_dying: Bench, until: str, left: list[str]) -> None:
    call = dies_in_a_payment(web_dying, until)
    services = web_dying.services
    worker = Worker(services.database, services.journal, services.control, None, services.payments.tidy)
    deadline = time.monotonic() + SOON_SECONDS
    while web_dying.recording_states(call) != ["in-progress"]:
        assert time.monotonic() < deadline
        worker.sweep()
        time.sleep(0.1)
    sessions = web_dying.twilio.call(call)["payments"]
    worker.close()
    assert [(one["state"], one["capture"]) for one in sessions] == [(state, None) for state in left]
    ends = [
        one for one in web_dying.types(call) if one in {"payment.finished", "payment.session_closed", "hold.expired"}
    ]
    assert ends == ["payment.finished", *(["payment.session_closed"] if "cancelled" in left else []), "hold.expired"]
    assert worker.sweep() == 0
