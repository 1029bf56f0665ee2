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
        self._start_ns: int | None = None

    def begin(self, seconds: float) -> float:
        """Say that the frame at `seconds` is asked for. Gives how late that is [s], 0 to BEHIND_S."""
        if self._start_ns is None:
            self._start_ns = clock.now_ns() - round(seconds * 1e9)
        if not self.paced:
            return 0.0
        late = (clock.now_ns() - self._due_ns(seconds)) / 1e9
        if late > BEHIND_S:
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


class Ticks:
    """Numbers 0, 1, 2 ... at a constant rate; `total` of them, or without end."""

    def __init__(self, fps: float, *, paced: bool, total: int | None) -> None:
        self.dropped = 0
        self.closed = False
        self._fps = fps
        self._total = total
        self._timetable = Timetable(paced=paced)
        self._next = 0

    def __call__(self) -> tuple[int, int] | None:
        """(number, time stamp in nanoseconds), when it is due; None at the end or once closed."""
        if self.closed or self._next == self._total:
            return None
        missed = int(self._timetable.begin(self._next / self._fps) * self._fps)
        if self._total is not None:
            missed = min(missed, self._total - 1 - self._next)
        self.dropped += missed
        number = self._next + missed
        self._next = number + 1
        captured_ns = self._timetable.wait(number / self._fps, lambda: self.closed)
        return None if self.closed else (number, captured_ns)
