"""Makes sure of what the tests need beside Python: `python -m tests.support.install [chromium] [postgresql]`.

What is missing is installed from Debian's packages where that is allowed (as root, with apt-get). Otherwise one line
says what is missing and how to get it, and the exit code is 1: tests are never skipped for want of it. Parts that make
tests stronger (strace) are installed too where that is allowed; elsewhere a line says what is used instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tests.support.chromium import chromium_path
from tests.support.faults import does_strace_work, find_strace
from tests.support.missing import MissingPartError
from tests.support.postgres import ENVIRONMENT_NAME, postgres_binaries

APT_ATTEMPTS = 3
APT_PAUSE_SECONDS = 5
APT_TIMEOUT_SECONDS = 900
APT_LOCK_SECONDS = 300
APT_OPTIONS = ("-qq", "-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}", "-o", "Acquire::Retries=3")
HOW_LONG_A_LOOK_SECONDS = 60


def find_chromium() -> None:
    """Raises MissingPartError unless there is a browser that really starts (some packages are mere signposts)."""
    path = chromium_path()
    try:
        done = subprocess.run([path, "--version"], capture_output=True, check=False, timeout=HOW_LONG_A_LOOK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPartError("chromium", f"{path} does not start") from error
    if done.returncode != 0:
        raise MissingPartError("chromium", f"{path} does not start")


def find_postgresql() -> None:
    """Raises MissingPartError unless there is a server to use or the binaries to run one."""
    if not os.environ.get(ENVIRONMENT_NAME):
        postgres_binaries()


PARTS: Mapping[str, Callable[[], None]] = {"chromium": find_chromium, "postgresql": find_postgresql}
STRONGER: Mapping[str, Callable[[], None]] = {"strace": find_strace}
INSTEAD = "System calls of the signer are failed from within Python, for want of strace."


def missing_parts(names: Sequence[str], parts: Mapping[str, Callable[[], None]] = PARTS) -> list[MissingPartError]:
    missing = []
    for name in names:
        try:
            parts[name]()
        except MissingPartError as error:
            missing.append(error)
    return missing


def install(packages: Sequence[str]) -> None:
    """Raises CalledProcessError or TimeoutExpired when even the last attempt fails."""
    for attempt in range(1, APT_ATTEMPTS + 1):
        try:
            _apt_get("update")
            _apt_get("install", "--yes", "--no-install-recommends", *packages)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if attempt == APT_ATTEMPTS:
                raise
            time.sleep(APT_PAUSE_SECONDS)
        else:
            return


def _apt_get(*arguments: str) -> None:
    """Quiet, without questions; waits for another package manager to finish. Its errors go to our standard error."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        ["apt-get", *APT_OPTIONS, *arguments],
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=APT_TIMEOUT_SECONDS,
    )


def explain(missing: Sequence[MissingPartError]) -> str:
    """The one line."""
    packages = " ".join(part.package for part in missing)
    reasons = "; ".join(str(part) for part in missing)
    return (
        f"The tests need what is missing here ({reasons}). As root on Debian: apt-get install {packages}. "
        f"Elsewhere: install a Chromium (or set $CHROMIUM) and PostgreSQL (or set ${ENVIRONMENT_NAME})."
    )


def make_stronger() -> None:
    """Try, and say so where it cannot be."""
    missing = missing_parts(tuple(STRONGER), STRONGER)
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        with suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            install([part.package for part in missing])
        does_strace_work.cache_clear()
        missing = missing_parts(tuple(STRONGER), STRONGER)
    if missing:
        print(INSTEAD, file=sys.stderr)


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    wanted = names or tuple(PARTS)
    if not names:
        make_stronger()
    missing = missing_parts(wanted)
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [part.package for part in missing]
        print(f"Installing {' and '.join(packages)} for the tests ...", flush=True)
        try:
            install(packages)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"apt-get did not manage: {error}", file=sys.stderr)
        missing = missing_parts(wanted)
    if missing:
        print(explain(missing), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
