from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from werkzeug.datastructures import MultiDict

from bot.telephony.signature import SignatureCheck

TOKEN = "t" * 32
BASE = "https://pause.example.com"
PATH = "/twilio/call-status"
FORM = MultiDict([("CallSid", "CA1"), ("From", "+1 500"), ("From", "again")])
CHECK = SignatureCheck(TOKEN, BASE)


def sign(text: str) -> str:
    return base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()


SIGNATURE = sign(BASE + PATH + "CallSidCA1From+1 500Fromagain")


def genuine(**changed: object) -> bool:
    asked = {
        "path": PATH, "query": "", "signature": SIGNATURE, "form": FORM, "body": b"", "is_json": False, **changed,
    }  # fmt: skip
    return CHECK.is_genuine(**asked)  # type: ignore[arg-type]


def test_signature_over_the_public_url_and_the_form_is_genuine() -> None:
    assert genuine() is True


def test_query_is_covered() -> None:
    assert (
        genuine(query="next=%2Fa", signature=sign(f"{BASE}{PATH}?next=%2Fa" + "CallSidCA1From+1 500Fromagain")) is True
    )
    assert genuine(query="next=%2Fb") is False


@pytest.mark.parametrize(
    "signature", [None, "", "wrong", SIGNATURE.lower(), SIGNATURE + "=", "x" * 101, "é" * 28, "\0"]
)
def test_bad_signature_is_not_genuine(signature: str | None) -> None:
    assert genuine(signature=signature) is False


@pytest.mark.parametrize(
    "form", [MultiDict(), MultiDict([("CallSid", "CA2")]), MultiDict([*FORM.items(multi=True), ("More", "1")])]
)
def test_changed_form_is_not_genuine(form: MultiDict[str, str]) -> None:
    assert genuine(form=form) is False


def test_other_path_is_not_genuine() -> None:
    assert genuine(path="/twilio/recording-status") is False


BODY = b'{"CallSid": "CA1"}'
QUERY = "bodySHA256=" + hashlib.sha256(BODY).hexdigest()


def test_json_is_covered_by_the_hash_in_the_url() -> None:
    wanted = {"query": QUERY, "signature": sign(f"{BASE}{PATH}?{QUERY}"), "form": MultiDict(), "is_json": True}
    assert genuine(body=BODY, **wanted) is True
    assert genuine(body=BODY + b" ", **wanted) is False
    assert genuine(body=b"\xff", **wanted) is False


@pytest.mark.parametrize("query", ["", "a=1", f"{QUERY}&{QUERY}"])
def test_json_without_exactly_one_hash_is_not_genuine(query: str) -> None:
    url = BASE + PATH + (f"?{query}" if query else "")
    assert genuine(query=query, signature=sign(url), form=MultiDict(), body=BODY, is_json=True) is False
