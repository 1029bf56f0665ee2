"""When a recorded frame is due."""

from __future__ import annotations

from collections.abc import Callable

from avatar.tools import clock

BEHIND_S = 0.3
"""A reader that is later than this has stood still: the recording waits for it instead of running away."""
_SLICE_S = 0.1


class Timetable:
    """Maps the times of a recording to the clock: the frame at `t` is due at start + t.

    Deadlines are absolute, so that waiting a little too long does not add up. Paced, the reader is held until
    a frame is due. Not paced, nothing waits, and the frames carry the time stamps they would have had, so
    that filters over time give the same on a slow and on a fast machine.
    """

    def __init__(self, *, paced: bool) -> None:
        self.paced = paced
        self.restarts = 0
        """How often the reader was so late that the start was set anew."""
        self._start_ns: int | None = None

    def begin(self, seconds: float) -> float:
        """Say that the frame at `seconds` is asked for. Gives how late that is [s], 0 to BEHIND_S."""
        if self._start_ns is None:
            self._start_ns = clock.now_ns() - round(seconds * 1e9)
        if not self.paced:
            return 0.0
        late = (clock.now_ns() - self._due_ns(seconds)) / 1e9
        if late > BEHIND_S:
            self.restarts += 1
            self._start_ns += round(late * 1e9)
            late = 0.0
        return max(0.0, late)

    def wait(self, seconds: float, stopped: Callable[[], bool]) -> int:
        """Wait until the frame at `seconds` is due, or `stopped`; gives its time stamp in nanoseconds."""
        due_ns = self._due_ns(seconds)
        if not self.paced:
            return due_ns
        while (left := (due_ns - clock.now_ns()) / 1e9) > 0 and not stopped():
            clock.sleep(min(left, _SLICE_S))
        return clock.now_ns()

    def _due_ns(self, seconds: float) -> int:
        assert self._start_ns is not None, "begin() comes first"
        return self._start_ns + round(seconds * 1e9)
