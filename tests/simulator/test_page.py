"""The simulator's own page, as a browser without a script meets it."""

from __future__ import annotations

import re

import pytest

from bot.simulator.client import SimulatorClient
from tests.simulator.rest_client import Rest


def _place(rest: Rest, **form: str) -> None:
    placed = rest.send("POST", "/calls", form)
    assert (placed.status, placed.headers["Location"]) == (303, "/")


def test_page_says_what_it_is_and_has_nothing_inline(rest: Rest) -> None:
    shown = rest.get("/")
    assert shown.status == 200
    assert "This is a simulator, not Twilio" in shown.text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)", shown.text)
    policy = shown.headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    for asset in ("/static/simulator.css", "/static/simulator.js"):
        assert asset in shown.text
        assert rest.get(asset).status == 200


def test_call_is_placed_watched_and_hung_up(sim: SimulatorClient, rest: Rest) -> None:
    _place(
        rest, customer="+15005550088", agent="client:alice", recordings="1", conference="room", conference_recorded="on"
    )
    (call,) = sim.state()["calls"]
    sim.freeze()
    rest.pause(call["sid"])
    sim.advance(30)
    live = rest.get("/live").text
    for text in ("+15005550088", call["sid"], "client:alice", "room", 'rect class="skipped"', 'rect class="recorded"'):
        assert text in live
    assert rest.send("POST", f"/calls/{call['sid']}/hangup").status == 303
    assert sim.call(call["sid"])["status"] == "completed"
    refused = rest.send("POST", f"/calls/{call['sid']}/hangup")
    assert refused.status == 409
    assert "already over" in refused.text


def test_ringing_call_is_answered(sim: SimulatorClient, rest: Rest) -> None:
    _place(rest, ringing="on", recordings="1", unannounced="on")
    (call,) = sim.state()["calls"]
    assert call["status"] == "ringing"
    assert rest.send("POST", f"/calls/{call['sid']}/answer").status == 303
    (recording,) = sim.call(call["sid"])["recordings"]
    assert not recording["announced"]


def test_silent_stretch_is_drawn(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    rest.command(placed.call, "paused", PauseBehavior="silence")
    sim.advance(5)
    assert re.search(r'rect class="silent" x="0.0" width="1000.0"', rest.get("/live").text)


def test_fault_is_switched_on_and_off(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    assert rest.send("POST", "/faults", {"kind": "429", "on": "pause", "times": "2", "seconds": ""}).status == 303
    assert rest.pause(placed.call).code == 20429
    live = rest.get("/live").text
    assert "<strong>429</strong> for pause" in live
    assert "429 (20429)" in live
    (fault,) = sim.faults()
    assert rest.send("POST", f"/faults/{fault['id']}/remove").status == 303
    assert sim.faults() == []


@pytest.mark.parametrize(
    "form", [{}, {"kind": "x"}, {"kind": "late", "seconds": "soon"}, {"kind": "429", "times": "-1"}]
)
def test_bad_fault_is_refused_in_words(sim: SimulatorClient, rest: Rest, form: dict[str, str]) -> None:
    refused = rest.send("POST", "/faults", form)
    assert refused.status == 400
    assert "must be" in refused.text
    assert sim.faults() == []


def test_everything_is_escaped(sim: SimulatorClient, rest: Rest) -> None:
    evil = "<script>alert('x')</script>"
    sim.place_call(customer=evil, agent=evil, conference=evil)
    rest.get(f"Calls/{evil.replace('/', '')}.json".replace(" ", "").replace("<", "%3C").replace(">", "%3E"))
    for path in ("/", "/live"):
        text = rest.get(path).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
