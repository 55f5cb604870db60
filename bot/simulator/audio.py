"""The sound of a recording, made up: conversation and the tones of keys. Pure: the same score gives the same bytes.

8 kHz, 16 bit. Conversation is noise of the telephone's band in the rhythm of syllables; two sides take turns, and it is
never quite silent. It hangs on whose it is and on the moment alone: two recordings of one moment sound the same. It is
put together from pieces made once: a sample at a time would take Python too long.
"""

from __future__ import annotations

import hashlib
import io
import math
import wave
from array import array
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from bot.simulator.model import RECORDED, SKIPPED

RATE = 8000
"""Samples a second."""
TONE_SECONDS = 0.06
LONGEST_SECONDS = 30 * 60
"""Of a longer recording only the end is made: this much of it."""

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)
_KEYS = ("123", "456", "789", "*0#")
_TONE_LEVEL = 32767 * 10 ** (-10 / 20)
"""Each of a key's two tones: 10 dB below the loudest sine that fits."""

_SLOT = RATE // 5
"""One syllable, or a short pause."""
_TURN = 12
"""How many slots one side speaks before it may be the other's turn."""
_SYLLABLES = 48
_BAND_HZ = (300.0, 3000.0)
_SPEECH_LEVEL = 2200.0
"""Of a loud syllable, as root mean square."""
_FAINT = 64
"""By how much the side that listens, and a pause, is softer."""
_MOST = 32767


@dataclass(frozen=True, slots=True)
class Tone:
    """One key: when (seconds of the world's clock), and on which side it was pressed."""

    key: str
    at: float
    side: int
    """0 the parent leg, 1 all others."""


@dataclass(frozen=True, slots=True)
class Score:
    """What there is to hear."""

    voice: str
    """Whose conversation it is: a call or a conference."""
    channels: int
    spans: tuple[tuple[str, float, float], ...]
    """(recorded | skipped | silent, from, to), seconds of the world's clock, in order."""
    tones: tuple[Tone, ...]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A stretch that is in the file; samples since 1970, ``last`` is the first one behind it."""

    heard: bool
    first: int
    last: int


def wav(score: Score) -> bytes:
    """The whole file. Two channels: the parent leg, then the legs it dialled; one: both together."""
    cuts = _cuts(score.spans)
    sides: tuple[int | None, ...] = (0, 1) if score.channels == 2 else (None,)
    tracks = [_track(score, side, cuts) for side in sides]
    samples = array("h", bytes(2 * len(tracks) * len(tracks[0])))
    for at, track in enumerate(tracks):
        samples[at :: len(tracks)] = track
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(len(tracks))
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _cuts(spans: tuple[tuple[str, float, float], ...]) -> list[_Cut]:
    """What is in the file, at most the last so many seconds of it."""
    left, found = LONGEST_SECONDS * RATE, list[_Cut]()
    for state, start, end in reversed(spans):
        if state == SKIPPED:
            continue
        last = round(end * RATE)
        first = max(round(start * RATE), last - left)
        left -= last - first
        found.append(_Cut(state == RECORDED, first, last))
    return found[::-1]


def _track(score: Score, side: int | None, cuts: list[_Cut]) -> array[int]:
    """One channel; ``side`` None is both sides in one."""
    track = array("h")
    tones = [tone for tone in score.tones if side is None or tone.side == side]
    for cut in cuts:
        if cut.heard:
            sound = _conversation(score.voice, side, cut.first, cut.last)
            for tone in tones:
                _press(sound, tone.key, round(tone.at * RATE) - cut.first)
        else:
            sound = array("h", bytes(2 * (cut.last - cut.first)))
        track.extend(sound)
    return track


def _press(sound: array[int], key: str, at: int) -> None:
    """Lay a key's tones over the sound, as much of them as falls into it."""
    tones = _tones(key)
    for place in range(max(at, 0), min(at + len(tones), len(sound))):
        sound[place] = max(-_MOST, min(_MOST, sound[place] + tones[place - at]))


def _conversation(voice: str, side: int | None, first: int, last: int) -> array[int]:
    sound = array("h")
    for slot in range(first // _SLOT, -(-last // _SLOT)):
        sound.extend(_slot(voice, side, slot))
    skipped = first % _SLOT
    return sound[skipped : skipped + last - first]


def _slot(voice: str, side: int | None, slot: int) -> array[int]:
    """A syllable of the side whose turn it is; faint murmur of the other one, and in a pause."""
    which, pause = _dice(f"{voice} {slot}")
    speaks = side is None or side == _speaker(voice, slot // _TURN)
    loud, faint = _syllables()
    number = (which + (side or 0)) % _SYLLABLES
    return loud[number] if speaks and pause % 6 else faint[number]


@lru_cache(maxsize=4096)
def _speaker(voice: str, turn: int) -> int:
    return _dice(f"{voice} turn {turn}")[0] % 2


def _dice(text: str) -> tuple[int, int]:
    first, second = hashlib.blake2b(text.encode(), digest_size=2).digest()
    return first, second


@cache
def _tones(key: str) -> array[int]:
    row = next(at for at, keys in enumerate(_KEYS) if key in keys)
    pair = (_ROWS[row], _COLUMNS[_KEYS[row].index(key)])
    turns = [2 * math.pi * hertz / RATE for hertz in pair]
    length = round(TONE_SECONDS * RATE)
    return array("h", [round(_TONE_LEVEL * sum(math.sin(turn * at) for turn in turns)) for at in range(length)])


@cache
def _syllables() -> tuple[list[array[int]], list[array[int]]]:
    """The syllables, loud and faint."""
    loud = [_syllable(number) for number in range(_SYLLABLES)]
    return loud, [array("h", [sample // _FAINT for sample in syllable]) for syllable in loud]


def _syllable(number: int) -> array[int]:
    """Noise of the telephone's band that swells and fades, each a little different in length and loudness."""
    length, strength = _dice(f"syllable {number}")
    white = array("h", hashlib.shake_128(b"%d" % number).digest(2 * _SLOT))
    noise = _filtered(_filtered([float(sample) for sample in white], _BAND_HZ[0], high=True), _BAND_HZ[1], high=False)
    noise = [a + 0.5 * b for b, a in pairwise([0.0, *noise])]  # a little duller, as a voice is
    sounding = _SLOT * (150 + length % 100) // 256
    swell = [math.sin(math.pi * at / sounding) if at < sounding else 0.01 for at in range(_SLOT)]
    shaped = [volume * sample for volume, sample in zip(swell, noise, strict=True)]
    level = _SPEECH_LEVEL * (0.6 + strength / 640) / math.sqrt(sum(value * value for value in shaped) / _SLOT)
    return array("h", [max(-_MOST // 3, min(_MOST // 3, round(level * value))) for value in shaped])


def _filtered(samples: list[float], hertz: float, *, high: bool) -> list[float]:
    """Through a Butterworth filter of the second order that lets pass what is above, or below, a frequency."""
    turn = 2 * math.pi * hertz / RATE
    slope, middle = math.sin(turn) / math.sqrt(2), math.cos(turn)
    edge = (1 + middle) / 2 if high else (1 - middle) / 2
    scale = 1 + slope
    b0, b1 = edge / scale, (-2 if high else 2) * edge / scale
    a1, a2 = -2 * middle / scale, (1 - slope) / scale
    found, before = list[float](), (0.0, 0.0, 0.0, 0.0)
    for sample in samples:
        x1, x2, y1, y2 = before
        out = b0 * (sample + x2) + b1 * x1 - a1 * y1 - a2 * y2
        found.append(out)
        before = (sample, x1, out, y1)
    return found
