"""`python -m tests.soak`, which is `make soak`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from tqdm import tqdm

from tests.soak.plan import Plan, parse
from tests.soak.report import NAMES, Report, table
from tests.soak.run import run
from tests.support.missing import MissingPartError
from tests.support.postgres import Server, postgres_server


def main() -> int:
    """The exit code. What the processes printed is kept if something was wrong."""
    plan = parse()
    signal.signal(signal.SIGTERM, _end)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    is_good = False
    machine = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before the run"
    try:
        reports = _all(plan, folder)
        is_good = not any(report.wrong for report in reports)
        print(f"\nSIGKILL under load, seed {plan.seed}, {machine}:\n\n{table(reports)}")
    except MissingPartError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("soak: stopped", file=sys.stderr)
        return 130
    finally:
        if is_good:
            shutil.rmtree(folder)
        else:
            print(f"soak: databases and logs are in {folder}", file=sys.stderr)
    return 0 if is_good else 1


def _end(*_: object) -> None:
    raise KeyboardInterrupt


def _all(plan: Plan, folder: Path) -> list[Report]:
    with postgres_server() if "postgresql" in plan.databases else nullcontext() as server:
        return [_one(plan, database, folder / database, server) for database in plan.databases]


def _one(plan: Plan, database: str, folder: Path, server: Server | None) -> Report:
    folder.mkdir()
    url = server.new_database() if server and database == "postgresql" else f"sqlite:///{folder / 'bot.sqlite3'}"
    with tqdm(total=plan.kills, desc=NAMES[database], unit=" kills", disable=None) as bar:
        return run(plan, database, url, folder, bar.update)


if __name__ == "__main__":
    sys.exit(main())
