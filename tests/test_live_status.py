"""The status on a terminal and elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

from avatar.live import Status, StatusLine
from avatar.live.status import describe

FAIR = Status(seconds=0.5, fps=29.97, age_ms=41.6, face=True, camera=True, dropped=2, slowest=("track", 9.44))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_says_all_that_matters() -> None:
    assert describe(FAIR) == "30.0 fps | age  42 ms | face seen | 2 dropped | slowest track 9.4 ms"
    assert "no face" in describe(replace(FAIR, face=False))
    assert "camera gone" in describe(replace(FAIR, camera=False))
    assert "age -" in describe(replace(FAIR, age_ms=None, slowest=None))


def test_a_terminal_has_one_line_that_is_erased() -> None:
    stream = Terminal()
    line = StatusLine(stream)
    line(FAIR)
    line(replace(FAIR, camera=False))
    line(FAIR)
    text = stream.getvalue()
    assert "\n" not in text
    writes = text.split("\r")[1:]
    assert len(writes[2]) >= len(writes[1].rstrip())  # the longer line before it is covered
    line.close()
    last = stream.getvalue().split("\r")
    assert last[-1] == "" and last[-2].strip() == ""


def test_elsewhere_there_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    line = StatusLine(stream)
    for tick in range(1, 25):
        line(replace(FAIR, seconds=tick / 2))
    line.close()
    assert stream.getvalue().count("\n") == 3
    assert "\r" not in stream.getvalue()


def test_a_lost_camera_is_told_at_once() -> None:
    stream = io.StringIO()
    line = StatusLine(stream)
    line(FAIR)
    line(replace(FAIR, seconds=1, camera=False))
    line(replace(FAIR, seconds=1.5, camera=False))
    line(replace(FAIR, seconds=2))
    assert stream.getvalue().count("\n") == 3
