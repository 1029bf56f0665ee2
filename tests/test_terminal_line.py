"""The line that renews itself."""

from __future__ import annotations

import io
import os
import shutil

import pytest

from avatar.tools.terminal_line import TerminalLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_shorter_text_covers_a_longer_one_and_the_end_erases_it() -> None:
    stream = Terminal()
    line = TerminalLine(stream)
    assert line.is_terminal
    line.renew("twelve words")
    line.renew("two")
    assert stream.getvalue() == "\rtwelve words\rtwo         "
    line.close()
    line.close()
    assert stream.getvalue().endswith("\r   \r")


def test_a_narrow_terminal_cuts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((10, 24)))
    stream = Terminal()
    TerminalLine(stream).renew("0123456789abc")
    assert stream.getvalue() == "\r012345678"


def test_a_file_is_no_terminal() -> None:
    stream = io.StringIO()
    line = TerminalLine(stream)
    assert not line.is_terminal
    line.add("a line")
    line.close()
    assert stream.getvalue() == "a line\n"
