"""What recordings sound like: conversation where they recorded, every key pressed there, and none pressed elsewhere."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

import pytest

from bot.simulator.audio import LONGEST_SECONDS, Score, Tone, wav
from bot.simulator.client import SimulatorClient, SimulatorRefused
from tests.simulator.process import Simulator
from tests.simulator.rest_client import Rest
from tests.support.dtmf import digits_in, read

CARD = "4242424242424242"
NOON = 1_800_000_000.0
NOBODY = "RE" + "0" * 32


def _conversation(seconds: float, channels: int, *tones: Tone, voice: str = "CA1") -> bytes:
    return wav(Score(voice, channels, (("recorded", NOON, NOON + seconds),), tones))


@pytest.mark.parametrize("channels", [1, 2])
def test_minutes_of_conversation_hold_no_key_and_are_never_silent(channels: int) -> None:
    made = _conversation(240, channels)
    assert digits_in(made) == ""
    sound = read(made)
    assert (sound.rate, len(sound.channels), sound.seconds) == (8000, channels, 240)
    assert all(sound.loudness(second, second + 0.2) > 0 for second in range(240))
    assert 500 < sound.loudness() < 3000


@pytest.mark.parametrize("channels", [1, 2])
def test_every_key_is_found_in_order_whenever_it_was_pressed(channels: int) -> None:
    keys = "0123456789*#" + CARD
    for step in range(13):
        tones = [Tone(key, NOON + 1 + 0.1 * at + step / 1000, at % 2) for at, key in enumerate(keys)]
        assert digits_in(_conversation(6, channels, *tones, voice=f"CA{step}")) == keys


def test_sides_are_on_their_own_channels() -> None:
    made = read(_conversation(5, 2, Tone("1", NOON + 1, 0), Tone("2", NOON + 1, 1)))
    parent, others = (channel[8000:8480] for channel in made.channels)
    assert max(parent) > 15_000
    assert max(others) > 15_000
    assert parent != others


def test_tone_is_cut_where_the_pause_begins() -> None:
    pause = (("recorded", NOON, NOON + 1.05), ("skipped", NOON + 1.05, NOON + 3), ("recorded", NOON + 3, NOON + 4))
    short = (("recorded", NOON, NOON + 1.02), *pause[1:])
    assert digits_in(wav(Score("CA1", 1, pause, (Tone("5", NOON + 1, 0),)))) == "5"
    assert digits_in(wav(Score("CA1", 1, short, (Tone("5", NOON + 1, 0),)))) == ""
    assert read(wav(Score("CA1", 1, short, ()))).seconds == 2.02


def test_one_moment_always_sounds_the_same() -> None:
    whole = read(_conversation(10, 2)).channels
    later = read(wav(Score("CA1", 2, (("recorded", NOON + 3.3, NOON + 6),), ()))).channels
    assert [channel[26_400:48_000] for channel in whole] == list(later)
    assert read(_conversation(10, 2, voice="CA2")).channels != whole


def test_a_minute_is_made_in_about_a_second() -> None:
    began = time.monotonic()
    _conversation(60, 2, *[Tone("5", NOON + second, 0) for second in range(60)])
    assert time.monotonic() - began < 2


def test_keys_of_a_pause_are_in_no_recording(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call(agent="client:alice")
    sim.press(placed.call, "12")
    rest.pause(placed.call)
    sim.press(placed.call, CARD)
    sim.press(placed.agent_leg or "", "77")
    rest.command(placed.call, "in-progress")
    sim.press(placed.agent_leg or "", "34")
    so_far = sim.audio(placed.recordings[0])
    sim.hang_up(placed.call)
    made = sim.audio(placed.recordings[0])
    assert (digits_in(so_far), digits_in(made)) == ("1234", "1234")
    (shown,) = sim.call(placed.call)["recordings"]
    before, _, after = shown["stretches"]
    sound = read(made)
    assert sound.seconds == pytest.approx(shown["seconds"], abs=0.002)
    assert sound.seconds == pytest.approx(before["to"] - before["from"] + after["to"] - after["from"], abs=0.002)


@pytest.mark.parametrize(("behavior", "seconds"), [("skip", 15), ("silence", 20)])
def test_skipped_stretch_is_not_in_the_file_and_silent_one_is_empty(
    sim: SimulatorClient, rest: Rest, behavior: str, seconds: int
) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.advance(10)
    rest.command(placed.call, "paused", PauseBehavior=behavior)
    sim.advance(5)
    rest.command(placed.call, "in-progress")
    sim.advance(5)
    sim.hang_up(placed.call)
    sound = read(sim.audio(placed.recordings[0]))
    assert sound.seconds == seconds
    loudness = [sound.loudness(second, second + 1) > 0 for second in range(seconds)]
    assert loudness == ([True] * 15 if behavior == "skip" else [True] * 10 + [False] * 5 + [True] * 5)


def test_conference_hears_a_leg_while_it_is_in_it(sim: SimulatorClient) -> None:
    placed = sim.place_call(agent="client:alice", conference="room", linked=False, conference_recordings=1)
    bob = sim.place_call(recordings=0).call
    conference = placed.conference or ""
    sim.press(placed.call, "1")
    sim.press(placed.agent_leg or "", "2")
    sim.press(bob, "3")
    sim.join(conference, bob)
    sim.press(bob, "4")
    sim.leave(conference, bob)
    sim.press(bob, "5")
    assert digits_in(sim.audio(placed.conference_recordings[0])) == "124"
    assert digits_in(sim.audio(placed.recordings[0])) == "1"
    sim.hang_up(placed.call)
    assert digits_in(sim.audio(placed.conference_recordings[0])) == "124"


def test_file_is_fetched_once_the_recording_is_done(sim: SimulatorClient, simulator: Simulator, rest: Rest) -> None:
    placed = sim.place_call()
    (recording,) = placed.recordings
    sim.press(placed.call, "42")
    assert rest.get(f"Recordings/{recording}.wav").code == 20404
    sim.set(completion_seconds=600)
    extra = sim.start_recording(placed.call)
    sim.set_recording(extra, "completed")
    assert rest.get(f"Recordings/{extra}.wav").code == 20404
    sim.set(completion_seconds=0)
    sim.hang_up(placed.call)
    for name in (recording, f"{recording}.wav"):
        status, kind, made = _fetch(simulator, rest, name)
        assert (status, kind, digits_in(made)) == (200, "audio/x-wav", "42")
    assert rest.get(f"Recordings/{recording}.json").json["status"] == "completed"
    assert Rest(simulator.url, password="wrong").get(f"Recordings/{recording}.wav").code == 20003
    assert rest.get(f"Recordings/{NOBODY}.wav").code == 20404
    sim.add_fault("429", on="fetch-audio", times=1)
    assert rest.get(f"Recordings/{recording}.wav").code == 20429
    assert len(sim.requests(kind="fetch-audio")) == 7


def test_absent_recording_has_no_file(sim: SimulatorClient, rest: Rest) -> None:
    placed = sim.place_call()
    sim.set_recording(placed.recordings[0], "absent")
    assert rest.get(f"Recordings/{placed.recordings[0]}.wav").code == 20404


def _fetch(simulator: Simulator, rest: Rest, name: str, **headers: str) -> tuple[int, str, bytes]:
    return _raw(simulator, rest.where(f"Recordings/{name}"), {"Authorization": rest.basic} | headers)


def _raw(simulator: Simulator, path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
    parts = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()
    finally:
        connection.close()


def test_player_may_ask_for_a_part(sim: SimulatorClient, simulator: Simulator) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.advance(3)
    (recording,) = placed.recordings
    status, kind, part = _raw(simulator, f"/sim/recordings/{recording}/audio", {"Range": "bytes=44-1043"})
    assert (status, kind, part) == (206, "audio/wav", sim.audio(recording)[44:1044])


def test_of_a_long_recording_there_is_the_end(sim: SimulatorClient) -> None:
    sim.freeze()
    placed = sim.place_call(channels=1)
    sim.advance(LONGEST_SECONDS)
    sim.set_recording(placed.recordings[0], "paused", behavior="silence")
    sim.advance(60)
    sound = read(sim.audio(placed.recordings[0]))
    assert sound.seconds == LONGEST_SECONDS
    assert sound.loudness(LONGEST_SECONDS - 60) == 0
    assert sound.loudness(LONGEST_SECONDS - 61, LONGEST_SECONDS - 60) > 0


def test_recording_that_has_not_run_is_empty(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    assert read(sim.audio(placed.recordings[0])).seconds == 0
    assert "<audio" not in rest.get("/live").text
    with pytest.raises(SimulatorRefused) as refused:
        sim.audio(NOBODY)
    assert refused.value.http == 404


def test_page_plays_what_there_is(sim: SimulatorClient, rest: Rest) -> None:
    sim.freeze()
    placed = sim.place_call()
    sim.advance(1)
    shown = rest.get("/")
    assert f'controls preload="none" src="/sim/recordings/{placed.recordings[0]}/audio"' in shown.text
    assert "media-src 'self'" in shown.headers["Content-Security-Policy"]
