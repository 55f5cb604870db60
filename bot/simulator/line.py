"""The line to a caller whose call runs TwiML: what is said and waited for there, and what the script does meanwhile.

Whatever waits raises ``Gone`` as soon as the caller has hung up or the world was reset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.simulator import calls, documents, keypad
from bot.simulator.errors import ControlError
from bot.simulator.model import Call, FlowState, Listener, ScriptStep
from bot.simulator.script import HEARD
from bot.simulator.verbs import Document, Next, Play, Prompt, Say
from bot.simulator.world import World

_WORDS_A_SECOND = 2.5
_SOUND_SECONDS = 3.0
"""How long a <Play> takes: the file is never fetched."""


class Gone(Exception):
    """Nobody is on the line any more."""


def never() -> bool:
    return False


class Line:
    """One call's. Its methods are called by the call's own thread, without the world's lock."""

    def __init__(self, world: World, call: Call, state: FlowState) -> None:
        self.world = world
        self.call = call
        self.state = state

    def check(self) -> None:
        """Raise Gone if there is nobody."""
        with self.world.lock:
            if self.call.over or self._forgotten():
                raise Gone

    def pick_up(self) -> None:
        """The call is answered, if it still rings."""
        with self.world.lock:
            self.check()
            if self.call.status == "ringing":
                calls.answer(self.world, self.call)

    def hang_up(self, unanswered: str | None = None) -> None:
        with self.world.lock:
            self.check()
            calls.hang_up(self.world, self.call, unanswered)

    def wait(self, seconds: float, until: Callable[[], bool] = never, *, patient: bool = False) -> bool:
        """Wait so many seconds of life, which the tempo shortens, or until something is so: whether it is.

        ``patient``: seconds count from the end of the keys that are being pressed, as these take real time.
        ``until`` is called under the world's lock.
        """
        world = self.world
        with world.lock:
            length = seconds / world.settings.tempo
            deadline = time.monotonic() + length
            while True:
                self.check()
                if until():
                    return True
                if patient and self.call.pressing:
                    world.changed.wait()
                    deadline = time.monotonic() + length
                elif (left := deadline - time.monotonic()) > 0:
                    world.changed.wait(left)
                else:
                    return False

    def say(self, prompts: tuple[Prompt, ...], until: Callable[[], bool] = never) -> None:
        """Say and play all of it, or as much as there is time for until something is so."""
        for prompt in prompts:
            for _ in range(prompt.loop if isinstance(prompt, Say | Play) else 1):
                if self.wait(0.0, until) or self._say(prompt, until):
                    return

    def _say(self, prompt: Prompt, until: Callable[[], bool]) -> bool:
        if isinstance(prompt, Say):
            self._hears(prompt.text)
            return self.wait(len(prompt.text.split()) / _WORDS_A_SECOND, until)
        if isinstance(prompt, Play):
            self._hears(f"(a sound: {prompt.url})")
            return self.wait(_SOUND_SECONDS, until)
        return self.wait(prompt.seconds, until)

    def _hears(self, words: str) -> None:
        with self.world.lock:
            self.check()
            self.state.at = "say"
            self.call.heard.append((self.world.clock.now(), words))
            self._follow(lambda when: when.startswith(HEARD) and when.removeprefix(HEARD) in words)

    def turn_to(self, url: str | None = None) -> None:
        """Nothing is waited for now; the document may be another one."""
        with self.world.lock:
            self.state.at = None
            self.state.url = url or self.state.url

    def moment(self, name: str) -> None:
        """The call waits for something now: whoever looks sees it, and the script may have a step for it."""
        with self.world.lock:
            self.check()
            self.state.at = name
            self._follow(lambda when: when == name)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """For as long as the block runs, the caller's keys go to the listener."""
        with self.world.lock:
            self.call.listeners.append(listener)
        try:
            yield
        finally:
            with self.world.lock:
                self.call.listeners.remove(listener)

    def fetch(self, wanted: Next) -> Document:
        """Get a document and stay on the line; FlowBroken if it cannot be run."""
        document = documents.fetch(self.world, self.call, self.state, wanted)
        self.check()
        return document

    def tell(self, wanted: Next) -> None:
        """Request what nobody will run, even if the caller is gone; after a reset there is nobody to tell it of."""
        if not self._forgotten():
            documents.tell(self.world, self.call, self.state, wanted)

    def _forgotten(self) -> bool:
        return self.world.calls.get(self.call.sid) is not self.call

    def _follow(self, fits: Callable[[str], bool]) -> None:
        """Carry out the script's next step, if it is for this moment."""
        if not self.state.script or not fits(self.state.script[0].when):
            return
        step: ScriptStep = self.state.script.pop(0)
        if step.keys:
            self.call.pressing += 1
            threading.Thread(target=self._press, args=[step.keys], daemon=True).start()
        elif step.hang_up:
            self.hang_up()
            raise Gone
        else:
            ringing = [leg for leg in self.world.legs(self.call.sid)[1:] if leg.status == "ringing"]
            for leg in ringing[:1]:
                calls.answer(self.world, leg)

    def _press(self, keys: str) -> None:
        try:
            keypad.press(self.world, self.call.sid, keys)
        except ControlError:
            return  # the call is over: nobody is left to press them
        finally:
            with self.world.lock:
                self.call.pressing -= 1
                self.world.changed.notify_all()
