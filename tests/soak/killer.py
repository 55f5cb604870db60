"""SIGKILL at random moments: to a web worker, to gunicorn's master alone, to the whole of web, to a bot worker."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.soak.keeper import Keeper
from tests.soak.stack import WORKERS

WEB_CHILD, WEB_MASTER, WEB_WHOLE, WORKER = "web worker", "web master", "web whole", "worker"
SHARES = {WEB_CHILD: 56, WEB_MASTER: 7, WEB_WHOLE: 7, WORKER: 30}
NOBODY_THERE_SECONDS = 0.1


class Killer:
    """`done` counts the kills of each kind."""

    def __init__(self, keeper: Keeper, chance: Random, pace_seconds: float) -> None:
        self.done: Counter[str] = Counter()
        self._keeper = keeper
        self._chance = chance
        self._pace_seconds = pace_seconds

    def kill(self, count: int, deadline: float, tell: Callable[[], object]) -> None:
        """So many kills, at random moments, until the deadline by the monotonic clock; `tell` is called after each."""
        for _ in range(count):
            time.sleep(min(self._chance.expovariate(1 / self._pace_seconds), 4 * self._pace_seconds))
            (kind,) = self._chance.choices(list(SHARES), list(SHARES.values()))
            while not self._kill(kind):
                if time.monotonic() > deadline:
                    return
                time.sleep(NOBODY_THERE_SECONDS)
            self.done[kind] += 1
            tell()
            if time.monotonic() > deadline:
                return

    def _kill(self, kind: str) -> bool:
        if kind == WEB_CHILD:
            return self._keeper.kill_child("web", self._chance)
        if kind == WEB_MASTER:
            return self._keeper.kill_leader("web")
        return self._keeper.kill_all("web" if kind == WEB_WHOLE else self._chance.choice(WORKERS))
