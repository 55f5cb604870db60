"""The agent's pages: the calls that are theirs, and one call with Pause and Resume."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from bot.actors import By
from bot.call import Call
from bot.errors import UnknownThing, Unprocessable
from bot.messages import Denial
from bot.payment import Via
from bot.results import Outcome
from bot.storage import calls
from bot.storage.users import Role, User
from bot.telephony.webhooks import is_sid
from bot.web.auth import current_user, roles
from bot.web.errors import STATUS_OF
from bot.web.present import WORDS
from bot.web.present_payment import show_payment
from bot.web.proof import show
from bot.web.services import note, origin, services

CALLS_SHOWN_MAX = 50
WORKERS = (Role.AGENT, Role.SUPERVISOR)

blueprint = Blueprint("agent", __name__, url_prefix="/calls")


@blueprint.get("")
@roles(*WORKERS)
def index() -> str:
    user = the_user()
    with services().database.read() as connection:
        mine = calls.of_agent(connection, user.name, CALLS_SHOWN_MAX)
        free = calls.without_agent(connection, CALLS_SHOWN_MAX)
        every = calls.live(connection, CALLS_SHOWN_MAX) if user.role is Role.SUPERVISOR else []
    now = datetime.now(UTC)
    partial = "HX-Request" in request.headers
    others = [call for call in every if call.agent is not None and user.name not in call.agents]
    return render_template(
        "calls/_list.html" if partial else "calls/index.html",
        mine=[(call, show(call, now)) for call in mine],
        others=[(call, show(call, now)) for call in others],
        free=free,
    )


@blueprint.get("/<sid>")
@roles(*WORKERS)
def call_page(sid: str) -> BaseResponse:
    return _page(find_call(sid))


@blueprint.get("/<sid>/state")
@roles(*WORKERS)
def state(sid: str) -> BaseResponse:
    """The part of the page that is fetched again and again."""
    call = find_call(sid)
    return _fragment(call, datetime.now(UTC)) if _may_see(call) else denied(call)


@blueprint.post("/<sid>/claim")
@roles(*WORKERS)
def claim(sid: str) -> BaseResponse:
    return reply(claimed(sid))


@blueprint.post("/<sid>/pause")
@roles(*WORKERS)
def pause(sid: str) -> BaseResponse:
    """Pause on a call that belongs to nobody claims it too: with a card coming, one press must be enough."""
    outcome = claimed(sid)
    if outcome.problem is None:
        by = acting()
        outcome = services().control.pause(outcome.call.sid, by, f"agent:{by.actor}", reason="card")
    return reply(outcome)


@blueprint.post("/<sid>/resume")
@roles(*WORKERS)
def resume(sid: str) -> BaseResponse:
    by = acting()
    return reply(services().control.resume(find_call(sid).sid, by, f"agent:{by.actor}"))


@blueprint.post("/<sid>/holds/<hold>/release")
@roles(Role.SUPERVISOR)
def release(sid: str, hold: str) -> BaseResponse:
    """A supervisor ends somebody else's hold, on their behalf; an agent's payment's with the payment. Not that of a
    phone flow's open payment: Twilio's `<Pay>` would go on asking for the card, and the recording would hear it.
    """
    call = find_call(sid)
    payment = call.payment
    if payment is not None and payment.is_open and payment.hold == hold:
        if payment.via is Via.FLOW:
            return reply(Outcome(call, datetime.now(UTC), Denial.PAYMENT_OPEN))
        return reply(services().payments.cancel(call.sid, acting()))
    return reply(services().control.release(call.sid, acting(), hold))


@blueprint.post("/<sid>/stop")
@roles(Role.SUPERVISOR)
def stop(sid: str) -> BaseResponse:
    """Cannot be undone, so it wants to be confirmed."""
    call = find_call(sid)
    if request.form.get("confirm") != "yes":
        raise Unprocessable("Stopping a recording cannot be undone: tick the box that confirms it.")
    return reply(services().control.stop(call.sid, acting()))


def claimed(sid: str) -> Outcome:
    by = acting()
    call = find_call(sid)
    if by.actor in call.agents:
        return Outcome(call, datetime.now(UTC))
    return services().control.take(call.sid, by, by.actor)


def reply(outcome: Outcome) -> BaseResponse:
    """The fragment for the script, or back to the page where there is none."""
    if outcome.problem in {Denial.NOT_YOURS, Denial.OWNED}:
        return denied(outcome.call, noted=True)
    notice = WORDS[outcome.problem] if isinstance(outcome.problem, Denial) else None
    if "HX-Request" not in request.headers and notice is not None:
        return make_response(_whole_page(outcome.call, outcome.now, notice), 403)
    if "HX-Request" not in request.headers:
        return redirect(url_for("agent.call_page", sid=outcome.call.sid), 303)
    return _fragment(outcome.call, outcome.now, notice=notice)


def _page(call: Call) -> BaseResponse:
    if not _may_see(call):
        return denied(call)
    return make_response(_whole_page(call, datetime.now(UTC), None))


def _whole_page(call: Call, now: datetime, notice: object) -> str:
    return render_template("calls/call.html", **_shown(call, now, notice))


def _fragment(call: Call, now: datetime, notice: object = None) -> BaseResponse:
    return make_response(render_template("calls/_call.html", **_shown(call, now, notice)))


def _shown(call: Call, now: datetime, notice: object) -> dict[str, object]:
    user = the_user()
    return {
        "call": call,
        "shown": show(call, now),
        "user": user,
        "notice": notice,
        "may_act": not is_anothers(call),
        "is_supervisor": user.role is Role.SUPERVISOR,
        "payment": show_payment(call.payment),
        "keypad": services().payments.are_offered,
        "currency": services().settings.payment_currency.upper(),
    }


def denied(call: Call, *, noted: bool = False) -> BaseResponse:
    """Another agent's call: refused, and the attempt is an entry."""
    if not noted:
        user = the_user()
        note("call.view_refused", user.name, account=call.account, call=call.sid, outcome="failure", reason="not-yours")
    words = WORDS[Denial.OWNED]
    template = "fragment_error.html" if "HX-Request" in request.headers else "error.html"
    text = f"{words.text} {words.advice}"
    return make_response(render_template(template, title=words.title, detail=text, status=403), STATUS_OF[Denial.OWNED])


def _may_see(call: Call) -> bool:
    return the_user().role is Role.SUPERVISOR or not is_anothers(call)


def is_anothers(call: Call) -> bool:
    """A call whose agent has left it is open to whoever takes it up."""
    if call.agent is None or the_user().name in call.agents:
        return False
    return call.leg_agent is not None or call.taken_by is not None or call.over


def find_call(sid: str) -> Call:
    """A call by any of its names; one never announced is tried at Twilio all the same once Pause is pressed."""
    if not is_sid(sid, "CA"):
        raise UnknownThing("This is not a CallSid.")
    settings = services().settings
    return services().control.find(sid) or Call(sid=sid, account=settings.twilio_account_sid)


def the_user() -> User:
    user = current_user()
    if user is None:
        raise UnknownThing
    return user


def acting() -> By:
    return By(actor=the_user().name, source="agent", origin=origin())
