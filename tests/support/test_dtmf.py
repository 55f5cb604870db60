"""The listener hears keys, and only keys."""

from __future__ import annotations

import io
import math
import wave
from array import array

import pytest

from tests.support.dtmf import digits_in, read

RATE = 8000
FIVE = (770.0, 1336.0)


def _wav(*pieces: tuple[tuple[float, ...], float, tuple[float, ...]]) -> bytes:
    """One piece: frequencies, seconds, the loudness of each in dB below the loudest possible. None: silence."""
    samples = array("h")
    for hertz, seconds, levels in pieces:
        peaks = [32767 * 10 ** (-level / 20) for level in levels]
        for at in range(round(seconds * RATE)):
            phases = [2 * math.pi * one * at / RATE for one in hertz]
            samples.append(round(sum(peak * math.sin(phase) for peak, phase in zip(peaks, phases, strict=True))))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _silence(seconds: float) -> tuple[tuple[float, ...], float, tuple[float, ...]]:
    return (), seconds, ()


def _between(hertz: tuple[float, ...], seconds: float, *levels: float) -> bytes:
    return _wav(_silence(0.2), (hertz, seconds, levels), _silence(0.2))


@pytest.mark.parametrize("level", [7, 20, 36])
@pytest.mark.parametrize("seconds", [0.045, 0.06, 0.5, 3])
def test_key_is_heard_once_however_loud_and_long(level: float, seconds: float) -> None:
    assert digits_in(_between(FIVE, seconds, level, level)) == "5"


def test_same_key_twice_is_two() -> None:
    tone = (FIVE, 0.06, (10.0, 10.0))
    assert digits_in(_wav(tone, _silence(0.04), tone, _silence(0.04), tone)) == "555"


def test_tones_a_little_off_or_unlike_are_heard() -> None:
    assert digits_in(_between((770 * 1.01, 1336 * 0.99), 0.1, 10, 10)) == "5"
    assert digits_in(_between(FIVE, 0.1, 14, 10)) == "5"
    assert digits_in(_between(FIVE, 0.1, 10, 14)) == "5"


@pytest.mark.parametrize(
    ("hertz", "seconds", "levels"),
    [
        (FIVE, 0.02, (10.0, 10.0)),
        (FIVE, 0.1, (10.0, 22.0)),
        (FIVE, 0.1, (22.0, 10.0)),
        (FIVE, 0.1, (50.0, 50.0)),
        ((770.0,), 0.5, (10.0,)),
        ((1336.0,), 0.5, (10.0,)),
        ((770.0, 852.0), 0.5, (10.0, 10.0)),
        ((1209.0, 1477.0), 0.5, (10.0, 10.0)),
        ((733.0, 1272.0), 0.5, (10.0, 10.0)),
        ((770.0, 1336.0, 2000.0), 0.5, (14.0, 14.0, 9.0)),
        ((697.0, 770.0, 1336.0), 0.5, (12.0, 12.0, 12.0)),
    ],
)
def test_what_is_no_key_is_not_heard(hertz: tuple[float, ...], seconds: float, levels: tuple[float, ...]) -> None:
    assert digits_in(_between(hertz, seconds, *levels)) == ""


def test_silence_is_measured_as_such() -> None:
    sound = read(_between((1000.0,), 0.2, 0))
    assert sound.seconds == pytest.approx(0.6)
    assert sound.loudness(0, 0.2) == 0
    assert sound.loudness(0.2, 0.4) == pytest.approx(32767 / math.sqrt(2), rel=0.01)
