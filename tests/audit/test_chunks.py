"""The quick way through an export: the same tree, in whatever pieces, and no fault that it lets pass."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audit import parallel
from bot.audit.chunks import BLOCK_BYTES, Irregular, hash_file, hash_piece, join
from bot.audit.entry import MAX_BYTES
from bot.audit.export import write_export
from bot.audit.merkle import Frontier
from bot.audit.verify import verify_export
from tests.audit.examples import VKEY, bodies, note, reader, tree

ALL = bodies(1_100)


def lines(of: list[bytes]) -> bytes:
    return b"".join(body + b"\n" for body in of)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 255, 256, 257, 511, 512, 1_000, 1_024, 1_100])
def test_tree_of_a_file_is_the_tree_of_its_lines(count: int, tmp_path: Path) -> None:
    path = tmp_path / "entries.jsonl"
    path.write_bytes(lines(ALL[:count]))
    assert hash_file(path) == tree(ALL[:count])


@given(cuts=st.lists(st.integers(0, 1_100), max_size=6))
def test_pieces_join_to_the_same_tree_wherever_they_are_cut(cuts: list[int]) -> None:
    file = io.BytesIO(lines(ALL))
    bounds = [0, *sorted(cuts), 1_100]
    offsets = [len(lines(ALL[:bound])) for bound in bounds]
    pieces = [
        hash_piece(file, offsets[at], offsets[at + 1], bounds[at])
        for at in range(len(bounds) - 1)
        if offsets[at] < offsets[at + 1]
    ]
    assert join(pieces) == tree(ALL)
    assert sum(map(len, pieces)) < 2 * 11 * len(pieces), "a piece is O(log n) hashes"


def test_pieces_that_do_not_follow_each_other_are_refused() -> None:
    file = io.BytesIO(lines(ALL[:4]))
    with pytest.raises(ValueError, match="begins at 7"):
        join([hash_piece(file, 0, None, 7)])


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"{}\n\n",
        b"\n",
        b"{}\n{}\n{",
        b"{}\nno\n{}\n",
        b"[]\n{}\n",
        b"{}\n{}\r\n",
        b'{"' + b"a" * MAX_BYTES + b'"}\n',
        b"{}\n" * 50_000 + b"{}",
        b"{" + b"a" * (BLOCK_BYTES * 3),
    ],
)
def test_file_that_is_not_lines_of_objects_is_irregular(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "entries.jsonl"
    path.write_bytes(content)
    with pytest.raises(Irregular):
        hash_file(path)


def test_longest_entry_is_regular(tmp_path: Path) -> None:
    body = b'{"' + b"a" * (MAX_BYTES - 4) + b'"}'
    path = tmp_path / "entries.jsonl"
    path.write_bytes(lines([body, ALL[0], body]))
    assert hash_file(path) == tree([body, ALL[0], body])


@pytest.mark.parametrize("jobs", [1, 2, 3, 7])
def test_processes_find_the_same_tree(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PIECE_BYTES_MIN", 10_000)
    path = tmp_path / "entries.jsonl"
    path.write_bytes(lines(ALL))
    assert parallel.with_jobs(jobs)(path) == tree(ALL)


def test_processes_started_in_a_forger_s_folder_import_nothing_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "PIECE_BYTES_MIN", 10_000)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("def dumps(found): return '[]'")
    (tmp_path / "entries.jsonl").write_bytes(lines(ALL))
    assert parallel.with_jobs(2)(Path("entries.jsonl")) == tree(ALL)


@pytest.mark.parametrize("damage", ["edit", "torn", "swap", "cut"])
def test_damaged_export_is_told_line_by_line_with_any_number_of_processes(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "PIECE_BYTES_MIN", 10_000)
    write_export(tmp_path / "out", reader(ALL), note(ALL), VKEY)
    path = tmp_path / "out" / "entries.jsonl"
    content = bytearray(path.read_bytes())
    if damage == "edit":
        content[200_000] ^= 1
    elif damage == "swap":
        content = bytearray(lines([ALL[1], ALL[0], *ALL[2:]]))
    else:
        content = content[:-1] if damage == "torn" else bytearray(lines(ALL[:-1]))
    path.write_bytes(content)
    found = [verify_export(tmp_path / "out", VKEY, hash_file=parallel.with_jobs(jobs)) for jobs in (1, 2)]
    assert found[0] == found[1] == verify_export(tmp_path / "out", VKEY, deep=False)
    assert found[0].ok is False
    assert found[0].problems


def test_processes_whose_piece_is_good_end_quietly_when_another_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What they print beside the verdict would look like a crash of the verification."""
    monkeypatch.setattr(parallel, "PIECE_BYTES_MIN", 10_000)
    path = tmp_path / "entries.jsonl"
    path.write_bytes(b"no object\n" + lines(ALL) * 40)
    with pytest.raises(Irregular):
        parallel.with_jobs(3)(path)
    assert capfd.readouterr() == ("", "")


def test_good_export_gives_the_same_report_either_way(tmp_path: Path) -> None:
    write_export(tmp_path / "out", reader(ALL), note(ALL), VKEY)
    assert verify_export(tmp_path / "out", VKEY) == verify_export(tmp_path / "out", VKEY, deep=True)
    assert verify_export(tmp_path / "out").root == Frontier.root(tree(ALL)).hex()
