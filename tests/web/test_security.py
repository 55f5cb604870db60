"""What every reply carries and every request must: headers, hosts, cookies, no script or style of the page's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.simulator.client import SimulatorClient
from bot.web.security import is_our_host
from tests.conftest import ALICE, CAROL
from tests.simulator.process import Simulator
from tests.web.bench import KEYS, PUBLIC, UNKNOWN_CALL, Bench, Page
from tests.web.conftest import bench_of, settings_of
from tests.web.signing import signature_of

HTTPS = "https://pause.example.com"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}
REPLIES = [
    ("GET", "/", 302),
    ("GET", "/login", 200),
    ("POST", "/login", 400),
    ("GET", "/calls", 302),
    ("GET", "/nothing", 404),
    ("DELETE", "/login", 405),
    ("GET", "/static/app.css", 200),
    ("GET", "/static/nothing.css", 404),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/api/v1/openapi.json", 200),
    ("GET", "/api/v1/calls", 401),
    ("GET", "/api/v1/nothing", 404),
    ("POST", "/twilio/call-status", 403),
    ("GET", "/twilio/call-status", 405),
]


@pytest.fixture
def web_https(
    simulator: Simulator, twilio: SimulatorClient, web_url: str, tmp_path: Path, web_bench: Bench
) -> Iterator[Bench]:
    """The same application behind https and one proxy."""
    settings = settings_of(simulator.url, web_url, tmp_path, public_base_url=HTTPS, trusted_proxies=1)
    with bench_of(settings, twilio, web_bench.document) as bench:
        yield bench


# Headers


@pytest.mark.parametrize(("method", "path", "status"), REPLIES)
def test_every_reply_has_the_headers(method: str, path: str, status: int, web_bench: Bench) -> None:
    reply = web_bench.app.test_client().open(path, method=method, base_url=PUBLIC, buffered=True)
    assert reply.status_code == status
    assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    assert (reply.headers.get("Cache-Control") == "no-store") is not path.startswith("/static/")
    assert "Strict-Transport-Security" not in reply.headers


def test_every_reply_over_https_asks_to_stay_there(web_https: Bench) -> None:
    for method, path, status in REPLIES:
        reply = web_https.app.test_client().open(path, method=method, base_url=HTTPS, buffered=True)
        assert reply.status_code == status
        assert reply.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_reply_to_the_wrong_host_has_the_headers_too(web_bench: Bench) -> None:
    reply = web_bench.app.test_client().get("/login", base_url="http://evil.example")
    assert reply.status_code == 400
    assert reply.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_pages_have_no_script_or_style_of_their_own(web_bench: Bench) -> None:
    call, alice, carol = web_bench.place_call(ALICE), web_bench.signed_in(ALICE), web_bench.signed_in(CAROL)
    pages = [alice.page(path) for path in ("/calls", f"/calls/{call}", "/password")]
    pages += [carol.page(path) for path in ("/review", f"/review/calls/{call}")]
    pages += [web_bench.visitor().page("/login"), Page(web_bench.visitor().get("/nothing").text)]
    pages += [Page(alice.press(call, "Pause").text), Page(alice.get(f"/review/calls/{call}").text)]
    for page in pages:
        for tag, attributes in page.tags:
            assert tag != "style"
            assert tag != "script" or (attributes.get("src") or "").startswith("/static/")
            assert not [name for name in attributes if name == "style" or name.startswith(("on", "hx-on"))]
            for name in ("src", "href", "action"):
                assert not (attributes.get(name) or "").startswith(("http:", "https:", "//", "javascript:"))
        assert "<script>" not in page.html


# Cookies


def _cookie(bench: Bench) -> str:
    alice = bench.visitor()
    (cookie,) = alice.sign_in(ALICE.name, ALICE.password).headers.getlist("Set-Cookie")
    return cookie


def test_cookie_over_http_is_hidden_from_scripts_and_other_sites(web_bench: Bench) -> None:
    parts = {part.strip() for part in _cookie(web_bench).split(";")}
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= parts
    assert "Secure" not in parts
    assert not [part for part in parts if part.startswith("Domain")]


def test_cookie_over_https_is_secure_too(web_https: Bench) -> None:
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in _cookie(web_https).split(";")}


def test_form_over_https_from_another_site_is_refused(web_https: Bench) -> None:
    visitor = web_https.visitor()
    token = visitor.token("/login")
    form = {"csrf_token": token, "username": ALICE.name, "password": ALICE.password}
    for referer, status in ((None, 400), ("https://evil.example/", 400), (f"{HTTPS}/login", 303)):
        headers = {} if referer is None else {"Referer": referer}
        reply = visitor.client.post("/login", base_url=HTTPS, data=form, headers=headers)
        assert reply.status_code == status, referer


# Hosts and proxies


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1:8001", "127.0.0.1", "pause.example.com", "127.0.0.1:8000.evil.example", "a@b", "["],
)
def test_page_under_another_host_is_refused(host: str, web_bench: Bench) -> None:
    for path in ("/login", "/calls", "/api/v1/openapi.json", "/static/app.css", "/nothing"):
        reply = web_bench.app.test_client().get(path, base_url=PUBLIC, environ_overrides={"HTTP_HOST": host})
        assert reply.status_code in ({400, 404} if path == "/nothing" else {400})
        assert host not in reply.headers.get("Location", "")


def test_api_under_another_host_is_a_problem(web_bench: Bench) -> None:
    headers = {"Authorization": f"Bearer {KEYS['crm'][0]}"}
    reply = web_bench.app.test_client().get("/api/v1/calls", base_url="http://evil.example", headers=headers)
    assert (reply.status_code, reply.mimetype) == (400, "application/problem+json")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000", "[::1]:8000"])
def test_page_under_a_name_of_this_machine_is_shown(host: str, web_bench: Bench) -> None:
    reply = web_bench.app.test_client().get("/login", base_url=PUBLIC, environ_overrides={"HTTP_HOST": host})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("host", "public", "ours"),
    [
        ("pause.example.com", "pause.example.com", True),
        ("PAUSE.example.com", "pause.example.com", True),
        ("pause.example.com:443", "pause.example.com", False),
        ("pause.example.com.", "pause.example.com", False),
        ("localhost", "pause.example.com", False),
        ("localhost:1", "127.0.0.1:2", False),
        ("localhost", "[::1]", True),
        ("", "pause.example.com", False),
    ],
)
def test_host_is_ours_only_if_it_is_the_public_one(host: str, public: str, ours: bool) -> None:
    assert is_our_host(host, public) is ours


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_answers_under_any_host(path: str, web_bench: Bench) -> None:
    reply = web_bench.app.test_client().get(path, base_url="http://10.0.0.7:8000")
    assert reply.status_code == 200


def test_forwarded_headers_are_not_believed_without_a_proxy(web_bench: Bench) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    visitor = web_bench.visitor()
    form = {"csrf_token": visitor.token("/login"), "username": "alice", "password": "wrong"}
    assert visitor.client.post("/login", base_url=PUBLIC, data=form, headers=forwarded).status_code == 401
    assert web_bench.entries()[-1]["origin"] == "127.0.0.1"


def test_forwarded_headers_are_believed_as_far_as_the_proxies_reach(web_https: Bench) -> None:
    forwarded = {
        "X-Forwarded-For": "203.0.113.66, 192.0.2.9",
        "X-Forwarded-Host": "pause.example.com",
        "X-Forwarded-Proto": "https",
        "Authorization": "Bearer nothing",
    }
    reply = web_https.app.test_client().get("/api/v1/calls", base_url="http://10.0.0.7", headers=forwarded)
    assert reply.status_code == 401
    assert web_https.entries()[-1]["origin"] == "192.0.2.9"


def test_host_that_a_proxy_forwards_must_be_the_public_one(web_https: Bench) -> None:
    forwarded = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert web_https.app.test_client().get("/login", base_url=HTTPS, headers=forwarded).status_code == 400


def test_webhook_behind_a_proxy_is_checked_against_the_public_url(web_https: Bench) -> None:
    params = {"CallSid": UNKNOWN_CALL, "CallStatus": "ringing"}
    token = web_https.services.settings.twilio_auth_token.get_secret_value()
    signature = signature_of(token, f"{HTTPS}/twilio/call-status", params)
    client = web_https.app.test_client()
    headers = {"X-Twilio-Signature": signature}
    reply = client.post("/twilio/call-status", base_url="http://10.0.0.7:8000", data=params, headers=headers)
    assert reply.status_code == 204


def test_script_in_what_was_typed_is_never_markup(web_bench: Bench) -> None:
    visitor = web_bench.visitor()
    html = visitor.sign_in("<script>1</script>\"'>", "x").text
    assert "<script>1" not in html
    for path in ("/nothing/<script>1</script>", '/login?next="><script>1</script>', "/calls/<script>1</script>"):
        assert "<script>1" not in web_bench.signed_in(ALICE).get(path).text
