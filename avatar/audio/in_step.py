"""Decides by how much sound has to be held back to be heard when its picture is seen."""

from __future__ import annotations

from avatar.tools.stats import Percentiles

FOLLOW_MS = 6.0
"""So far off, the sound is set anew. A difference of 45 ms is noticed by some, one of 15 ms by nobody."""
ASK_EVERY = 10
"""Pieces between two decisions."""


class InStep:
    """How long to hold sound back, given how old the picture is and how long the sound is on its way anyway.

    It changes seldom: each change is a short fade, and the figures it comes from tremble.
    """

    def __init__(self) -> None:
        self.late_ms = 0.0
        """By how much the sound is later than the picture though it is not held back at all."""
        self._hold_ms = 0.0
        self._path_ms = Percentiles()
        self._pieces = 0

    def __call__(self, age_ms: float | None, path_ms: float) -> float:
        """The time to hold this piece back [ms].

        Args:
            age_ms: of the picture when it is handed over; None while there is none.
            path_ms: what this piece takes from microphone to microphone besides.
        """
        self._path_ms.add(path_ms)
        self._pieces += 1
        if age_ms is None or self._pieces % ASK_EVERY:
            return self._hold_ms
        path_ms = self._path_ms.recent(50) or 0.0
        wanted_ms = max(0.0, age_ms - path_ms)
        self.late_ms = max(0.0, path_ms - age_ms)
        if abs(wanted_ms - self._hold_ms) > FOLLOW_MS:
            self._hold_ms = wanted_ms
        return self._hold_ms
