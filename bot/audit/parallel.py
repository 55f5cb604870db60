"""An export's file hashed by several processes at once: each takes a piece, this one joins what they found.

The processes are this module, run with as little loaded as hashing needs: `python -P -m bot.audit.parallel PATH START
STOP POSITION`. With -P they import nothing from the folder they are started in, which may be the export itself. A file
that is small is not worth them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from bot.audit.chunks import HashFile, Irregular, Subtree, hash_file, hash_piece, join
from bot.audit.merkle import Frontier
from bot.errors import LogError

PIECE_BYTES_MIN = 4_000_000
COUNT_BYTES = 1_000_000
IRREGULAR = 3


def with_jobs(jobs: int) -> HashFile:
    """`hash_file` for as many processes."""

    def hash_in_pieces(path: Path) -> Frontier:
        count = min(jobs, path.stat().st_size // PIECE_BYTES_MIN)
        return hash_file(path) if count < 2 else _hash(path, count)

    return hash_in_pieces


def _hash(path: Path, count: int) -> Frontier:
    """Each process begins as soon as it is known which entry its piece begins with."""
    with ExitStack() as open_parts:
        file = open_parts.enter_context(path.open("rb"))
        size = path.stat().st_size
        bounds = [0, *(_line_start(file, size * number // count) for number in range(1, count)), size]
        running, position = [], 0
        for number, (start, stop) in enumerate(pairwise(bounds), 1):
            command = [sys.executable, "-P", "-m", __name__, str(path), str(start), str(stop), str(position)]
            running.append(open_parts.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)))
            if number < count:
                position += _count_lines(file, start, stop)
        said = [process.communicate()[0] for process in running]  # to its end, that none writes to nobody
        return join(map(_found, running, said))


def _found(process: subprocess.Popen[bytes], said: bytes) -> list[Subtree]:
    if process.returncode == IRREGULAR:
        raise Irregular
    if process.returncode != 0:
        raise LogError("A process that was to hash a part of the file failed.")
    return [Subtree(start, level, bytes.fromhex(root)) for start, level, root in json.loads(said)]


def _line_start(file: BinaryIO, near: int) -> int:
    file.seek(near)
    file.readline()
    return file.tell()


def _count_lines(file: BinaryIO, start: int, stop: int) -> int:
    file.seek(start)
    count = 0
    while block := file.read(min(COUNT_BYTES, stop - file.tell())):
        count += block.count(b"\n")
    return count


def _main(path: str, start: str, stop: str, position: str) -> int:
    try:
        with Path(path).open("rb") as file:
            found = hash_piece(file, int(start), int(stop), int(position))
    except Irregular:
        return IRREGULAR
    print(json.dumps([(one.start, one.level, one.root.hex()) for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
