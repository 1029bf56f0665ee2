"""Decides by how much sound has to be held back, or left out, to be heard when its picture is seen."""

from __future__ import annotations

from avatar.tools import clock
from avatar.tools.stats import Percentiles

FOLLOW_MS = 6.0
"""So far off, the sound is set anew. A difference of 45 ms is noticed by some, one of 15 ms by nobody."""
ASK_EVERY = 10
"""Pieces between two decisions."""
TOO_LATE_MS = 25.0
"""Later than the picture by more than this, sound is left out: a busy computer piled it up on its way."""
PATIENCE_S = (3.0, 300.0)
"""After so long it is tried again, at first and at most. Where all of it is the microphone's own
delay, leaving out helps nothing, and each time it is heard."""

HELPED_S = 1.5
"""It helped when the sound is in time so long after."""


class InStep:
    """How long to hold sound back, given how old the picture is and how long the sound is on its way anyway.

    It changes seldom: each change is a short fade, and the figures it comes from tremble.
    """

    def __init__(self) -> None:
        self._late_ms = 0.0
        self._patience_s = PATIENCE_S[0]
        self._tried_ns = clock.now_ns()
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
        self._late_ms = max(0.0, path_ms - age_ms)
        if abs(wanted_ms - self._hold_ms) > FOLLOW_MS:
            self._hold_ms = wanted_ms
        return self._hold_ms

    def to_leave_out_ms(self) -> float:
        """How much sound to leave out now, because it is too late though it is not held back [ms]."""
        since_s = (clock.now_ns() - self._tried_ns) / 1e9
        if self._late_ms <= TOO_LATE_MS and since_s > HELPED_S:
            self._patience_s = PATIENCE_S[0]
        if self._late_ms <= TOO_LATE_MS or since_s < self._patience_s:
            return 0.0
        self._tried_ns = clock.now_ns()
        self._path_ms = Percentiles()  # from now on it is another one
        self._patience_s = min(2 * self._patience_s, PATIENCE_S[1])
        return self._late_ms
