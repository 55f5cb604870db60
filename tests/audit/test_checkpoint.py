from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.audit.checkpoint import (
    Checkpoint,
    CheckpointError,
    make_vkey,
    open_note,
    parse_and_verify,
    parse_vkey,
    sign,
    sign_note,
)
from tests.audit.examples import KEY, ORIGIN, OTHER_KEY, VKEY

# Published with the reference implementation of signed notes (golang.org/x/mod/sumdb/note).
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
CHECKPOINT = Checkpoint(ORIGIN, 42, bytes(range(32)))
NOTE = sign(CHECKPOINT, ORIGIN, KEY)


def test_the_published_note_is_made_and_opened_byte_for_byte() -> None:
    key = Ed25519PrivateKey.from_private_bytes(GO_SECRET)
    assert make_vkey("PeterNeumann", key.public_key()) == GO_VKEY
    assert sign_note(GO_TEXT, "PeterNeumann", key) == GO_NOTE
    assert open_note(GO_NOTE, GO_VKEY) == GO_TEXT


def test_a_checkpoint_has_this_text_and_comes_back() -> None:
    assert CHECKPOINT.note_text() == f"{ORIGIN}\n42\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert parse_and_verify(NOTE, VKEY) == CHECKPOINT


def test_a_signature_of_a_witness_beside_ours_is_ignored() -> None:
    witness = sign_note(CHECKPOINT.note_text(), "witness.example", OTHER_KEY).splitlines()[-1]
    assert parse_and_verify(f"{NOTE}{witness}\n", VKEY) == CHECKPOINT


def test_every_single_bit_of_a_note_matters() -> None:
    whole = NOTE.encode()
    for at in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises((CheckpointError, UnicodeDecodeError)):
            parse_and_verify(changed.decode(), VKEY)


def test_every_single_bit_of_a_key_matters() -> None:
    whole = VKEY.encode()
    for at in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises((CheckpointError, UnicodeDecodeError)):
            parse_vkey(changed.decode())


def signed(text: str) -> str:
    return sign_note(text, ORIGIN, KEY)


ROOT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    ("note", "message"),
    [
        (NOTE.replace("\n42\n", "\n43\n"), "signature is wrong"),
        (sign(CHECKPOINT, ORIGIN, OTHER_KEY), "not signed by this key"),
        (
            sign(Checkpoint("other.example/log", 42, CHECKPOINT.root), "other.example/log", KEY),
            "not signed by this key",
        ),
        (signed(f"other.example/log\n42\n{ROOT}\n"), "of another log: other.example/log"),
        (signed(f"{ORIGIN}\n042\n{ROOT}\n"), "malformed"),
        (signed(f"{ORIGIN}\n-1\n{ROOT}\n"), "malformed"),
        (signed(f"{ORIGIN}\n\u0664\n{ROOT}\n"), "malformed"),
        (signed(f"{ORIGIN}\n{2**63}\n{ROOT}\n"), "a size and a root"),
        (signed(f"{ORIGIN}\n42\nAAEC\n"), "a size and a root"),
        (signed(f"{ORIGIN}\n42\n{ROOT[:-2]}9=\n"), "base64"),
        (signed(f"{ORIGIN}\n42\n{ROOT}\nmore\n"), "malformed"),
        (signed(f"{ORIGIN}\n42\n"), "malformed"),
        (NOTE.removesuffix("\n"), "malformed"),
        (NOTE + "\n", "malformed"),
        (NOTE.replace("\n", "\r\n"), "malformed"),
        (NOTE.replace("— ", "- "), "dash"),
        (NOTE + f"— {ORIGIN} AAAA\n", "too short"),
        (NOTE + NOTE.splitlines()[-1][:-8] + "AAAAAAA=\n", "base64|signature is wrong"),
        ("", "malformed"),
        ("\n\n", "malformed"),
        (NOTE * 1000, "malformed"),
    ],
)
def test_a_note_that_is_not_ours_is_refused_with_its_reason(note: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parse_and_verify(note, VKEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00"])
def test_a_log_is_not_named_with_spaces_plus_or_control_characters(name: str) -> None:
    with pytest.raises(CheckpointError, match="name of a log"):
        Checkpoint(name, 0, bytes(32))
    with pytest.raises(CheckpointError, match="name of a log"):
        make_vkey(name, KEY.public_key())


def test_signing_under_another_name_than_the_origin_is_refused() -> None:
    with pytest.raises(CheckpointError, match="its own log"):
        sign(CHECKPOINT, "other.example/log", KEY)


@pytest.mark.parametrize(
    "vkey", ["", "a", "a+b", "a+00000000+", VKEY.upper(), VKEY + "\n", " " + VKEY, VKEY.replace("example", "axample")]
)
def test_a_malformed_key_is_refused(vkey: str) -> None:
    with pytest.raises(CheckpointError):
        parse_vkey(vkey)
    with pytest.raises(CheckpointError):
        parse_and_verify(NOTE, vkey)
