"""The system that wants the results of payments."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from bot.simulator.client import SimulatorClient
from tests.simulator.process import Simulator

RESULT = {"type": "payment.succeeded", "data": {"call": "CA1", "token": "tok_0123456789"}}


def post(simulator: Simulator, body: bytes) -> int:
    request = urllib.request.Request(  # noqa: S310 - our own simulator
        f"{simulator.url}/results", body, {"Content-Type": "application/json", "webhook-id": "p1"}
    )
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - as above
        return int(reply.status)


def test_result_is_kept_with_its_headers_and_shown_without_its_token(
    simulator: Simulator, sim: SimulatorClient
) -> None:
    assert post(simulator, json.dumps(RESULT).encode()) == 204
    (kept,) = sim.results()
    assert (kept["body"], kept["headers"]["webhook-id"]) == (RESULT, "p1")
    with urllib.request.urlopen(f"{simulator.url}/live", timeout=5) as reply:  # noqa: S310 - as above
        page = reply.read().decode()
    assert "token …6789" in page
    assert "tok_0123" not in page


@pytest.mark.parametrize(("setting", "body", "status"), [("refuse", b"{}", 500), ("accept", b"[]", 400)])
def test_result_is_refused_when_told_to_or_malformed(
    simulator: Simulator, sim: SimulatorClient, setting: str, body: bytes, status: int
) -> None:
    sim.set(results=setting)
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(simulator, body)
    refused.value.close()
    assert refused.value.code == status
    assert sim.results() == []
