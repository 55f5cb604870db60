"""The scanner finds what is planted, wherever and however: where the canary finds nothing, there is nothing."""

from __future__ import annotations

import base64
import html
import json
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import insert

from bot.storage import migrate, schema
from bot.storage.engine import Database
from tests.canary import readers
from tests.canary.cards import NUMBERS, as_base64, as_encoded, as_typed, in_groups, percent
from tests.canary.scan import Scanner
from tests.e2e.processes import until
from tests.support.postgres import Server

WRITTEN = sorted(
    {written for number in NUMBERS for written in (*as_typed(number), *as_encoded(number), *as_base64(number))}
)
WORD = "tokAbcDefGhiJklMnoPqrStu"


def is_found(data: bytes) -> bool:
    return bool(Scanner((WORD,)).find("here", data))


def test_card_is_found_in_a_file_in_every_writing(tmp_path: Path) -> None:
    for number, written in enumerate(WRITTEN):
        (tmp_path / str(number)).write_text(f"before {written}, after", encoding="utf-8")
    assert {hit.place for hit in Scanner().folder(tmp_path)} == {str(number) for number in range(len(WRITTEN))}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_card_is_found_in_utf_16(encoding: str) -> None:
    assert all(is_found(f"x {in_groups(number, ' ')} x".encode(encoding)) for number in NUMBERS)


def test_card_is_found_in_json_html_and_a_form() -> None:
    for written in WRITTEN:
        assert is_found(json.dumps({"said": written}).encode())
        assert is_found(html.escape(written).encode())
        assert is_found(urlencode({"said": written}).encode())


@pytest.mark.parametrize("before", range(6))
def test_card_and_word_are_found_in_base64_and_base32_wherever_they_begin(before: int) -> None:
    for text in (*NUMBERS, WORD):
        for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.b32encode):
            assert is_found(encode(b"x" * before + text.encode() + b"more"))


def test_card_is_found_as_a_binary_integer() -> None:
    assert all(is_found(b"\xff" + int(number).to_bytes(9, "little") + b"\xff") for number in NUMBERS)
    assert all(is_found(b"\xff" + struct.pack(">q", int(number))) for number in NUMBERS if int(number) < 2**63)


def test_word_is_found_plain_and_in_hexadecimal() -> None:
    assert is_found(f"x{WORD}x".encode())
    assert is_found(WORD.encode().hex().encode())


@pytest.mark.parametrize("written", [NUMBERS[0], in_groups(NUMBERS[0], "-"), percent(NUMBERS[0]), WORD])
def test_card_is_found_in_a_database_a_log_a_file_name_and_a_process(written: str, tmp_path: Path) -> None:
    scanner = Scanner((WORD,))
    url = f"sqlite:///{tmp_path / 'bot.sqlite3'}"
    database = Database(url)
    migrate.upgrade(database)
    with database.write() as connection:
        connection.execute(insert(schema.throttles).values(key=f"x {written}", since=datetime.now(UTC), count=1))
    assert scanner.find("the tables", readers.tables(url))
    assert scanner.folder(tmp_path)
    database.close()
    assert {hit.place for hit in scanner.folder(tmp_path)} == {"bot.sqlite3"}

    (tmp_path / "web.log").write_text(json.dumps({"event": f"x {written}"}), encoding="utf-8")
    (tmp_path / f"x {written}").touch()
    assert {hit.place for hit in scanner.folder(tmp_path)} == {"bot.sqlite3", "web.log", "the names of files"}

    command = [sys.executable, "-c", "input()", written]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={"CARD": written}) as process:
        until(lambda: {hit.place for hit in scanner.process(process.pid)} == {"cmdline", "environ"}, 10, "it runs")


def test_card_is_found_in_postgresql(postgres: Server) -> None:
    url = postgres.new_database()
    database = Database(url)
    migrate.upgrade(database)
    with database.write() as connection:
        for written in WRITTEN:
            connection.execute(insert(schema.throttles).values(key=f"x {written}", since=datetime.now(UTC), count=1))
    database.close()
    assert {hit.what.split()[0] for hit in Scanner().find("the tables", readers.tables(url))} == set(NUMBERS)
    postgres.drop(url)


@pytest.mark.parametrize(
    "kept",
    [
        "CA" + "0123456789abcdef" * 2, "+4915112345678", "2026-11-22T10:00:00.123456Z", "1763805600123456",
        "4111111111211", "41111111111", "+49 30 1234 5678 901", "192.168.100.200",
    ],
)  # fmt: skip
def test_what_is_no_card_is_not_found(kept: str) -> None:
    assert not is_found(f"x {kept} x".encode())
