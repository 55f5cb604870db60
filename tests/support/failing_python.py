"""Runs a Python script in which one call of a function on certain files fails, or kills the process. The plan is JSON
in the first argument; the script and its arguments follow. Each call is written down as it is made.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLAN = json.loads(sys.argv[1])
PATHS = {os.path.realpath(path) for path in PLAN["paths"]}
CALLS = os.open(PLAN["calls"], os.O_WRONLY | os.O_APPEND)
_seen: list[str] = []


def _is_one(argument: object) -> bool:
    """A path, or a descriptor of one."""
    try:
        where = f"/proc/self/fd/{argument}" if isinstance(argument, int) else os.fspath(argument)  # type: ignore[call-overload]
        return os.path.realpath(where) in PATHS
    except TypeError:
        return False


def _failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if any(_is_one(one) for one in arguments[:2]):
            _seen.append(name)
            os_write(CALLS, f"{name}\n".encode())
            if name == PLAN["call"] and _seen.count(name) == PLAN["number"]:
                if PLAN["fault"] == "KILL":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(getattr(errno, PLAN["fault"]), os.strerror(getattr(errno, PLAN["fault"])))
        return real(*arguments, **named)

    return call


os_write = os.write
for _name in ("open", "fsync", "fchmod", "rename", "replace", "mkdir", "link", "unlink"):
    setattr(os, _name, _failing(_name, getattr(os, _name)))
fcntl.flock = _failing("flock", fcntl.flock)

if __name__ == "__main__":
    sys.argv = sys.argv[2:]
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_path(sys.argv[0], run_name="__main__")
