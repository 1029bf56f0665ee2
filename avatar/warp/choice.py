"""Which of a person's views stand for a wanted face: the nearest two, without haste and without a jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avatar.records import F32, View
from avatar.tools.geometry import smoothstep
from avatar.tools.looks import looks

MARGIN = 0.1
"""A view takes another's place only if it is nearer by this much [as `looks` counts]: trembling landmarks
would flap between two views that are alike. On three clips not only the changes became fewer with it, but the
pictures nearer to the truth; with half as much again they were farther from it."""
FADE_NS = 100_000_000
"""In this time a view goes over into the next; in 60 or 160 ms it is no better."""
JUMP_NS = 1_000_000_000
"""After so long without a frame, or when time goes back, the nearest view is taken at once."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One view, or on the way from one to the next."""

    view: int
    before: int | None = None
    """The one that goes, if one does."""
    share: float = 1.0
    """How much of `view` is to be seen, 0..1; the rest is `before`."""


class ViewChooser:
    """Wanted faces to the two views that are nearest. Keeps state from frame to frame.

    Args:
        views: two at least, all of one person, so that their landmarks can be compared as they are.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self._looks = np.stack([looks(view.landmarks) for view in views])
        self._best, self._second = _Seat(), _Seat()
        self._last_ns: int | None = None

    def __call__(self, landmarks: F32, captured_ns: int) -> tuple[Choice, Choice]:
        """The best view and the second best.

        Args:
            landmarks: (478, 3), the wanted face in that person's proportions; any unit.
            captured_ns: when; the same sequence of faces and times always gives the same views.
        """
        last = self._last_ns
        if last is None or not 0 <= captured_ns - last < JUMP_NS:
            self._best, self._second, last = _Seat(), _Seat(), captured_ns
        self._last_ns = captured_ns
        far = np.linalg.norm(self._looks - looks(landmarks), axis=1)
        best = self._best(far, last, captured_ns)
        far[best.view] = np.inf
        return best, self._second(far, last, captured_ns)


class _Seat:
    """Who is seated, and who is leaving."""

    def __init__(self) -> None:
        self._view: int | None = None
        self._before: int | None = None
        self._since_ns = 0

    def __call__(self, far: F32, last_ns: int, now_ns: int) -> Choice:
        """Who is to be seen of those at distance `far` (N,); one that is infinitely far has to go at once."""
        nearest = int(far.argmin())
        if self._view is None:
            self._view = nearest
        elif now_ns - self._since_ns >= FADE_NS:
            self._before = None
        gone = bool(np.isinf(far[self._view]))
        if gone or (self._before is None and far[nearest] < far[self._view] - MARGIN):
            # The way began when the last frame was shown, or every change would come a frame late.
            self._view, self._before, self._since_ns = nearest, self._view, last_ns
        if self._before is None:
            return Choice(self._view)
        share = float(smoothstep((now_ns - self._since_ns) / FADE_NS))
        return Choice(self._view, self._before if share < 1 else None, share)
