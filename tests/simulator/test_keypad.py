"""Keys pressed on a leg."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.flows import seen
from tests.simulator.process import Simulator
from tests.simulator.rest_client import Rest


def _pressed(sim: SimulatorClient, call: str) -> int:
    return int(sim.call(call)["keys_pressed"])


def test_keys_are_pressed_in_real_time(sim: SimulatorClient) -> None:
    placed = sim.place_call()
    began = time.monotonic()
    assert sim.press(placed.call, "12#") == 3
    assert 0.3 <= time.monotonic() - began < 2
    assert _pressed(sim, placed.call) == 3


def test_keys_are_of_one_leg(sim: SimulatorClient) -> None:
    placed = sim.place_call(agent="client:alice")
    sim.press(placed.agent_leg or "", "7")
    assert [leg["keys_pressed"] for leg in sim.call(placed.call)["legs"]] == [0, 1]


@pytest.mark.parametrize("keys", ["", "12 3", "A", "٣", "1" * 65])
def test_what_is_no_key_is_refused_and_not_repeated(sim: SimulatorClient, keys: str) -> None:
    placed = sim.place_call()
    with pytest.raises(SimulatorRefused) as refused:
        sim.press(placed.call, keys)
    assert str(refused.value) == "400: keys must be 1 to 64 of 0-9, * and #"
    assert _pressed(sim, placed.call) == 0


def test_leg_that_rings_or_is_over_takes_no_keys(sim: SimulatorClient) -> None:
    placed = sim.place_call(answered=False)
    with pytest.raises(SimulatorRefused) as ringing:
        sim.press(placed.call, "1")
    sim.hang_up(placed.call)
    with pytest.raises(SimulatorRefused) as over:
        sim.press(placed.call, "1")
    with pytest.raises(SimulatorRefused) as unknown:
        sim.press("CA" + "0" * 32, "1")
    assert [one.value.http for one in (ringing, over, unknown)] == [409, 409, 404]


@pytest.mark.parametrize("end", ["hang_up", "reset"])
def test_keys_stop_when_the_leg_is_gone(sim: SimulatorClient, end: str) -> None:
    placed = sim.place_call()
    with ThreadPoolExecutor(1) as pool:
        pressing = pool.submit(sim.press, placed.call, "1" * 50)
        seen(sim, placed.call, lambda now: bool(now["keys_pressed"]))
        if end == "hang_up":
            sim.hang_up(placed.call)
        else:
            sim.reset()
        assert 0 < pressing.result(timeout=2) < 50


def test_two_who_press_at_once_wait_for_each_other(sim: SimulatorClient) -> None:
    placed = sim.place_call()
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda keys: sim.press(placed.call, keys), ["111", "222"])) == [3, 3]
    assert time.monotonic() - began >= 0.6


def test_keys_are_in_no_log_and_on_no_page(sim: SimulatorClient, simulator: Simulator, rest: Rest) -> None:
    placed = sim.place_call()
    sim.press(placed.call, "97531")
    shown = [str(sim.requests()), str(sim.state()), str(sim.callbacks()), rest.get("/").text]
    assert not any("97531" in one for one in shown)
    assert simulator.process.poll() is None
