"""A call in the words of the page and the fields of the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from bot.audit import entry
from bot.call import Call, Hold, Problem, Wish, desired, is_safe, observed, why_not_safe
from bot.errors import DatabaseUnavailable
from bot.messages import Denial, Finding
from bot.web.services import services


class Words(NamedTuple):
    """`title` names it, `text` says what is so, `advice` what to do instead."""

    title: str
    text: str
    advice: str


WAIT = "Wait for it to say Paused, or take the payment another way."
EXTEND_OFFERED_SECONDS = 60
OTHER_WAY = "Take the payment another way, for example by a payment link."

WORDS: dict[Problem | Denial, Words] = {
    Problem.STARTING: Words("Not paused yet", "The pause was asked for and is not confirmed yet.", WAIT),
    Problem.NOTHING_RECORDING: Words(
        "Nothing is recording",
        "Twilio found no recording to pause on this call. Something else may still be recording it.",
        OTHER_WAY,
    ),
    Problem.CALL_OVER: Words(
        "The call is over", "The call is over; there is nothing to pause.", "Call the customer again."
    ),
    Problem.UNKNOWN_CALL: Words("Unknown call", "Twilio does not know this call.", "Check the call's SID."),
    Problem.SUPERSEDED: Words(
        "Superseded",
        "The opposite was asked for in the meantime, and the last wish wins.",
        "Press Pause again if a card is to come.",
    ),
    Problem.REFUSED: Words("Refused by Twilio", "Twilio refused to pause the recording.", WAIT),
    Problem.BUSY: Words("Twilio is busy", "Twilio asked us to try again; we do.", WAIT),
    Problem.CREDENTIALS: Words(
        "Twilio refused our credentials",
        "Twilio does not accept our credentials.",
        f"Tell your administrator. {OTHER_WAY}",
    ),
    Problem.TWILIO_ERROR: Words("Twilio has trouble", "Twilio answered with an error; we try again.", WAIT),
    Problem.UNANSWERED: Words("Twilio did not answer", "Twilio did not answer in time; we try again.", WAIT),
    Problem.UNREACHABLE: Words(
        "Twilio cannot be reached", "No connection to Twilio could be made; we try again.", WAIT
    ),
    Problem.LIST_FAILED: Words(
        "Not proven", "Twilio's list of recordings could not be had, so another one may be running. We try again.", WAIT
    ),
    Problem.NOT_ALL_PAUSED: Words(
        "Not all paused", "At least one recording of this call is still running; we try again.", WAIT
    ),
    Problem.LATE_RESUME: Words(
        "An earlier resume may still arrive",
        "An earlier resume was never answered and may still take effect, so the pause is not certain yet.",
        WAIT,
    ),
    Problem.EXPIRED: Words(
        "The pause ran out",
        "The pause reached its time limit; the recording is about to go on.",
        "Still taking the card? Say so, and wait for Paused.",
    ),
    Denial.NOT_YOURS: Words(
        "Not your call", "This call belongs to another agent, or to nobody yet.", "Claim it first if it is yours."
    ),
    Denial.HELD_BY_OTHERS: Words(
        "Held by others",
        "The call is kept paused by somebody else; only they, or their time limit, can end that.",
        "Ask them.",
    ),
    Denial.OWNED: Words("Taken", "This call belongs to another agent.", "Ask your supervisor if that is wrong."),
    Denial.STOPPED: Words(
        "Stopped",
        "This call's recording was to be stopped for good, so it cannot be paused.",
        "Take no card before this page says that it is stopped.",
    ),
    Denial.CONFERENCE_STOP: Words(
        "Cannot be stopped", "Twilio cannot stop a conference's recording; pause it.", "Press Pause."
    ),
    Denial.PAYMENT_OPEN: Words(
        "A payment is open", "A payment by keypad is under way on this call already.", "Finish or cancel that one."
    ),
    Denial.PAYMENT_OVER: Words("No open payment", "There is no open payment to do this with.", "Begin a new one."),
    Denial.PAYMENT_INCOMPLETE: Words(
        "Not complete", "Not every field was entered yet.", "Ask for what is missing, then complete it."
    ),
    Denial.SESSION_REFUSED: Words(
        "Twilio refused",
        "Twilio did not take up this step of the payment.",
        "Try again, or take the payment another way.",
    ),
    Denial.SESSION_UNANSWERED: Words(
        "Twilio did not answer", "Twilio did not answer this step of the payment.", "Try again in a moment."
    ),
}


TROUBLE = {
    Finding.OUTAGE: "Twilio does not answer. No pause can be confirmed until it does: do not take a card by phone.",
    Finding.CREDENTIALS: "Twilio refuses our credentials. No pause can be confirmed: tell your administrator.",
    Finding.LOG_DOES_NOT_EXTEND: "The audit log was altered behind the bot's back: tell compliance; verify the log.",
    Finding.LOG_NOT_SIGNED: "The audit log cannot be signed: tell your administrator.",
}
"""What is wrong for everybody, for the banner on every page."""


def trouble() -> list[str]:
    """The sentences of the banner; none while the database is away, for the page says that already."""
    try:
        known = services().control.outage.known()
    except DatabaseUnavailable:
        return []
    return [words for what, words in TROUBLE.items() if what in known]


def instant(at: datetime | None) -> str | None:
    """As in the log, where there is a time."""
    return None if at is None else entry.instant(at)


def as_json(call: Call, now: datetime) -> dict[str, Any]:
    """The call as the API shows it."""
    confirmed = [recording.confirmed_at for recording in call.live if recording.confirmed_at]
    return {
        "sid": call.sid,
        "account": call.account,
        "status": call.status,
        "agent": call.agent,
        "desired": desired(call).value,
        "observed": observed(call),
        "safe_to_take_card": is_safe(call, now),
        "confirmed_at": instant(max(confirmed, default=None)),
        "holds": [_hold(hold) for hold in call.holds],
        "recordings": [
            {
                "sid": recording.sid,
                "of": recording.of.value,
                "state": recording.state.value,
                "confirmed_at": instant(recording.confirmed_at),
            }
            for recording in call.recordings
        ],
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "holder": hold.holder,
        "reason": hold.reason,
        "opened_at": instant(hold.opened_at),
        "expires_at": instant(hold.expires_at),
    }


@dataclass(frozen=True, slots=True)
class Shown:
    """What the agent's page says of a call. `tone` is safe, danger, calm or over; the text never says more than is
    proven.
    """

    tone: str
    headline: str
    reason: str
    advice: str
    seconds_left: int | None = None
    late_seconds: int | None = None
    resumes_in: int | None = None
    may_extend: bool = False


def show(call: Call, now: datetime) -> Shown:
    why = why_not_safe(call, now)
    if why is None:
        left = _seconds_left(call, now)
        may_extend = left is not None and left <= EXTEND_OFFERED_SECONDS
        text = _kept_by(call)
        return Shown("safe", "Paused: safe to take the card", text, "", seconds_left=left, may_extend=may_extend)
    if call.over and why is not Problem.UNKNOWN_CALL:
        words = WORDS[why]
        return Shown("over", "Recording ended: the call is over", words.text, "")
    if desired(call) is Wish.PAUSED or why is Problem.UNKNOWN_CALL:
        words = WORDS[why]
        late = call.late_resume_until if why is Problem.LATE_RESUME else None
        ends = [hold.closes_at for hold in call.holds if hold.closes_at] if why is Problem.EXPIRED else []
        return Shown(
            "danger",
            "NOT PAUSED: do not take the card",
            words.text,
            words.advice,
            late_seconds=_until(late, now),
            resumes_in=_until(max(ends, default=None), now),
            may_extend=why is Problem.EXPIRED,
        )
    return _show_recording(call)


def _seconds_left(call: Call, now: datetime) -> int | None:
    """Until the last hold runs out; None while one stays whatever the clock says."""
    if any(hold.overdue for hold in call.holds):
        return None
    return _until(max(hold.expires_at for hold in call.holds), now)


def _until(at: datetime | None, now: datetime) -> int | None:
    return None if at is None else max(0, ceil((at - now).total_seconds()))


def _kept_by(call: Call) -> str:
    holders = ", ".join(sorted(holder_name(hold.holder) for hold in call.holds))
    if call.live:
        return f"Every known recording of this call is confirmed paused, for {holders}."
    return f"The recording could not be paused and was stopped instead, for {holders}. A new one begins afterwards."


def holder_name(holder: str) -> str:
    """As the page names it: nobody knows a payment by its SID."""
    return "the payment by keypad" if holder.startswith("payment:") else holder


def _show_recording(call: Call) -> Shown:
    if desired(call) is Wish.STOPPED and observed(call) == "stopped":
        text = "The recording was stopped, and cannot go on. Something else may still be recording this call."
        return Shown("over", "Recording stopped for good", text, "")
    if desired(call) is Wish.STOPPED:
        text = "The recording is to be stopped for good, but Twilio has not confirmed it yet. Take no card."
        return Shown("calm", "Recording: stopping", text, "")
    if observed(call) == "paused" or any(recording.doubt for recording in call.live):
        text = "Recording is to go on, but Twilio has not confirmed it yet. Press Pause before a card is given."
        return Shown("calm", "Recording: resuming", text, "")
    if observed(call) == "recording":
        return Shown("calm", "Recording", "This call is being recorded. Press Pause before the card is given.", "")
    text = "We have not heard of a recording yet. Press Pause before a card is given."
    return Shown("calm", "Recording: take it that this call is recorded", text, "")
