"""One line on a terminal that renews itself."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO


class TerminalLine:
    """The last line of a terminal, written anew again and again.

    Attributes:
        is_terminal: whether the stream is one; elsewhere nothing can be renewed.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.is_terminal = self._stream.isatty()
        self._width = 0

    def renew(self, text: str) -> None:
        """Show `text` in the place of what was shown before."""
        # A line as wide as the terminal would wrap, and the next one would not cover it.
        text = text[: shutil.get_terminal_size().columns - 1]
        self._write("\r" + text.ljust(self._width))
        self._width = len(text)

    def add(self, text: str) -> None:
        """Write `text` as a line that stays."""
        self._write(text + "\n")

    def close(self) -> None:
        """Erase what is shown."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
