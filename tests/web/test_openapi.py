"""The API's description: sound by itself, complete, and what is served."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from bot.web.errors import STATUS_OF
from tests.web.bench import PUBLIC, Bench
from tests.web.conftest import DOCUMENT

ACTIONS = ("pause", "resume", "stop")
COMMON = {"200", "400", "401", "403", "429", "503"}


@pytest.fixture(scope="module")
def web_spec() -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return spec


def test_document_is_sound(web_spec: dict[str, Any]) -> None:
    assert web_spec["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(web_spec).iter_errors()) == []


def test_document_is_served_as_it_is_to_everybody(web_bench: Bench, web_spec: dict[str, Any]) -> None:
    reply = web_bench.app.test_client().get("/api/v1/openapi.json", base_url=PUBLIC)
    assert (reply.status_code, reply.mimetype) == (200, "application/json")
    assert reply.get_json() == web_spec


def test_document_has_exactly_the_routes_of_the_application(web_bench: Bench, web_spec: dict[str, Any]) -> None:
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/api/v1")), method.lower())
        for rule in web_bench.app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(path, method) for path, methods in web_spec["paths"].items() for method in methods}
    assert described == served
    assert described == {
        ("/calls", "get"),
        ("/calls/{sid}", "get"),
        *((f"/calls/{{sid}}/{action}", "post") for action in ACTIONS),
        ("/entries", "get"),
        ("/openapi.json", "get"),
    }


@pytest.mark.parametrize("action", ACTIONS)
def test_document_names_every_status_of_an_action(action: str, web_spec: dict[str, Any]) -> None:
    described = set(web_spec["paths"][f"/calls/{{sid}}/{action}"]["post"]["responses"])
    assert described >= COMMON | {"422"} | {str(status) for status in STATUS_OF.values()}


@pytest.mark.parametrize("path", ["/calls", "/calls/{sid}", "/entries"])
def test_document_names_every_status_of_a_reading(path: str, web_spec: dict[str, Any]) -> None:
    wanted = COMMON | ({"404"} if path == "/calls/{sid}" else set())
    assert set(web_spec["paths"][path]["get"]["responses"]) == wanted


def test_every_error_is_a_problem(web_spec: dict[str, Any]) -> None:
    for methods in web_spec["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                assert list(response["content"]) == [
                    "application/json" if status == "200" else "application/problem+json"
                ]


def test_call_has_exactly_the_members_of_the_design(web_spec: dict[str, Any]) -> None:
    schemas = web_spec["components"]["schemas"]
    members = {
        "Call": (
            "sid", "account", "status", "agent", "desired", "observed", "safe_to_take_card", "confirmed_at", "holds",
            "recordings",
        ),
        "Hold": ("id", "holder", "reason", "opened_at", "expires_at"),
        "Recording": ("sid", "of", "state", "confirmed_at"),
    }  # fmt: skip
    for name, wanted in members.items():
        assert set(schemas[name]["properties"]) == set(schemas[name]["required"]) == set(wanted)
        assert schemas[name]["additionalProperties"] is False


def test_every_path_but_the_document_wants_a_key(web_spec: dict[str, Any]) -> None:
    assert web_spec["security"] == [{"key": []}]
    open_paths = [path for path, methods in web_spec["paths"].items() if methods.get("get", {}).get("security") == []]
    assert open_paths == ["/openapi.json"]
