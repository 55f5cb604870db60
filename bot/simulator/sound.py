"""What there is to hear in a recording: gathered under the world's lock, made up outside it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from flask import Blueprint, Response, send_file

from bot.simulator import audio
from bot.simulator.audio import Score, Tone
from bot.simulator.exchange import the_world
from bot.simulator.model import Call, Conference, Recording
from bot.simulator.world import World

sound = Blueprint("sound", __name__, url_prefix="/sim")


@sound.get("/recordings/<sid>/audio")
def audio_so_far(sid: str) -> Response:
    """At any time; a player may ask for a part of it."""
    world = the_world()
    with world.lock:
        found = score(world, world.recording(sid))
    return send_file(io.BytesIO(audio.wav(found)), mimetype="audio/wav", conditional=True)


def later(found: Score) -> Response:
    """A reply whose sound is made when it is sent, and the world's lock is free."""

    def made() -> Iterator[bytes]:
        yield audio.wav(found)

    return Response(made(), mimetype="audio/x-wav")


def score(world: World, recording: Recording) -> Score:
    """A recording's sound so far: its conversation, and the keys of every leg that could be heard in it.

    Whatever its track: a tone that may be in a recording is in it.
    """
    if recording.conference:
        tones = _tones_in(world, world.conferences[recording.conference], recording.call)
    else:
        tones = [tone for leg in world.legs(recording.call or "") for tone in _tones_of(leg, recording.call)]
    spans = tuple(recording.spans(world.clock.now()))
    return Score(recording.call or recording.owner, recording.plan.channels, spans, tuple(tones))


def _tones_of(leg: Call, parent: str | None) -> list[Tone]:
    side = 0 if leg.sid == parent else 1
    return [Tone(pressed.key, pressed.at, side) for pressed in leg.keys]


def _tones_in(world: World, conference: Conference, parent: str | None) -> list[Tone]:
    """A leg's keys are heard in a conference only while the leg is in it."""
    now = world.clock.now()
    stays = [(one.leg, one.since, one.until) for one in conference.visits]
    stays += [(leg, since, now) for leg, since in conference.participants.items()]
    return [
        tone for leg, since, until in stays for tone in _tones_of(world.calls[leg], parent) if since <= tone.at <= until
    ]
