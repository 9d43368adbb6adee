"""Sound without speech, made from a seed: what a recogniser must not write words for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Draw = np.random.Generator


def zeros(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Digital silence."""
    return np.zeros(round(seconds * rate), np.float32)


def hiss(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """The quiet of a real room: white noise at -85 to -55 dB."""
    return white(seconds, rate, draw) * np.float32(10 ** (draw.uniform(-65, -35) / 20))


def white(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """White noise at -20 dB."""
    return draw.normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def pink(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Noise whose power falls as 1 over the frequency."""
    return _shaped(seconds, rate, draw, lambda hertz: hertz**-0.5)


def brown(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Rumble: noise whose power falls as 1 over the square of the frequency."""
    return _shaped(seconds, rate, draw, lambda hertz: 1 / hertz)


def tones(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Beeps, sweeps, dialling tones and mains hum, one after the other."""
    parts = []
    while sum(map(len, parts)) < seconds * rate:
        time = np.arange(round(draw.uniform(0.2, 1.5) * rate)) / rate
        low, high = np.exp(draw.uniform(np.log(80), np.log(3500), 2))
        kind = draw.integers(4)
        if kind == 0:
            sound = np.sin(2 * np.pi * low * time)
        elif kind == 1:
            sound = np.sin(2 * np.pi * (low + (high - low) * time / time[-1] / 2) * time)
        elif kind == 2:
            first, second = draw.choice([697, 770, 852, 941]), draw.choice([1209, 1336, 1477])
            sound = np.sin(2 * np.pi * first * time) + np.sin(2 * np.pi * second * time)
        else:
            sound = sum(np.sin(2 * np.pi * 50 * n * time) / n for n in (1, 2, 3, 5, 7))
        gap = np.zeros(round(draw.uniform(0, 0.5) * rate))
        parts += [draw.uniform(0.02, 0.3) * sound * _faded(len(time), rate), gap]
    return _cut(parts, seconds, rate)


def clicks(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Keys, knocks and scratches: bursts of 1 to 20 ms, some of them regular."""
    sound = draw.normal(0, 0.0005, round(seconds * rate))
    place = 0
    while place < len(sound):
        size = min(round(draw.uniform(0.001, 0.02) * rate), len(sound) - place)
        fall = np.exp(-np.arange(size) / (0.003 * rate))
        sound[place : place + size] += draw.uniform(0.1, 0.8) * draw.normal(0, 1, size) * fall
        place += round(draw.choice([0.08, 0.15, 0.25, 0.5, draw.uniform(0.05, 1.5)]) * rate)
    return np.clip(sound, -1, 1).astype(np.float32)


def breathing(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Breaths and puffs: swelling noise with the resonances of a mouth, and pauses."""
    parts = []
    while sum(map(len, parts)) < seconds * rate:
        length = draw.uniform(0.25, 1.4)
        centres = draw.uniform([400, 1200, 2300], [900, 2000, 3400])

        def resonances(hertz: np.ndarray, centres: np.ndarray = centres) -> np.ndarray:
            return sum(np.exp(-(((hertz - one) / 250) ** 2)) for one in centres) + 0.05

        puff = _shaped(length, rate, draw, resonances)
        rise = np.sin(np.pi * np.linspace(0, 1, len(puff)) ** draw.uniform(0.5, 2)) ** 2
        gap = draw.normal(0, 0.0003, round(draw.uniform(0.1, 1.2) * rate))
        parts += [draw.uniform(0.1, 1.0) * puff * rise, gap]
    return _cut(parts, seconds, rate)


def music(seconds: float, rate: int, draw: Draw) -> np.ndarray:
    """Chords and a melody with overtones and vibrato, over a drum."""
    beat = 60 / draw.uniform(70, 150)
    time = np.arange(round(seconds * rate)) / rate
    sound = np.zeros(len(time))
    scale = 220 * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
    for number, start in enumerate(np.arange(0, seconds, beat)):
        part = slice(round(start * rate), round(min(start + beat, seconds) * rate))
        t = time[part] - start
        notes = [2 * draw.choice(scale)] if number % 2 else []
        notes += [scale[(number // 4 * 3 + step) % 7] for step in (0, 2, 4)]
        for note in notes:
            phase = 2 * np.pi * note * t + 0.3 * np.sin(2 * np.pi * 5.5 * t)
            fall = np.exp(-t / draw.uniform(0.2, 1.5))
            sound[part] += fall * sum(np.sin(n * phase) / n**1.5 for n in range(1, 7))
        drum = draw.normal(0, 1, len(t)) * np.exp(-t / 0.03)
        sound[part] += 0.7 * drum + 2 * np.sin(2 * np.pi * 60 * t) * np.exp(-t / 0.1)
    return (0.15 * sound / max(1e-9, np.abs(sound).max() / 3)).clip(-1, 1).astype(np.float32)


KINDS: dict[str, Callable[[float, int, Draw], np.ndarray]] = {
    "digital zero": zeros,
    "room silence": hiss,
    "white noise": white,
    "pink noise": pink,
    "brown noise": brown,
    "tones": tones,
    "clicks": clicks,
    "breathing": breathing,
    "music": music,
}


def _shaped(
    seconds: float, rate: int, draw: Draw, gain: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Noise (N,) whose spectrum has the form of `gain` of the frequency in Hz, at -20 dB."""
    count = round(seconds * rate)
    hertz = np.fft.rfftfreq(count, 1 / rate)
    spectrum = np.fft.rfft(draw.normal(0, 1, count))
    spectrum[1:] *= gain(np.maximum(hertz[1:], 20))
    spectrum[0] = 0
    sound = np.fft.irfft(spectrum, count)
    return (0.1 * sound / max(1e-9, sound.std())).astype(np.float32)


def _faded(count: int, rate: int) -> np.ndarray:
    """A gain (count,) that rises and falls in 10 ms."""
    ramp = np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.01 * rate)
    return np.minimum(ramp, 1.0)


def _cut(parts: list[np.ndarray], seconds: float, rate: int) -> np.ndarray:
    return np.concatenate(parts)[: round(seconds * rate)].clip(-1, 1).astype(np.float32)
