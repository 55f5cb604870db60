"""A disk that is full for some processes: the system lets them write to no file, whatever room there is in truth."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OURSELVES = 0


@contextmanager
def full_disk(*pids: int) -> Iterator[None]:
    """For these running processes, or for our own, as long as the block runs. Python ignores SIGXFSZ: writes fail."""
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids or (OURSELVES,)}
    try:
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        yield
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
