"""The browser files that are not ours are exactly those that their table names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import bot

VENDOR = Path(bot.__file__).parent / "static" / "vendor"


def _table() -> dict[str, str]:
    rows = (VENDOR / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    return {row[0]: row[-1] for row in cells if re.fullmatch(r"[0-9a-f]{64}", row[-1])}


def test_vendored_files_are_those_of_the_table() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    del found["README.md"]
    assert found == _table()


def test_vendored_files_fetch_nothing_from_elsewhere() -> None:
    css = (VENDOR / "pico.min.css").read_text(encoding="utf-8")
    assert "@import" not in css
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", css)
