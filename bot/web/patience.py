"""Answers that Twilio gets in time: it hangs up on a call whose step takes longer than 15 s.

A database that is away says so by itself; one that says nothing at all could keep a step for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bot.errors import DatabaseUnavailable

THREADS_MAX = 400

T = TypeVar("T")
_threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="steps")


def in_time(seconds: float, what: Callable[[], T]) -> T:
    """What `what` returns or raises. Raises `DatabaseUnavailable` if that takes longer; it then goes on beside us.

    It runs in another thread, so it can ask nothing of Flask's request.
    """
    future = _threads.submit(what)
    try:
        return future.result(timeout=seconds)
    except TimeoutError:
        future.cancel()
        raise DatabaseUnavailable from None
