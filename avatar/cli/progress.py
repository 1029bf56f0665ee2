"""How far a long piece of work is, on standard error: a line that renews itself on a terminal."""

from __future__ import annotations

from typing import TextIO

from avatar.tools import clock
from avatar.tools.terminal_line import TerminalLine

EVERY_NS = 200_000_000
WORDS = {
    "track": "Following the face: frame",
    "draw": "Drawing: frame",
    "prepare": "Preparing: clip",
    "enroll": "Taking apart: frame",
    "learn": "Learning the face: step",
}


class ProgressLine:
    """Called with (what, done, total or None); on a terminal it renews its line, elsewhere it is silent."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._line = TerminalLine(stream)
        self._next_ns = 0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show it, at most five times a second and at the end."""
        now = clock.now_ns()
        if not self._line.is_terminal or (now < self._next_ns and done != total):
            return
        self._next_ns = now + EVERY_NS
        share = f" of {total} ({100 * done // max(1, total)} %)" if total else ""
        self._line.renew(f"{WORDS[what]} {done}{share}")

    def close(self) -> None:
        """Erase the line."""
        self._line.close()
