"""`verify.py` as an auditor has it: what it says of good exports, and that nothing changed goes unnoticed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit import verifier
from bot.audit.checkpoint import make_vkey, sign_note
from bot.audit.export import write_export
from bot.audit.part import Signed, write_part
from bot.audit.proofs import prove_consistency, prove_inclusion
from tests.audit import rfc6962
from tests.audit.examples import KEY, ORIGIN, OTHER_KEY, VKEY, note, reader
from tests.audit.test_checkpoint import GO_NOTE, GO_VKEY
from tests.audit.test_merkle import ROOTS
from tests.audit.test_proofs import HASHES, SEAMS, root

COUNT = 200
OLD = 77
WANTED = (0, 63, 64, 199)
OTHER_VKEY = make_vkey(ORIGIN, OTHER_KEY.public_key())
ENTRIES = [b'{"id":"%d"}' % number for number in range(COUNT)]  # short, as every bit costs a verification
NAME, OTHER_NAME = ("+".join(vkey.split("+", 2)[:2]) for vkey in (VKEY, OTHER_VKEY))


def refusal(folder: Path, *vkeys: str, old: str | None = None) -> str:
    """The reason; empty if it is proven."""
    try:
        verifier.check(folder, vkeys, old)
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def signed_by_both(text_of: str) -> str:
    """A note of the first key with the second's signature under it, as while keys are changed."""
    text = text_of.rpartition("\n\n")[0] + "\n"
    return text_of + sign_note(text, ORIGIN, OTHER_KEY).splitlines(keepends=True)[-1]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    write_export(tmp_path / "whole", reader(ENTRIES), note(ENTRIES), VKEY)
    return tmp_path / "whole"


def part_of(folder: Path, entries: list[bytes], wanted: tuple[int, ...], old: int | None = None) -> Path:
    log = Signed(note(entries), VKEY, reader(entries))
    write_part(folder, log, [(at, entries[at]) for at in wanted], note(entries[:old]) if old else None)
    return folder


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return part_of(tmp_path / "part", ENTRIES, WANTED, OLD)


# What is proven


def test_a_whole_export_is_proven_with_what_is_not(whole: Path) -> None:
    assert verifier.check(whole, [VKEY]) == (
        f"PROVEN: these are all {COUNT} entries of the log {ORIGIN} as signed by {NAME}. "
        "NOT proven: that they say the truth; what was logged later."
    )


def test_without_a_key_got_another_way_it_says_that_the_key_is_not_proven(whole: Path) -> None:
    assert verifier.check(whole).endswith(
        "what was logged later; whose key that is: it came with the export (see --vkey)."
    )


def test_a_part_is_proven_to_be_in_the_log_and_not_to_be_complete(tmp_path: Path) -> None:
    folder = part_of(tmp_path / "part", ENTRIES, WANTED)
    assert verifier.check(folder, [VKEY]) == (
        f"PROVEN: these {len(WANTED)} entries are in the log {ORIGIN} as signed at {COUNT} entries by {NAME}. "
        "NOT proven: that they say the truth; what was logged later; that none was left out."
    )


def test_an_older_checkpoint_is_proven_to_be_continued(whole: Path, part: Path) -> None:
    for folder in (whole, part):
        said = verifier.check(folder, [VKEY], note(ENTRIES[:OLD]))
        assert f"by {NAME}, which continues the checkpoint of {OLD}. NOT" in said
        assert verifier.check(folder, [VKEY], note(ENTRIES)).startswith("PROVEN")
    assert f"which continues the checkpoint of {OLD}" in verifier.check(part)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 31, 64, 75])
def test_exports_of_every_size_are_proven_and_linked_to_every_older_one(tmp_path: Path, size: int) -> None:
    folder = tmp_path / "whole"
    write_export(folder, reader(ENTRIES), note(ENTRIES[:size]), VKEY)
    for old in range(size + 1):
        assert refusal(folder, VKEY, old=note(ENTRIES[:old])) == ""
    for old in range(1, size):
        linked = part_of(tmp_path / f"part-{old}", ENTRIES[:size], (size - 1,), old)
        assert refusal(linked, VKEY, old=note(ENTRIES[:old])) == ""


def test_while_keys_are_changed_either_of_them_counts(tmp_path: Path) -> None:
    both = signed_by_both(note(ENTRIES))
    folder = tmp_path / "whole"
    write_export(folder, reader(ENTRIES), both, f"{VKEY}\n{OTHER_VKEY}\n")
    third = make_vkey(ORIGIN, Ed25519PrivateKey.generate().public_key())
    for vkeys in ((VKEY,), (OTHER_VKEY,), (VKEY, OTHER_VKEY), (third, OTHER_VKEY), ()):
        assert f"by {', '.join(sorted([NAME, OTHER_NAME]))}. NOT" in verifier.check(folder, vkeys)
    assert refusal(folder, third) == f"a checkpoint of {ORIGIN} ({COUNT} entries) is signed by none of the keys given"


def test_a_witness_beside_the_log_s_own_signature_is_ignored(whole: Path) -> None:
    path = whole / "checkpoint"
    text = path.read_text(encoding="utf-8").rpartition("\n\n")[0] + "\n"
    witness = sign_note(text, "witness.example", OTHER_KEY).splitlines(keepends=True)[-1]
    path.write_text(path.read_text(encoding="utf-8") + witness, encoding="utf-8")
    assert f"by {NAME}. NOT" in verifier.check(whole, [VKEY])


def test_the_published_key_and_signature_are_accepted() -> None:
    """Of golang.org/x/mod/sumdb/note. Its text is no checkpoint, so only key and signature are looked at."""
    (key,) = verifier.read_keys([GO_VKEY]).values()
    text, _, signature = GO_NOTE.rpartition("\n\n")
    key.verify(b64decode(signature.split(" ")[2])[4:], f"{text}\n".encode())


@pytest.mark.parametrize(("older", "size"), [pair for pair in SEAMS if pair[0] < pair[1]])
def test_published_consistency_proofs_are_accepted(older: int, size: int) -> None:
    first, second = bytes.fromhex(ROOTS[older]), bytes.fromhex(ROOTS[size])
    path = [bytes.fromhex(one) for one in SEAMS[older, size]]
    path = path if older & older - 1 else [first, *path]
    fn, sn = older - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    assert verifier.climb(fn, sn, path[0], path[1:]) == (first, second)


def test_inclusion_paths_of_every_size_are_climbed_to_the_root() -> None:
    for size in (*range(1, 131), 255, 256, 257, 400):
        for index, path in prove_inclusion(HASHES[:size], size, range(size)).items():
            ends = verifier.climb(index, size - 1, HASHES[index], path)
            assert ends is not None
            assert ends[1] == root(size)
            assert verifier.climb(index, size - 1, HASHES[index], [*path, HASHES[0]]) != ends
            assert not path or verifier.climb(index, size - 1, HASHES[index], path[:-1]) is None
    assert prove_consistency(HASHES[:9], 4, 9) == tuple(rfc6962.proof(4, 9))


# What is found


def flips(path: Path) -> Iterator[tuple[int, int]]:
    """Each bit of a file flipped in turn; as it was at the end."""
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(whole):
            for bit in range(8):
                file.seek(at)
                file.write(bytes([byte ^ 1 << bit]))
                yield at, bit
            file.seek(at)
            file.write(bytes([byte]))


def test_every_flipped_bit_of_a_whole_export_s_entries_is_found(whole: Path) -> None:
    """By the function that makes the hashes: the signature does not hang on the entries."""
    signed = [verifier.read_note(note(ENTRIES), verifier.read_keys([VKEY]), {NAME})]

    def is_found() -> bool:
        try:
            return verifier.check_whole(whole, signed) != COUNT
        except ValueError:
            return True

    assert [place for place in flips(whole / "entries.jsonl") if not is_found()] == []
    assert not is_found()


@pytest.mark.parametrize("name", ["checkpoint", "log.vkey"])
@pytest.mark.parametrize("vkeys", [(), (VKEY,)], ids=["enclosed key", "given key"])
def test_every_flipped_bit_beside_the_entries_is_found(whole: Path, name: str, vkeys: tuple[str, ...]) -> None:
    assert [place for place in flips(whole / name) if not refusal(whole, *vkeys)] == []
    assert refusal(whole, *vkeys) == ""


@pytest.mark.parametrize("name", ["entries.jsonl", "proofs.jsonl", "consistency", "checkpoint", "log.vkey"])
def test_every_flipped_bit_of_a_part_is_found(part: Path, name: str) -> None:
    assert [place for place in flips(part / name) if not refusal(part, VKEY)] == []
    assert refusal(part, VKEY) == ""


@pytest.mark.parametrize("name", ["checkpoint", "log.vkey"])
@pytest.mark.parametrize("vkeys", [(), (VKEY,), (OTHER_VKEY,)], ids=["enclosed keys", "first key", "second key"])
def test_every_flipped_bit_is_found_while_two_keys_sign(tmp_path: Path, name: str, vkeys: tuple[str, ...]) -> None:
    folder = tmp_path / "whole"
    write_export(folder, reader(ENTRIES), signed_by_both(note(ENTRIES[:9])), f"{VKEY}\n{OTHER_VKEY}\n")
    assert [place for place in flips(folder / name) if not refusal(folder, *vkeys)] == []


def dropped(lines: list[bytes], at: int) -> list[bytes]:
    return lines[:at] + lines[at + 1 :]


def doubled(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[: at + 1], *lines[at:]]


def swapped(lines: list[bytes], at: int) -> list[bytes]:
    other = (at + 1) % len(lines)
    result = list(lines)
    result[at], result[other] = lines[other], lines[at]
    return result


def added(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[: at + 1], b"{}\n", *lines[at + 1 :]]


def cut(lines: list[bytes], at: int) -> list[bytes]:
    return lines[:at]


def halved(lines: list[bytes], at: int) -> list[bytes]:
    return [*lines[:at], lines[at][:-2] + b"\n", *lines[at + 1 :]]


CHANGES = [dropped, doubled, swapped, added, cut, halved]


def rewritten(path: Path, change: Callable[[list[bytes], int], list[bytes]], at: int) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True), at)))


@pytest.mark.parametrize("change", CHANGES)
def test_any_altered_line_of_a_whole_export_is_found_with_a_reason(
    whole: Path, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    before = (whole / "entries.jsonl").read_bytes()
    reasons: dict[object, str] = {
        dropped: f"entries.jsonl ends after {COUNT - 1} entries, but {COUNT} were signed",
        doubled: f"the first {COUNT} entries are not those signed: some were changed or moved",
        swapped: f"the first {COUNT} entries are not those signed: some were changed or moved",
        added: f"the first {COUNT} entries are not those signed: some were changed or moved",
        halved: f"the first {COUNT} entries are not those signed: some were changed or moved",
    }
    for at in range(COUNT):
        rewritten(whole / "entries.jsonl", change, at)
        is_at_the_end = at == COUNT - 1 and change in (doubled, added)
        longer = f"entries.jsonl goes on after the {COUNT} entries that were signed"
        shorter = f"entries.jsonl ends after {at} entries, but {COUNT} were signed"
        assert refusal(whole, VKEY) == (longer if is_at_the_end else reasons.get(change, shorter))
        (whole / "entries.jsonl").write_bytes(before)


@pytest.mark.parametrize("name", ["entries.jsonl", "proofs.jsonl"])
@pytest.mark.parametrize("change", CHANGES)
def test_any_altered_line_of_a_part_is_found(
    part: Path, name: str, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    before = (part / name).read_bytes()
    for at in range(len(WANTED)):
        rewritten(part / name, change, at)
        assert "jsonl" in refusal(part, VKEY)
        (part / name).write_bytes(before)


def test_proofs_swapped_between_entries_are_found(part: Path) -> None:
    path = part / "proofs.jsonl"
    proofs = [json.loads(line) for line in path.read_bytes().splitlines()]
    for one in range(len(proofs)):
        for other in range(one):
            changed = [dict(proof) for proof in proofs]
            changed[one]["path"], changed[other]["path"] = proofs[other]["path"], proofs[one]["path"]
            path.write_text("".join(json.dumps(proof, separators=(",", ":")) + "\n" for proof in changed))
            number, index = other + 1, WANTED[other]
            assert refusal(part, VKEY) == f"line {number} of entries.jsonl is not proven to be entry {index}"


def test_lines_of_a_part_out_of_the_log_s_order_or_doubled_are_found_though_their_proofs_are_good(part: Path) -> None:
    for change in (swapped, doubled):
        before = {name: (part / name).read_bytes() for name in ("entries.jsonl", "proofs.jsonl")}
        for name in before:
            rewritten(part / name, change, 2)
        assert refusal(part, VKEY).endswith(f"of entries.jsonl is not proven to be entry {WANTED[2]}")
        for name, content in before.items():
            (part / name).write_bytes(content)


def test_other_spellings_of_a_proof_are_refused(part: Path) -> None:
    path = part / "proofs.jsonl"
    first, rest = path.read_bytes().split(b"\n", 1)
    proof = json.loads(first)
    for line in (
        json.dumps(proof).encode(),
        first.replace(b'"index":0', b'"index":00'),
        first.replace(b'"index":0', b'"index":-0'),
        first.replace(b'"index":0', b'"index":0.0'),
        first + b" ",
        first[:-1] + b',"more":1}',
        b"[" * 100_000,
        b"{}",
        b"null",
    ):
        path.write_bytes(line + b"\n" + rest)
        assert refusal(part, VKEY) != ""
    path.write_bytes(first + b"\n" + rest)
    assert refusal(part, VKEY) == ""


def resigned(size: int, root_of: bytes, key: Ed25519PrivateKey = KEY, origin: str = ORIGIN) -> str:
    return sign_note(f"{origin}\n{size}\n{b64encode(root_of).decode()}\n", origin, key)


@pytest.mark.parametrize(
    ("checkpoint", "reason"),
    [
        (
            note(ENTRIES, KEY, "other.example/log"),
            f"a checkpoint of other.example/log ({COUNT} entries) is signed by none of the keys",
        ),
        (note(ENTRIES, OTHER_KEY), f"a checkpoint of {ORIGIN} ({COUNT} entries) is signed by none of the keys"),
        (note(ENTRIES[:150]), "entries.jsonl goes on after the 150 entries that were signed"),
        (note([*ENTRIES, b"{}"]), f"entries.jsonl ends after {COUNT} entries, but {COUNT + 1} were signed"),
        (note([*ENTRIES[:50], b"{}", *ENTRIES[51:]]), f"the first {COUNT} entries are not those signed"),
        (
            note(ENTRIES).replace(f"\n{COUNT}\n", f"\n{COUNT + 1}\n"),
            f"the signature of {NAME} under a checkpoint is wrong",
        ),
        (note(ENTRIES).replace(f"\n{COUNT}\n", f"\n0{COUNT}\n"), "a checkpoint is malformed"),
        (note(ENTRIES).partition("\n\n")[0] + "\n", "a checkpoint is malformed"),
        (note(ENTRIES) + "\n", "a checkpoint is malformed"),
        ("", "a checkpoint is malformed"),
    ],
)
def test_another_checkpoint_is_found_with_the_reason(whole: Path, checkpoint: str, reason: str) -> None:
    (whole / "checkpoint").write_text(checkpoint, encoding="utf-8")
    assert refusal(whole, VKEY).startswith(reason)


@pytest.mark.parametrize("sign", ["\x1b[2K", "\0", "\x7f", "\x9b2K"])
def test_a_name_that_could_steer_the_auditor_s_terminal_is_not_printed(whole: Path, sign: str) -> None:
    name = f"{sign}PROVEN:"
    (whole / "checkpoint").write_text(note(ENTRIES).replace(ORIGIN, name), encoding="utf-8")
    assert refusal(whole, VKEY).startswith("a checkpoint is malformed")
    (whole / "log.vkey").write_text(VKEY.replace(ORIGIN, name), encoding="utf-8")
    assert refusal(whole, VKEY) == "a public key is malformed: name+key id+base64"


@pytest.mark.parametrize("size", [150, COUNT + 1])
def test_a_part_with_a_checkpoint_of_another_size_is_found(part: Path, size: int) -> None:
    (part / "checkpoint").write_text(note([*ENTRIES, b"{}"][:size]), encoding="utf-8")
    (part / "consistency").unlink()
    assert refusal(part, VKEY).endswith("of entries.jsonl is not proven to be entry 0")


def test_a_cut_tail_is_found_by_a_checkpoint_that_was_kept(tmp_path: Path) -> None:
    write_export(tmp_path / "cut", reader(ENTRIES), note(ENTRIES[:150]), VKEY)
    assert refusal(tmp_path / "cut", VKEY) == ""
    assert (
        refusal(tmp_path / "cut", VKEY, old=note(ENTRIES))
        == f"the log was cut: it had {COUNT} entries once, and now 150"
    )


def test_a_log_rewritten_and_signed_anew_by_the_key_s_owner_is_found_by_a_checkpoint_that_was_kept(
    tmp_path: Path, part: Path
) -> None:
    forged = [*ENTRIES[:50], b"{}", *ENTRIES[51:]]
    write_export(tmp_path / "forged", reader(forged), note(forged), VKEY)
    assert refusal(tmp_path / "forged", VKEY) == ""
    kept = note(ENTRIES[:OLD])
    assert refusal(tmp_path / "forged", VKEY, old=kept).startswith(f"the first {OLD} entries are not those signed")
    forged_part = part_of(tmp_path / "forged-part", forged, WANTED, OLD)
    assert refusal(forged_part, VKEY) == ""
    assert refusal(forged_part, VKEY, old=kept).startswith("nothing links your older checkpoint to this one")
    (forged_part / "consistency").write_bytes((part / "consistency").read_bytes())
    assert refusal(forged_part, VKEY).startswith(f"the log does not continue its older checkpoint of {OLD}")


def test_a_consistency_proof_from_an_empty_log_is_refused_and_hangs_nobody(part: Path) -> None:
    text = (part / "consistency").read_text(encoding="utf-8")
    hashes = text.partition("\n\n")[0].split("\n", 1)[1]
    (part / "consistency").write_text(f"old 0\n{hashes}\n\n{note([])}", encoding="utf-8")
    done = run(part, "--vkey", VKEY)
    assert (done.returncode, done.stdout[:66]) == (
        1,
        "NOT PROVEN: the log does not continue its older checkpoint of 0, o",
    )


def test_a_part_without_a_proof_from_the_kept_checkpoint_says_what_to_ask_for(tmp_path: Path) -> None:
    folder = part_of(tmp_path / "part", ENTRIES, WANTED)
    assert refusal(folder, VKEY, old=note(ENTRIES[:OLD])).endswith("ask for a part --since-checkpoint that one")


def test_a_key_in_the_folder_that_did_not_sign_is_found(whole: Path) -> None:
    (whole / "log.vkey").write_text(f"{VKEY}\n{OTHER_VKEY}\n")
    assert refusal(whole, VKEY) == "log.vkey holds a key that did not sign the checkpoint"


def test_an_unfinished_export_is_refused(whole: Path) -> None:
    (whole / "UNFINISHED").touch()
    assert refusal(whole, VKEY).startswith("this export is not finished")


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoint", "log.vkey"])
def test_a_missing_file_is_named(whole: Path, name: str) -> None:
    (whole / name).unlink()
    assert refusal(whole, VKEY).startswith("[Errno 2] No such file or directory: ")


# As a program of its own


def run(*arguments: object, script: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(script or verifier.__file__), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=30, check=False)


def test_the_file_in_an_export_runs_alone_on_its_own_folder(whole: Path, part: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{VKEY}\n")
    (tmp_path / "old").write_text(note(ENTRIES[:OLD]), encoding="utf-8")
    for folder in (whole, part):
        for vkey in (VKEY, tmp_path / "key"):
            done = run("--vkey", vkey, "--old-checkpoint", tmp_path / "old", script=folder / "verify.py")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout == verifier.check(folder, [VKEY], note(ENTRIES[:OLD])) + "\n"


def test_the_command_in_the_readme_imports_nothing_that_a_forger_put_beside_it(whole: Path) -> None:
    rewritten(whole / "entries.jsonl", dropped, 3)
    (whole / "argparse.py").write_text("print('PROVEN: all of it')\nraise SystemExit")
    told = re.search(r"python (.*) --vkey FILE", (whole / "README.txt").read_text())
    assert told is not None
    command = [sys.executable, *told[1].split(), "--vkey", VKEY]
    done = subprocess.run(command, capture_output=True, text=True, cwd=whole, timeout=30, check=False)
    assert (done.returncode, done.stdout[:12], done.stderr) == (1, "NOT PROVEN: ", "")


def test_a_verifier_that_is_a_link_into_a_good_export_checks_the_folder_that_it_was_started_in(whole: Path) -> None:
    shutil.copytree(whole, whole / "good")
    rewritten(whole / "entries.jsonl", dropped, 3)
    (whole / "verify.py").unlink()
    (whole / "verify.py").symlink_to("good/verify.py")
    done = run("--vkey", VKEY, script=whole / "verify.py")
    assert (done.returncode, done.stdout[:12], done.stderr) == (1, "NOT PROVEN: ", "")


def test_damage_is_exit_code_1_with_the_reason(whole: Path) -> None:
    rewritten(whole / "entries.jsonl", dropped, 3)
    done = run(whole, "--vkey", VKEY)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == f"NOT PROVEN: entries.jsonl ends after {COUNT - 1} entries, but {COUNT} were signed.\n"


def test_a_sample_of_flipped_bits_is_exit_code_1(part: Path) -> None:
    for name in ("entries.jsonl", "proofs.jsonl", "consistency", "checkpoint", "log.vkey"):
        whole = (part / name).read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            (part / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            done = run(part, "--vkey", VKEY)
            assert (done.returncode, done.stderr, done.stdout[:12]) == (1, "", "NOT PROVEN: "), (name, at)
        (part / name).write_bytes(whole)
    assert run(part, "--vkey", VKEY).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-folder",),
        ("--vkey", "no-such-file"),
        ("--vkey", "/dev/null"),
        ("--old-checkpoint", "none"),
        ("--what",),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_a_time_stamp_s_command_is_told_exactly(whole: Path) -> None:
    (whole / "checkpoint.tsr").write_bytes(b"0")
    said = run(whole, "--vkey", VKEY).stdout.splitlines()[1]
    assert f"openssl ts -verify -data {whole}/checkpoint -in {whole}/checkpoint.tsr -CAfile " in said


def test_a_time_stamp_s_command_can_be_pasted_whatever_the_folder_is_called(tmp_path: Path, whole: Path) -> None:
    folder = whole.rename(tmp_path / "it's; an export")
    (folder / "checkpoint.tsr").write_bytes(b"0")
    command = shlex.split(run(folder, "--vkey", VKEY).stdout.splitlines()[1].partition(": ")[2])
    assert command[3:7] == ["-data", f"{folder}/checkpoint", "-in", f"{folder}/checkpoint.tsr"]


def test_it_is_short_and_imports_nothing_but_python_and_cryptography() -> None:
    source = Path(verifier.__file__).read_text(encoding="utf-8")
    assert len(source.splitlines()) < 200
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported - sys.stdlib_module_names == {"cryptography"}
