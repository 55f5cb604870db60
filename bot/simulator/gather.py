"""<Gather>: keys collected while it speaks and after."""

from __future__ import annotations

from bot.simulator.line import Line
from bot.simulator.verbs import Gather, Next


class _Input:
    """What was typed so far. Any key cuts short what is being said."""

    def __init__(self, gather: Gather) -> None:
        self._finish = gather.finish_on_key
        self._most = gather.num_digits
        self.digits = ""
        self.finished_by = ""
        self.complete = False
        self._news = False

    def key(self, key: str) -> None:
        if self.complete:
            return
        if key == self._finish:
            self.finished_by = key
        else:
            self.digits += key
        self._news = True
        self.complete = bool(self.finished_by) or len(self.digits) == self._most

    @property
    def begun(self) -> bool:
        return self.complete or bool(self.digits)

    def take_news(self) -> bool:
        """Whether a key came since this was last asked."""
        news, self._news = self._news, False
        return news


def run(line: Line, gather: Gather) -> Next | None:
    """The action with the digits; None goes on with the next verb, after no input."""
    typed = _Input(gather)
    with line.listening(typed):
        line.say(gather.prompts, lambda: typed.begun)
        line.moment("gather")
        while not typed.complete and line.wait(gather.timeout, typed.take_news, patient=True):
            pass
    if not typed.digits and not gather.action_on_empty:
        return None
    finish = {"FinishedOnKey": typed.finished_by} if typed.finished_by else {}
    return Next(gather.action, gather.method, {"Digits": typed.digits, **finish})
