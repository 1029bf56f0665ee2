"""The status of a run on a terminal: one line that renews itself, or a plain line now and then."""

from __future__ import annotations

from typing import TextIO

from avatar.live.record import Status
from avatar.tools.terminal_line import TerminalLine

PLAIN_EVERY_S = 5.0


def describe(status: Status) -> str:
    """The status as one line of text."""
    if status.resting:
        return f"at rest: nobody takes the picture | {status.dropped} dropped"
    age = "-" if status.age_ms is None else f"{status.age_ms:3.0f} ms"
    parts = [f"{status.fps:4.1f} fps", f"age {age}"]
    if status.camera:
        parts.append("face seen" if status.face else "no face")
    else:
        parts.append("camera gone, waiting for it")
    parts.append(f"{status.dropped} dropped")
    if status.slowest:
        parts.append("slowest {} {:.1f} ms".format(*status.slowest))
    return " | ".join(parts)


class StatusLine:
    """Shows each `Status` it is called with; `close()` leaves the terminal as it was."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = TerminalLine(stream)
        self._next_s = 0.0
        self._state = (True, False)

    def __call__(self, status: Status) -> None:
        """Renew the line of a terminal; elsewhere add one every 5 s and when camera or viewers come or go."""
        state = (status.camera, status.resting)
        if self._line.is_terminal:
            self._line.renew(describe(status))
        elif status.seconds >= self._next_s or state != self._state:
            self._line.add(describe(status))
            self._next_s = status.seconds + PLAIN_EVERY_S
        self._state = state

    def close(self) -> None:
        """Erase the line of a terminal."""
        self._line.close()
