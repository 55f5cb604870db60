"""The floor: what a pause would cost if there were no bot, only threads that POST to Twilio with urllib3."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import urllib3

from bench.load import GRACE_SECONDS, RAMP_SHARE, UNANSWERED, Result, new_call

ANSWER_SECONDS = 30.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Floor:
    """The three loads of `bench.load`, each client a thread over one pool. To be used in one `with` block."""

    def __init__(self, port: int, account: str, connections: int) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=connections, timeout=ANSWER_SECONDS)
        self._path = f"/2010-04-01/Accounts/{account}/Calls/%s/Recordings/Twilio.CURRENT.json"

    def close(self) -> None:
        self._pool.close()

    def one_at_a_time(self, count: int) -> Result:
        result = Result()
        self._post(Result(), 0.0)
        began = time.perf_counter()
        for _ in range(count):
            self._post(result, time.perf_counter())
        result.seconds = time.perf_counter() - began
        return result

    def at_once(self, size: int, rounds: int) -> Result:
        """The threads stand ready, so that starting them is no part of it; the first round is not counted."""
        result = Result()
        instants: list[float] = []
        gate = threading.Barrier(size + 1, action=lambda: instants.append(time.perf_counter()))

        def run(_: int) -> None:
            for number in range(rounds + 1):
                gate.wait()
                self._post(result if number else Result(), instants[-1])
                gate.wait()

        threads = _started(size, run)
        for number in range(rounds + 1):
            gate.wait()
            gate.wait()
            result.seconds += instants[-1] - instants[-2] if number else 0.0
        for thread in threads:
            thread.join()
        return result

    def closed_loop(self, clients: int, seconds: float) -> Result:
        result = Result(seconds=seconds)
        ramp_seconds = RAMP_SHARE * seconds
        begin = time.perf_counter() + ramp_seconds
        end = begin + seconds

        def run(index: int) -> None:
            time.sleep(ramp_seconds * index / clients)
            while (due := time.perf_counter()) < end:
                self._post(result, due, lambda arrived: begin <= arrived < end)

        deadline = end + GRACE_SECONDS
        for thread in _started(clients, run):
            thread.join(max(0.0, deadline - time.perf_counter()))
        return result

    def _post(self, result: Result, due: float, counted: Callable[[float], bool] = lambda _: True) -> None:
        try:
            body = "Status=paused&PauseBehavior=skip"
            status = self._pool.request("POST", self._path % new_call(), body=body, headers=FORM, retries=False).status
        except (urllib3.exceptions.HTTPError, OSError):
            status = UNANSWERED
        arrived = time.perf_counter()
        if status != 200:
            result.not_200[status] += 1
        elif counted(arrived):
            result.times.append(arrived - due)


def _started(count: int, run: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    return threads
