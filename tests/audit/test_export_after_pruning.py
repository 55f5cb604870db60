"""Parts and evidence of a log whose beginning lives in an archive: their proofs reach over it to the signed root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.audit import verifier
from bot.storage.engine import Database
from tests.audit.old_log import BEFORE, CALL, OldLog, old_log

BASE = 512


@pytest.fixture
def log(database: Database, database_url: str, tmp_path: Path) -> OldLog:
    log = old_log(database, database_url, tmp_path)
    (tmp_path / "kept").write_bytes(log.run("audit", "checkpoint").stdout_bytes)
    done = log.archive("old", "--prune")
    assert done.exit_code == 0, done.output
    return log


def proven(log: OldLog, name: str, *options: str) -> str:
    """What the export's own verifier says of it."""
    done = log.run("audit", *options)
    assert done.exit_code == 0, done.output
    vkeys = Path(f"{log.env['AUDIT_SIGNING_KEY_FILE']}.vkey").read_text().split()
    return verifier.check(log.folder / name, vkeys, (log.folder / "kept").read_text(encoding="utf-8"))


def indexes(folder: Path) -> list[int]:
    return [json.loads(line)["index"] for line in (folder / "proofs.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("options", [("--call", CALL), ("--from", "2000-01-01"), ("--from", BEFORE)], ids=" ".join)
def test_part_of_what_is_left_is_proven_and_linked_to_an_older_checkpoint(
    log: OldLog, options: tuple[str, ...]
) -> None:
    kept = str(log.folder / "kept")
    said = proven(log, "part", "export", str(log.folder / "part"), *options, "--since-checkpoint", kept)
    assert said.startswith("PROVEN")
    assert ", which continues the checkpoint of " in said
    first = indexes(log.folder / "part")[0]
    assert first >= BASE
    assert (first == BASE) == (BEFORE not in options)


def test_evidence_of_a_call_is_proven(log: OldLog) -> None:
    assert log.run("audit", "evidence", CALL, str(log.folder / "evidence")).exit_code == 0
    assert verifier.check(log.folder / "evidence").startswith("PROVEN")
    assert indexes(log.folder / "evidence")[0] == BASE


def test_whole_export_is_refused_and_says_what_to_do(log: OldLog) -> None:
    before = log.positions()
    done = log.run("audit", "export", str(log.folder / "whole"))
    assert done.exit_code == 2
    assert "The first 512 entries live in an archive only" in done.output
    assert not (log.folder / "whole").exists()
    assert log.positions() == before
