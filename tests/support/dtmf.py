"""Listening to a WAV file: which keys were pressed, and how loud it is. Knows nothing of how the sound was made.

The detector follows what telephone exchanges are asked for: both tones, each well above its neighbours, not too unlike
in loudness, together most of what is heard, for about 40 ms; a key counts once until it is let go.
"""

from __future__ import annotations

import io
import math
import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

_ROWS, _COLUMNS = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)
_KEYS = ("123", "456", "789", "*0#")

_FRAME_SECONDS = 0.0256
_STEP_SECONDS = 0.01
_STEPS_NEEDED = 3
"""Frames in a row that must say the same: 45.6 ms of sound, of which the tone must fill about 35 ms or more."""
_STEPS_LET_GO = 2
_QUIETEST = 200.0
"""Root mean square below which nothing is listened for."""
_SHARE = 0.7
"""Of all that is heard, the two tones must be this much."""
_ABOVE_NEIGHBOURS = 6.3  # 8 dB
_TWIST = 6.3  # 8 dB, either way


@dataclass(frozen=True)
class Sound:
    """A WAV file, taken apart."""

    rate: int
    channels: tuple[array[int], ...]

    @property
    def seconds(self) -> float:
        return len(self.channels[0]) / self.rate

    def loudness(self, start: float = 0.0, end: float | None = None) -> float:
        """Root mean square of the loudest channel between two moments, in seconds from the beginning."""
        first, last = round(start * self.rate), None if end is None else round(end * self.rate)
        parts = [channel[first:last] for channel in self.channels]
        return max(math.sqrt(sum(sample * sample for sample in part) / len(part)) for part in parts)


def read(wav: bytes) -> Sound:
    """The sound in a WAV file of 16 bits a sample."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getsampwidth() == 2
        count, samples = file.getnchannels(), array("h", file.readframes(file.getnframes()))
        return Sound(file.getframerate(), tuple(samples[at::count] for at in range(count)))


def digits_in(wav: bytes) -> str:
    """Every key that can be heard, in order of time, on whichever channel."""
    sound = read(wav)
    found = [heard for channel in sound.channels for heard in _keys(channel, sound.rate)]
    return "".join(key for _, key in sorted(found))


def _keys(samples: array[int], rate: int) -> Iterator[tuple[float, str]]:
    """(when, which) of the keys on one channel."""
    size, step = round(_FRAME_SECONDS * rate), round(_STEP_SECONDS * rate)
    held, last, same, silent = "", "", 0, 0
    for start in range(0, len(samples) - size + 1, step):
        key = _key(samples[start : start + size], rate)
        same = same + 1 if key and key == last else 1
        last = key
        silent = 0 if key == held else silent + 1
        if silent >= _STEPS_LET_GO:
            held = ""
        if key and same >= _STEPS_NEEDED and key != held:
            held, silent = key, 0
            yield start / rate, key


def _key(frame: array[int], rate: int) -> str:
    """The key that one frame is full of, or nothing."""
    energy = sum(sample * sample for sample in frame)
    if energy < _QUIETEST**2 * len(frame):
        return ""
    rows = [_power(frame, hertz / rate) for hertz in _ROWS]
    row = max(rows)
    if row < _SHARE / (1 + _TWIST) * energy:
        return ""
    columns = [_power(frame, hertz / rate) for hertz in _COLUMNS]
    column = max(columns)
    clear = all(max(powers) >= _ABOVE_NEIGHBOURS * sorted(powers)[-2] for powers in (rows, columns))
    alike = row <= _TWIST * column and column <= _TWIST * row
    if not (clear and alike and row + column >= _SHARE * energy):
        return ""
    return _KEYS[rows.index(row)][columns.index(column)]


def _power(frame: array[int], turns_per_sample: float) -> float:
    """How much of a frame's energy one frequency is (Goertzel): all of it, if it is a sine of that frequency."""
    factor = 2 * math.cos(2 * math.pi * turns_per_sample)
    before, last = 0.0, 0.0
    for sample in frame:
        before, last = last, sample + factor * last - before
    return (last * last + before * before - factor * last * before) * 2 / len(frame)
