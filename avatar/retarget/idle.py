"""The portrait left alone: it breathes, and blinks now and then, so that it does not freeze."""

from __future__ import annotations

import math
import random

BREATH_S = 4.4
"""One breath."""
NOD = 0.010
"""How far the head tilts with it, to each side [rad]: half a degree."""
RISE = 0.0022
"""How far it rises and sinks [crop units]: half a pixel in a head of 256."""
BLINK_EVERY_S = (2.4, 6.0)
"""Shortest and longest time between two blinks."""
SHUT_S, OPEN_S = 0.10, 0.18
"""How long lids take to close and to open again."""


class Idle:
    """What a portrait does from when it was left alone.

    Args:
        begun_ns: when that was. It is also the seed of the times at which it blinks.
    """

    def __init__(self, begun_ns: int) -> None:
        self._begun_ns = begun_ns
        self._random = random.Random(begun_ns)
        self._blink_s = self._random.uniform(*BLINK_EVERY_S)

    def breath(self, now_ns: int) -> tuple[float, float]:
        """How far the head is tilted [rad] and raised [crop units]; not at all at the beginning."""
        wave = math.sin(2 * math.pi * self._seconds(now_ns) / BREATH_S)
        return NOD * wave, RISE * wave

    def blink(self, now_ns: int) -> float:
        """How far the lids are shut, 0..1; asked with rising times."""
        seconds = self._seconds(now_ns)
        while seconds > self._blink_s + SHUT_S + OPEN_S:
            self._blink_s += SHUT_S + OPEN_S + self._random.uniform(*BLINK_EVERY_S)
        since = seconds - self._blink_s
        if since <= 0:
            return 0.0
        part = since / SHUT_S if since < SHUT_S else 1 - (since - SHUT_S) / OPEN_S
        return part * part * (3 - 2 * part)

    def _seconds(self, now_ns: int) -> float:
        return (now_ns - self._begun_ns) / 1e9
