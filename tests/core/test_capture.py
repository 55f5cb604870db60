"""A payment by keypad: when it may be opened, led and completed, what ends it, and what is left of it then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot import settling
from bot.actors import By
from bot.call import Of, Problem
from bot.messages import CallReported, Denial, RecordingReported, Release
from bot.payment import (
    AskField,
    CompletePayment,
    Delivered,
    EndPayment,
    Field,
    OpenPayment,
    Payment,
    PaymentReported,
    Progress,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    Stage,
    Via,
)
from bot.recording import due, unite
from tests.core.examples import LEG, PARENT, RE1, RE2, SAM, SID, Story, at, call, confirmed, listing, pause

ALICE = By(actor="alice", source="payment")
BOB = By(actor="bob", source="payment")
FLOW = By(actor="ivr", source="payment")
PAYMENT = "a" * 32
OTHER = "d" * 32
HOLD = "b" * 32
SESSION = "PK" + "c" * 32
CARD, EXPIRY = Field.CARD_NUMBER, Field.EXPIRATION_DATE


def open_payment(by: By = ALICE, via: Via = Via.AGENT, payment: str = PAYMENT, hold: str = HOLD) -> OpenPayment:
    fields = (CARD, EXPIRY) if via is Via.AGENT else ()
    return OpenPayment(by=by, id=payment, hold_id=hold, via=via, fields=fields, max_seconds=40 if fields else None)


def reported(**fields: object) -> PaymentReported:
    return PaymentReported(id=PAYMENT, **fields)  # type: ignore[arg-type]


def entered(field: Field, ask: int, **more: object) -> PaymentReported:
    return reported(field=field, ask=ask, is_entered=True, **more)


def requested() -> Story:
    """Alice asked for a payment; its pause is proven."""
    story = Story(call())
    story.tell(CallReported(sid=SID, status="in-progress", sequence=2))
    story.tell(open_payment())
    assert story.converge() == "pause CURRENT +list"
    story.answer(confirmed(), listing(RE1))
    assert story.safe
    return story


def opened() -> Story:
    """Twilio has opened the session, too."""
    story = requested()
    story.tell(SessionOpened(by=ALICE, id=PAYMENT, sid=SESSION))
    return story


def whole() -> Story:
    """Both fields are entered."""
    story = opened()
    for ask, field in enumerate((CARD, EXPIRY), start=1):
        story.tell(AskField(by=ALICE, id=PAYMENT, field=field))
        story.tell(entered(field, ask, last_four="4242" if field is CARD else None, brand="visa"))
    return story


def completing() -> Story:
    story = whole()
    story.tell(CompletePayment(by=ALICE, id=PAYMENT))
    return story


def flow() -> Story:
    story = Story(call(agent=None))
    story.tell(open_payment(FLOW, Via.FLOW))
    story.converge()
    story.answer(confirmed(), listing(RE1))
    assert story.safe
    return story


def payment_of(story: Story) -> Payment:
    assert story.call.payment is not None
    return story.call.payment


def holders(story: Story) -> list[str]:
    return [hold.holder for hold in story.call.holds]


# Opening


def test_payment_opens_a_hold_of_its_own() -> None:
    story = Story(call())
    story.tell(open_payment())
    assert story.fact_types == ["hold.opened", "payment.begun"]
    assert holders(story) == [f"payment:{PAYMENT}"]
    assert (payment_of(story).stage, payment_of(story).agent) == (Stage.OPENING, "alice")


def test_payment_takes_keys_from_the_customers_leg() -> None:
    story = Story(call())
    story.tell(CallReported(sid=SID, status="in-progress", sequence=2, agent="alice", staff=True))
    story.tell(CallReported(sid=LEG, status="in-progress", parent=SID, sequence=2))
    story.tell(open_payment())
    assert payment_of(story).leg == LEG


def test_session_gives_the_hold_its_name_and_its_full_length() -> None:
    story = requested()
    assert story.call.holds[0].expires_at == at(40)
    story.tell(SessionOpened(by=ALICE, id=PAYMENT, sid=SESSION))
    assert story.fact_types == ["payment.session_opened", "hold.extended"]
    assert holders(story) == [f"payment:{SESSION}"]
    assert story.call.holds[0].expires_at > at(300)
    assert payment_of(story).stage is Stage.OPEN


def test_session_that_twilio_refused_ends_the_payment_and_its_hold() -> None:
    story = requested()
    story.tell(SessionOpened(by=ALICE, id=PAYMENT, why="Twilio answered 400"))
    assert story.fact_types == ["payment.finished", "hold.released"]
    assert (holders(story), payment_of(story).stage) == ([], Stage.FAILED)
    assert story.converge() == "resume CURRENT"


def test_session_that_twilio_opened_too_late_is_closed() -> None:
    story = requested()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled"))
    story.tell(SessionOpened(by=ALICE, id=PAYMENT, sid=SESSION))
    assert payment_of(story).close_at == at(story.seconds)
    assert due(story.call, at(story.seconds)) == at(story.seconds)


def test_payment_of_another_agents_call_is_refused() -> None:
    story = Story(call())
    story.tell(open_payment(BOB))
    assert (story.refused, story.fact_types, story.call.payment) == (Denial.NOT_YOURS, ["payment.refused"], None)


def test_second_payment_is_refused_while_one_is_open() -> None:
    story = opened()
    story.tell(open_payment(payment="d" * 32, hold="e" * 32))
    assert story.refused is Denial.PAYMENT_OPEN
    assert payment_of(story).id == PAYMENT


def test_flow_that_pays_again_has_lost_the_first_result() -> None:
    story = flow()
    story.tell(open_payment(FLOW, Via.FLOW, "d" * 32, "e" * 32))
    assert story.fact_types == ["payment.finished", "hold.released", "hold.opened", "payment.begun"]
    assert story.facts[0].reason == "no-result"
    assert holders(story) == [f"payment:{'d' * 32}"]


def test_payment_that_is_not_proven_ends_with_a_finding() -> None:
    story = Story(call())
    story.tell(open_payment())
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="not-proven"))
    assert story.fact_types == ["payment.finished", "hold.released", "finding.raised"]
    assert payment_of(story).stage is Stage.FAILED


def test_payment_on_a_call_that_is_over_is_refused() -> None:
    story = Story(call(status="completed"))
    story.tell(open_payment())
    assert (story.refused, story.call.payment) == (Problem.CALL_OVER, None)


# Field by field


def test_field_is_asked_for_before_its_first_key() -> None:
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    assert story.fact_types[0] == "payment.field_asked"
    story.tell(reported(field=CARD, ask=1, is_partial=True, keys=5))
    card = payment_of(story).capture(CARD)
    assert card is not None
    assert (card.progress, card.keys, card.last_four, story.facts) == (Progress.ENTERING, 5, None, ())


def test_field_that_was_entered_shows_the_last_four_and_logs_none() -> None:
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(entered(CARD, 1, last_four="4242", brand="visa"))
    card = payment_of(story).capture(CARD)
    assert card is not None
    assert (card.progress, card.last_four, card.brand) == (Progress.ENTERED, "4242", "visa")
    assert "4242" not in repr(story.facts)


@pytest.mark.parametrize("ask", [0, 1, 3, None])
def test_news_of_another_request_changes_nothing(ask: int | None) -> None:
    """The field was asked for again meanwhile: what comes of the first request is old."""
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    before = story.call
    story.tell(reported(field=CARD, ask=ask, is_entered=True, last_four="4242"))
    assert (story.call, story.facts) == (before, ())


def test_partial_news_after_the_whole_field_changes_nothing() -> None:
    story = whole()
    before = story.call
    story.tell(reported(field=EXPIRY, ask=2, is_partial=True, keys=1))
    story.tell(entered(EXPIRY, 2))
    assert (story.call, story.facts) == (before, ())


def test_wrong_entry_is_told_and_may_be_asked_for_again() -> None:
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(reported(field=CARD, ask=1, error="invalid-card-number", attempt=1))
    assert story.fact_types[0] == "payment.field_wrong"
    card = payment_of(story).capture(CARD)
    assert card is not None
    assert (card.progress, card.why) == (Progress.REFUSED, "invalid-card-number")
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(entered(CARD, 2, last_four="4242"))
    assert payment_of(story).captures[0].progress is Progress.ENTERED


def test_asking_for_one_field_leaves_the_other_that_was_awaited() -> None:
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(AskField(by=ALICE, id=PAYMENT, field=EXPIRY))
    assert [one.progress for one in payment_of(story).captures] == [Progress.WAITING, Progress.ASKED]


def test_no_field_is_asked_for_while_the_call_is_not_safe() -> None:
    story = opened()
    story.tell(RecordingReported(sid=RE2, status="in-progress", of=Of.CALL, owner=SID))
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    assert story.refused is not None
    assert story.fact_types == ["payment.refused"]
    assert payment_of(story).asks == 0


def test_refusal_of_twilio_leaves_the_payment_open() -> None:
    story = opened()
    story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    story.tell(SessionRefused(by=ALICE, id=PAYMENT, why="no reply in time", field=CARD))
    assert story.fact_types == ["payment.step_refused"]
    assert payment_of(story).captures[0].progress is Progress.REFUSED
    assert payment_of(story).stage is Stage.OPEN


def test_payment_is_completed_only_when_whole() -> None:
    story = opened()
    story.tell(CompletePayment(by=ALICE, id=PAYMENT))
    assert story.refused is Denial.PAYMENT_INCOMPLETE
    assert completing().fact_types[0] == "payment.completing"


def test_completion_that_twilio_refused_may_be_tried_again() -> None:
    story = completing()
    story.tell(SessionRefused(by=ALICE, id=PAYMENT, why="Twilio answered 400"))
    assert payment_of(story).stage is Stage.OPEN
    story.tell(CompletePayment(by=ALICE, id=PAYMENT))
    assert payment_of(story).stage is Stage.COMPLETING


def test_every_step_keeps_the_hold_alive() -> None:
    story = opened()
    for seconds in (200, 200):
        story.seconds += seconds
        story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
        story.tell(reported(field=CARD, ask=payment_of(story).asks, error="timeout"))
        assert story.call.holds[0].expires_at == at(story.seconds + 300)


def test_doubled_news_prolongs_nothing() -> None:
    story = flow()
    story.seconds += 60
    story.tell(reported(attempt=1))
    assert story.fact_types == ["hold.extended"]
    story.tell(reported(attempt=1))
    assert story.facts == ()


# Ending


def test_success_ends_the_hold_and_waits_for_its_delivery() -> None:
    story = completing()
    story.tell(reported(result="success"))
    assert story.fact_types == ["payment.finished", "hold.released"]
    assert (holders(story), payment_of(story).stage) == ([], Stage.DELIVERING)
    assert story.converge() == "resume CURRENT"
    story.tell(Delivered(id=PAYMENT, ok=True))
    assert (story.fact_types, payment_of(story).stage) == (["payment.delivered"], Stage.PAID)


def test_success_that_could_not_be_delivered_is_a_failure_and_a_finding() -> None:
    story = completing()
    story.tell(reported(result="success"))
    story.tell(Delivered(id=PAYMENT, ok=False, why="answered with 500"))
    assert story.fact_types == ["payment.not_delivered", "finding.raised"]
    assert (payment_of(story).stage, payment_of(story).why) == (Stage.FAILED, "not-delivered")


def test_result_whose_process_died_is_lost_after_half_a_minute() -> None:
    story = completing()
    story.tell(reported(result="success"))
    story.converge()
    story.answer(confirmed())
    assert due(story.call, at(story.seconds)) == at(30.1)
    story.converge(after=30)
    assert story.fact_types == ["payment.not_delivered", "finding.raised"]


@pytest.mark.parametrize(
    "result",
    [
        "too-many-failed-attempts", "payment-connector-error", "caller-interrupted-with-star", "caller-hung-up",
        "validation-error", "internal-error", "other",
    ],
)  # fmt: skip
@pytest.mark.parametrize("begin", [completing, flow])
def test_every_other_result_ends_the_hold_with_its_own_entry(begin: object, result: str) -> None:
    assert callable(begin)
    story = begin()
    story.tell(reported(result=result, code="64000"))
    assert story.fact_types == ["payment.finished", "hold.released"]
    assert (story.facts[0].outcome, story.facts[0].reason) == ("failure", result)
    assert (payment_of(story).stage, payment_of(story).why) == (Stage.FAILED, result)


def test_result_counts_once() -> None:
    story = completing()
    story.tell(reported(result="success"))
    story.tell(reported(result="success"))
    assert (story.refused, story.facts) == (Denial.PAYMENT_OVER, ())
    story.tell(reported(result="internal-error"))
    assert payment_of(story).stage is Stage.DELIVERING


def test_success_after_the_payment_was_given_up_counts_all_the_same() -> None:
    """Money may have moved."""
    story = completing()
    story.tell(Release(by=SAM, hold=HOLD))
    assert story.facts[-1].outcome == "unknown"
    story.tell(reported(result="success"))
    assert (story.fact_types, payment_of(story).stage) == (["payment.finished"], Stage.DELIVERING)


def test_failure_that_twilio_reports_afterwards_says_nothing_new() -> None:
    story = opened()
    story.tell(CallReported(sid=SID, status="completed", sequence=9))
    story.tell(reported(result="caller-hung-up"))
    assert (story.facts, payment_of(story).why, payment_of(story).result) == ((), "call-over", "caller-hung-up")


def test_hang_up_ends_the_payment_with_its_own_entry() -> None:
    story = opened()
    story.tell(CallReported(sid=SID, status="completed", sequence=9))
    assert {"payment.finished", "hold.closed"} <= set(story.fact_types)
    assert payment_of(story).why == "call-over"
    assert payment_of(story).close_at is None


def test_cancelling_closes_the_session_and_resumes() -> None:
    story = opened()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled", is_closed=True))
    assert (payment_of(story).stage, payment_of(story).close_at) == (Stage.CANCELLED, at(story.seconds))
    assert story.converge() == "resume CURRENT"
    story.tell(SessionClosed(id=PAYMENT, ok=True))
    assert (story.fact_types, payment_of(story).close_at) == (["payment.session_closed"], None)


def test_cancelling_a_session_that_may_listen_yet_resumes_some_seconds_later() -> None:
    story = opened()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled"))
    assert story.fact_types == ["payment.finished", "hold.cut_short"]
    assert (payment_of(story).stage, payment_of(story).close_at) == (Stage.CANCELLED, at(story.seconds))
    assert (story.safe, holders(story), story.converge()) == (False, [f"payment:{SESSION}"], "nothing")
    story.tell(SessionClosed(id=PAYMENT, ok=True), after=3)
    assert holders(story) == [f"payment:{SESSION}"]
    assert story.converge(after=7) == "resume CURRENT"
    assert "hold.expired" in story.fact_types


def test_session_that_cannot_be_closed_is_tried_five_times() -> None:
    story = opened()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled"))
    for _ in range(4):
        story.tell(SessionClosed(id=PAYMENT, ok=False), after=3)
        assert payment_of(story).close_at == at(story.seconds + 3)
    story.tell(SessionClosed(id=PAYMENT, ok=False), after=3)
    assert (story.fact_types, story.facts[0].outcome) == (["payment.session_closed"], "failure")
    assert payment_of(story).close_at is None


def test_supervisors_release_ends_the_payment() -> None:
    story = opened()
    story.tell(Release(by=SAM, hold=HOLD))
    assert story.fact_types == ["hold.released", "payment.finished"]
    assert (payment_of(story).why, payment_of(story).close_at) == ("hold-ended", at(story.seconds))


def test_time_limit_closes_the_session_before_the_recording_goes_on() -> None:
    """Ten seconds lie between the end of safe and the resume: enough to tell Twilio to listen no more."""
    story = opened()
    relist(story, 290)
    story.seconds = 301
    story.converge()
    assert {"hold.running_out", "payment.finished"} <= set(story.fact_types)
    assert payment_of(story).close_at == at(301)
    assert holders(story) == [f"payment:{SESSION}"]
    story.tell(SessionClosed(id=PAYMENT, ok=True), after=1)
    assert (story.fact_types, holders(story)) == (["payment.session_closed"], [f"payment:{SESSION}"])
    story.converge(after=10)
    assert "hold.expired" in story.fact_types


def test_payment_at_the_hard_limit_ends_once_its_session_is_closed() -> None:
    story = opened()
    for seconds in (290, 580, 870):
        relist(story, seconds)
        story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    relist(story, 899)
    story.converge(after=2)
    assert {"hold.overdue", "payment.finished"} <= set(story.fact_types)
    assert holders(story) == [f"payment:{SESSION}"]
    story.tell(SessionClosed(id=PAYMENT, ok=True), after=1)
    assert (story.fact_types, holders(story)) == (["payment.session_closed", "hold.released"], [])


def test_payment_at_the_hard_limit_ends_once_twilio_reports_its_failure() -> None:
    """The caller's attempts may be used up just before the session is closed: nothing listens any more."""
    story = opened()
    for seconds in (290, 580, 870):
        relist(story, seconds)
        story.tell(AskField(by=ALICE, id=PAYMENT, field=CARD))
    relist(story, 899)
    story.converge(after=2)
    story.tell(reported(result="too-many-failed-attempts"), after=1)
    assert (story.fact_types, holders(story)) == (["hold.released"], [])
    story.tell(SessionClosed(id=PAYMENT, ok=True), after=1)
    assert story.facts == ()


def test_payment_without_a_session_holds_nothing_for_good() -> None:
    """Its process died before Twilio was asked for one; nothing ever listened."""
    story = requested()
    story.policy = replace(story.policy, expiry="alert")
    story.converge(after=41)
    assert {"hold.overdue", "payment.finished", "hold.released"} <= set(story.fact_types)
    assert holders(story) == []


def test_phone_flows_payment_at_its_limit_goes_on_if_twilio_speaks_of_it() -> None:
    story = flow()
    relist(story, 290)
    story.seconds = 301
    story.converge()
    assert payment_of(story).is_open
    story.tell(reported(attempt=2))
    assert story.call.holds[0].expires_at == at(601)


def test_nothing_that_was_keyed_in_outlives_the_payment() -> None:
    for end in (reported(result="success"), EndPayment(by=ALICE, id=PAYMENT, why="cancelled")):
        story = completing()
        assert "4242" in repr(story.call)
        story.tell(end)
        assert "4242" not in repr(story.call)


def test_news_of_another_payment_changes_nothing() -> None:
    story = opened()
    before = story.call
    for message in (
        replace(reported(result="success"), id="f" * 32),
        EndPayment(by=ALICE, id="f" * 32, why="cancelled"),
        Delivered(id="f" * 32, ok=True),
    ):
        story.tell(message)
        assert (story.refused, story.call, story.facts) == (Denial.PAYMENT_OVER, before, ())


# More than one payment in a call


def second(story: Story) -> None:
    story.tell(open_payment(payment=OTHER, hold="e" * 32))
    assert story.refused is None
    assert payment_of(story).id == OTHER


def test_session_is_closed_though_another_payment_was_begun() -> None:
    story = opened()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled"))
    second(story)
    assert settling.due(story.call) == at(story.seconds)
    story.tell(SessionClosed(id=PAYMENT, ok=True), after=1)
    assert (story.fact_types, settling.due(story.call)) == (["payment.session_closed"], None)
    assert (payment_of(story).id, payment_of(story).stage) == (OTHER, Stage.OPENING)


def test_session_that_was_opened_too_late_is_closed_though_another_payment_was_begun() -> None:
    story = requested()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled"))
    second(story)
    story.tell(SessionOpened(by=ALICE, id=PAYMENT, sid=SESSION))
    assert settling.due(story.call) == at(story.seconds)
    assert (payment_of(story).id, payment_of(story).sid) == (OTHER, None)


def test_delivery_that_was_noted_late_counts_all_the_same() -> None:
    """The database was away for so long that it passed for lost."""
    story = completing()
    story.tell(reported(result="success"))
    story.converge(after=30)
    assert "payment.not_delivered" in story.fact_types
    story.tell(Delivered(id=PAYMENT, ok=True))
    assert (story.fact_types, payment_of(story).stage) == (["payment.delivered"], Stage.PAID)
    story.tell(Delivered(id=PAYMENT, ok=False))
    assert story.facts == ()


def test_delivery_outlives_the_call() -> None:
    story = completing()
    story.tell(reported(result="success"))
    story.tell(CallReported(sid=SID, status="completed", sequence=9))
    assert due(story.call, at(story.seconds)) == at(story.seconds + 30)
    story.converge(after=30)
    assert {"payment.not_delivered", "finding.raised"} <= set(story.fact_types)
    assert due(story.call, at(story.seconds)) is None


@pytest.mark.parametrize(("why", "outcome"), [("no-result", "unknown"), ("not-proven", "failure")])
def test_phone_flows_payment_without_a_result_may_have_been_charged(why: str, outcome: str) -> None:
    """Once it was asked for, only Twilio knows."""
    story = flow()
    story.tell(EndPayment(by=FLOW, id=PAYMENT, why=why))
    (finished,) = (fact for fact in story.facts if fact.type == "payment.finished")
    assert finished.outcome == outcome


@pytest.mark.parametrize(
    ("ok", "said"), [(True, ["payment.delivered"]), (False, ["payment.not_delivered", "finding.raised"])]
)
def test_delivery_is_told_though_another_payment_was_begun(ok: bool, said: list[str]) -> None:
    story = completing()
    story.tell(reported(result="success"))
    second(story)
    story.tell(Delivered(id=PAYMENT, ok=ok))
    assert (story.fact_types, payment_of(story).id) == (said, OTHER)


def test_delivery_whose_process_died_is_lost_though_another_payment_was_begun() -> None:
    story = completing()
    story.tell(reported(result="success"))
    second(story)
    assert settling.due(story.call) == at(story.seconds + 30)
    story.converge(after=30)
    assert {"payment.not_delivered", "finding.raised"} <= set(story.fact_types)


def test_success_of_a_payment_that_was_given_up_counts_though_another_was_begun() -> None:
    story = completing()
    story.tell(EndPayment(by=ALICE, id=PAYMENT, why="cancelled", is_closed=True))
    second(story)
    story.tell(reported(result="success"))
    assert story.fact_types == ["payment.finished"]
    story.tell(Delivered(id=PAYMENT, ok=True))
    assert story.fact_types == ["payment.delivered"]
    assert (payment_of(story).id, holders(story)) == (OTHER, [f"payment:{OTHER}"])


def test_payment_of_which_nothing_can_come_any_more_is_forgotten() -> None:
    story = opened()
    story.tell(reported(result="caller-interrupted-with-star"))
    second(story)
    assert story.call.earlier == ()


def test_number_of_earlier_payments_has_its_limit() -> None:
    story = flow()
    for number in range(20):
        story.tell(open_payment(FLOW, Via.FLOW, payment=f"{number:032x}", hold=f"{number:016x}"))
    assert len(story.call.earlier) == settling.EARLIER_MAX


@pytest.mark.parametrize("is_over", [False, True])
def test_payment_on_a_leg_that_was_taken_for_a_call_moves_with_it(is_over: bool) -> None:
    """And the one that the call already had is not lost."""
    story = opened()
    theirs = Payment(id=OTHER, via=Via.AGENT, hold="e" * 32, leg=PARENT, sid="PK" + "d" * 32, stage=Stage.CANCELLED)
    parent = call(sid=PARENT, status="completed" if is_over else "in-progress", payment=theirs)
    united, emptied, facts = unite(parent, story.call, at(10), story.policy)
    assert {one.id for one in united.payments} == {PAYMENT, OTHER}
    assert (emptied.payments, sum(fact.type == "payment.finished" for fact in facts)) == ((), int(is_over))
    assert any(one.id == PAYMENT and one.is_open for one in united.payments) is not is_over


def test_other_holds_keep_the_call_paused_when_a_payment_ends() -> None:
    story = opened()
    story.tell(pause())
    story.tell(reported(result="caller-interrupted-with-star"))
    assert (holders(story), story.safe, story.converge()) == (["api:crm"], True, "nothing")


def relist(story: Story, seconds: float | None = None) -> None:
    """Twilio's lists are asked for again meanwhile."""
    story.seconds = story.seconds if seconds is None else seconds
    story.converge()
    story.answer(None, listing(RE1))
