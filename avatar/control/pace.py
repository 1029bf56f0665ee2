"""Decides how big the head is drawn: on a slow machine the picture gets coarser before it gets jerky."""

from __future__ import annotations

import logging

from avatar.live import Status

SHARES = (1.0, 0.7, 0.5)
"""Of the wanted size of the head, level by level."""
SLOW = 0.87
"""A run that hands over less than this part of the wanted frames,"""
LOST = 0.08
"""and drops more than this part of them, does not keep up. A camera that gives few frames drops none."""
PATIENCE_S = 4.0
"""So long it may be slow before the head is drawn smaller;"""
CALM_S = 20.0
"""and so long it has to keep up before a bigger one is tried again; twice as long after a try that failed,"""
CALM_MAX_S = 640.0
"""but never longer than this."""
WARM_UP_S = 6.0

_log = logging.getLogger(__name__)


class Pace:
    """Told how a run goes, it says at which level to draw.

    Args:
        fps: frames a second that are wanted.

    Attributes:
        level: the place in `SHARES` that it is at.
    """

    def __init__(self, fps: float) -> None:
        self.level = 0
        self._fps = fps
        self._calm_s = CALM_S
        self._since_s: float | None = None
        self._slow: bool | None = None
        self._last: Status | None = None
        self._tried_s: float | None = None

    @property
    def share(self) -> float:
        """Of the wanted size of the head."""
        return SHARES[self.level]

    def noted(self, status: Status, *, busy: bool) -> bool:
        """Take note of how the run goes, and say in the log when the level changes, which this gives.

        Args:
            status: of the run.
            busy: something else takes time just now.
        """
        if busy or status.resting:
            self.disturbed()
            return False
        if changed := self(status):
            _log.info("the head is drawn at %.0f %% of its size, as this computer allows", 100 * self.share)
        return changed

    def disturbed(self) -> None:
        """Something else takes time just now: what is seen meanwhile says nothing."""
        self._last = self._slow = None

    def __call__(self, status: Status) -> bool:
        """Take note of how the run goes; whether the level has changed."""
        last, self._last = self._last, status
        if last is None or status.seconds < WARM_UP_S or status.seconds <= last.seconds:
            return False
        wanted = self._fps * (status.seconds - last.seconds)
        slow = status.fps < SLOW * self._fps and status.dropped - last.dropped > LOST * wanted
        if slow != self._slow:
            self._slow, self._since_s = slow, status.seconds
        assert self._since_s is not None
        lasted = status.seconds - self._since_s
        if slow and lasted >= PATIENCE_S and self.level + 1 < len(SHARES):
            if self._tried_s is not None and status.seconds - self._tried_s < self._calm_s:
                self._calm_s = min(2 * self._calm_s, CALM_MAX_S)
            return self._go_to(self.level + 1)
        if not slow and lasted >= self._calm_s and self.level > 0:
            self._tried_s = status.seconds
            return self._go_to(self.level - 1)
        return False

    def _go_to(self, level: int) -> bool:
        self.level = level
        self.disturbed()
        return True
