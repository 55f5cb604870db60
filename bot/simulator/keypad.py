"""Keys pressed on a leg, as a person presses them: one after another, in real time.

A key's tone begins at ``KeyPress.at`` and sounds for audio.TONE_SECONDS; the next key comes KEY_SECONDS after it began.
What was typed is kept in memory alone: no log has it, and no page shows it.
"""

from __future__ import annotations

import re
import time

from bot.simulator.errors import ControlError
from bot.simulator.model import Call, KeyPress
from bot.simulator.world import World

KEYS = "123456789*0#"
KEY_SECONDS = 0.1
_KEYS_MAX = 64


def check(keys: str) -> str:
    """The keys, if they are some; ControlError 400 otherwise, without repeating them."""
    if not re.fullmatch(rf"[0-9*#]{{1,{_KEYS_MAX}}}", keys):
        raise ControlError(400, f"keys must be 1 to {_KEYS_MAX} of 0-9, * and #")
    return keys


def press(world: World, call_sid: str, keys: str) -> int:
    """Press them all, and return when the last one is done: how many were pressed before the leg was over, if it was.

    Called without the world's lock. Keys of several callers on one leg never mix: the later ones wait. ControlError 409
    if the leg is not in progress when their turn comes.
    """
    check(keys)
    with world.lock:
        call = world.call(call_sid)
        _reachable(world, call)
        call.pressing += 1
    try:
        with call.finger:
            return _press_all(world, call, keys)
    finally:
        with world.lock:
            call.pressing -= 1
            world.changed.notify_all()


def _press_all(world: World, call: Call, keys: str) -> int:
    for done, key in enumerate(keys):
        with world.lock:
            if done and not _on_the_line(world, call):
                return done
            _reachable(world, call)
            _touch(world, call, key)
        time.sleep(KEY_SECONDS)
    return len(keys)


def _touch(world: World, call: Call, key: str) -> None:
    call.keys.append(KeyPress(key, world.clock.now()))
    if call.listeners:
        call.listeners[-1].key(key)
    world.changed.notify_all()


def _reachable(world: World, call: Call) -> None:
    if not _on_the_line(world, call):
        raise ControlError(409, f"call {call.sid} is {call.status}, not in progress")


def _on_the_line(world: World, call: Call) -> bool:
    """A reset leaves the leg as it was, but the world without it."""
    return call.status == "in-progress" and world.calls.get(call.sid) is call
