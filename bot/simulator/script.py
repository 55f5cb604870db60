"""What happens by itself in a scripted call: the control API's list of steps, read strictly."""

from __future__ import annotations

from typing import Any

from bot.simulator import keypad
from bot.simulator.errors import ControlError
from bot.simulator.model import ScriptStep

FIELDS = ("payment-card-number", "expiration-date", "security-code", "postal-code")
"""What a <Pay> asks for, in this order."""
MOMENTS = ("gather", "dial", *(f"pay:{name}" for name in FIELDS))
HEARD = "heard:"
_STEPS_MAX = 50


def parse(given: Any) -> tuple[ScriptStep, ...]:
    """The steps of a script; ControlError 400 says what is wrong, without repeating any keys."""
    if not isinstance(given, list) or len(given) > _STEPS_MAX:
        raise ControlError(400, f"script must be a list of at most {_STEPS_MAX} steps")
    return tuple(_step(one) for one in given)


def _step(given: Any) -> ScriptStep:
    if not isinstance(given, dict) or len(given) != 2 or "when" not in given:
        raise ControlError(400, 'a step of a script must have "when" and one of "keys", "hang_up", "answer"')
    when = given["when"]
    if not isinstance(when, str) or not (when in MOMENTS or (when.startswith(HEARD) and when != HEARD)):
        raise ControlError(400, f'"when" must be one of {", ".join(MOMENTS)}, or {HEARD}TEXT')
    if isinstance(given.get("keys"), str):
        return ScriptStep(when, keys=keypad.check(given["keys"]))
    if given.get("hang_up") is True:
        return ScriptStep(when, hang_up=True)
    if given.get("answer") is True and when == "dial":
        return ScriptStep(when, answer=True)
    raise ControlError(400, 'a step of a script needs "keys", "hang_up": true, or at "dial" "answer": true')
