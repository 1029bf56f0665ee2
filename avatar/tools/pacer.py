"""Even steps in time, against absolute deadlines, so that small delays do not add up."""

from __future__ import annotations

from avatar.tools import clock

SECOND_NS = 1_000_000_000
LATE_S = 0.3
"""So far behind, the time is lost: the pacer starts anew instead of sprinting after it."""


class Pacer:
    """Deadlines `1 / fps` seconds apart; the first one is the moment of the first question.

    Args:
        fps: steps a second.
        late_s: more than so many seconds behind, it starts anew from the present moment.
    """

    def __init__(self, fps: float, *, late_s: float = LATE_S) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.fps = fps
        self._late_ns = round(late_s * SECOND_NS)
        self._anchor_ns: int | None = None
        self._steps = 0

    @property
    def period_ns(self) -> int:
        """Time between two deadlines [ns]."""
        return round(SECOND_NS / self.fps)

    def deadline(self) -> int:
        """The next deadline [ns of `clock.now_ns`]."""
        if self._anchor_ns is None:
            self._anchor_ns = clock.now_ns()
        # From the anchor, not from the last deadline: rounding errors must not add up.
        return self._anchor_ns + round(self._steps * SECOND_NS / self.fps)

    def step(self) -> None:
        """The next deadline was kept: go on to the one after it."""
        now = clock.now_ns()
        if now - self.deadline() > self._late_ns:
            self._anchor_ns, self._steps = now, 0
        self._steps += 1
