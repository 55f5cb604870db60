"""A process of its own that appends entries to a log until it is told to stop; run by the tests of many writers.

Once the first entry is acknowledged it says so; the number of each goes into a file of the process's own, one a line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bot.audit.entry import Draft
from bot.audit.journal import Journal
from bot.storage.engine import Database


def main(url: str, folder: Path, name: str, count: int) -> None:
    database = Database(url)
    journal = Journal(database, name)
    with (folder / name).open("w") as acknowledged:
        for number in range(count):
            if (folder / "stop").exists():
                break
            journal.append(Draft(type="tested", actor=name, detail={"n": number}))
            acknowledged.write(f"{number}\n")
            if number == 0:
                print("writing", flush=True)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
