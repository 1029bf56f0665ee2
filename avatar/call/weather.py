"""Whether the network carries a call well, in words for who talks.

A tired network makes the picture coarser: the encoders go by what the receiver reports, and neither its size
nor its frame rate changes. Smaller pictures would be no help: at all bitrates from 150 kbit/s on, the full
size came out nearer to the picture than a smaller one that was enlarged again (bench/README.md).
"""

from __future__ import annotations

from collections import deque

MANY = 0.10
"""Losses from which on others see it,"""
WAIT_S = 0.3
"""and a round trip so much above the shortest one: packets wait somewhere, and the talk lags."""
KEPT = 60
"""Round trips among which the shortest is looked for: on another way, all are longer for good."""
REPORTS = 4
"""So many reports in a row, about one a second, before a change is told."""

TIRED = "has a tired network: the picture is coarser for a while"
FINE = "has a good network again"


class Weather:
    """Told what the receiver reports, it says when that has changed."""

    def __init__(self) -> None:
        self._tired = False
        self._otherwise = 0
        self._round_trips_s: deque[float] = deque(maxlen=KEPT)

    def __call__(self, lost: float, round_trip_s: float | None) -> str | None:
        """Take one report; gives words when the weather has changed.

        Args:
            lost: the part of the packets that was lost lately, 0..1.
            round_trip_s: None if it is not known.
        """
        tired = lost > MANY
        if round_trip_s is not None:
            self._round_trips_s.append(round_trip_s)
            tired = tired or round_trip_s > min(self._round_trips_s) + WAIT_S
        self._otherwise = 0 if tired == self._tired else self._otherwise + 1
        if self._otherwise < REPORTS:
            return None
        self._tired, self._otherwise = tired, 0
        return TIRED if tired else FINE
