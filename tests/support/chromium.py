"""The system's Chromium, for Playwright: a browser that comes with updates, and without a download of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.missing import MissingPartError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_QUIET_ARGS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

# Chromium refuses to sandbox root's own processes; everybody else keeps the sandbox.
LAUNCH_ARGS = (*(("--no-sandbox",) if os.geteuid() == 0 else ()), *_QUIET_ARGS)


def chromium_path() -> Path:
    """The browser's executable: `$CHROMIUM` if set, else the first of NAMES on the PATH.

    Raises MissingPartError when there is none, also when `$CHROMIUM` names nothing that can be run.
    """
    wanted = os.environ.get("CHROMIUM")
    for name in (wanted,) if wanted else NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise MissingPartError("chromium", f"$CHROMIUM is {wanted}, which cannot be run" if wanted else "no browser found")


def browser_launch_args(existing: Mapping[str, Any]) -> dict[str, Any]:
    """Playwright's launch options with this browser in them, for pytest-playwright's `browser_type_launch_args`."""
    args = [*existing.get("args", ()), *LAUNCH_ARGS]
    return {**existing, "executable_path": str(chromium_path()), "args": args}
