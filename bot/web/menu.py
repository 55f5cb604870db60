"""The menu of our own phone flow: pay by card, an agent, and the two codes for the recording.

One key is asked for at a time. A star may begin a code, so it is answered by listening for one key more. What was not
offered is explained and asked again, a few times; then an agent takes over.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from bot.errors import Malformed
from bot.telephony import twiml
from bot.telephony.keys import Choice, Code, Count
from bot.telephony.twiml import Verb
from bot.web import steps
from bot.web.security import csrf
from bot.web.services import services
from bot.web.webhooks import authenticate

TRIES_MAX = 3
MENU_SECONDS = 5
STAR_SECONDS = 2
PAY, AGENT, STAR = "1", "2", "*"

TO_PAY = "To pay by card, press 1. "
OTHERS = "To speak to an agent, press 2. To hear this again, press star."
SILENCE = "No key was heard."
NOT_OFFERED = "That is not one of the choices."
TO_AGENT = "You are now connected to an agent."
PAUSED = "The recording is paused."
NOT_PAUSED = "The recording could not be paused. Please do not give a card number."
GOES_ON = "The recording goes on."
LET_GO = "Thank you."

blueprint = Blueprint("menu", __name__, url_prefix="/twilio")
csrf.exempt(blueprint)
blueprint.before_request(authenticate)


def shown(attempt: int = 1) -> Verb:
    """The prompt, and the wait for one key. `attempt` counts from 1."""
    prompt = TO_PAY + OTHERS if _has_payments() else OTHERS
    return twiml.one_key(prompt, url_of(f"menu?try={attempt}"), MENU_SECONDS)


def url_of(step: str) -> str:
    return f"{services().settings.public_base_url}/twilio/{step}"


@blueprint.post("/menu")
def menu() -> Response:
    """Shows the menu; with `try`, takes in what was pressed when it was shown for that time."""
    attempt = _attempt()
    is_after_star = _is_after_star()
    sid = steps.step_call()
    if attempt is None:
        steps.moved_on(sid)
        return steps.answer(shown())
    if is_after_star:
        return _after_star(sid, attempt)
    offered = {AGENT, STAR, PAY} if _has_payments() else {AGENT, STAR}
    match steps.pressed(offered):
        case Choice(key="1"):
            return steps.answer(twiml.redirect(url_of("pay")))
        case Choice(key="2"):
            return steps.answer(twiml.redirect(url_of("agent")))
        case Choice():
            return steps.answer(twiml.one_key("", url_of(f"menu?try={attempt}&after=star"), STAR_SECONDS))
        case Count(keys=count):
            return _explained(attempt, SILENCE if count == 0 else NOT_OFFERED)
        case code:
            return _obeyed(sid, code)


def _after_star(sid: str, attempt: int) -> Response:
    """A code, or back to the menu: a star alone is how a caller asks for it."""
    pressed = steps.pressed((), after=STAR)
    return _obeyed(sid, pressed) if isinstance(pressed, Code) else steps.answer(shown(attempt))


def _explained(attempt: int, words: str) -> Response:
    if attempt < TRIES_MAX:
        return steps.answer(twiml.say(words), shown(attempt + 1))
    return steps.answer(twiml.say(TO_AGENT), twiml.redirect(url_of("agent")))


def _obeyed(sid: str, code: Code) -> Response:
    if code is Code.PAUSE:
        words = PAUSED if steps.is_proven(sid, steps.CODES) else NOT_PAUSED
    else:
        words = GOES_ON if steps.let_go(sid, steps.CODES) else LET_GO
    return steps.answer(twiml.say(words), shown())


def _has_payments() -> bool:
    return services().payments.are_offered


def _attempt() -> int | None:
    text = request.args.get("try")
    if text is None:
        return None
    if text not in {str(number) for number in range(1, TRIES_MAX + 1)}:
        raise Malformed(f"`try` must be a number from 1 to {TRIES_MAX}.")
    return int(text)


def _is_after_star() -> bool:
    after = request.args.get("after")
    if after not in {None, "star"}:
        raise Malformed("`after` can only be `star`.")
    return after is not None
