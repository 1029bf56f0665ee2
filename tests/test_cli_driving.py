"""Clips of even and of varying frame rate, and the line that shows how far the work is."""

from __future__ import annotations

import io

import pytest

from avatar.cli.driving import DrivingClip
from avatar.cli.progress import ProgressLine
from avatar.records import Observation


def clip(times_ms: list[float], fps: float) -> DrivingClip:
    # A clip's first time stamp is any moment of the clock.
    return DrivingClip(
        [Observation(None, i, round((5_000 + ms) * 1e6)) for i, ms in enumerate(times_ms)], fps, False
    )


def test_a_rate_rounded_to_milliseconds_is_steady() -> None:
    assert clip([round(i * 1000 / 29.97) for i in range(300)], 29.97).is_steady


def test_a_pause_is_not_steady() -> None:
    assert not clip([0, 40, 80, 200, 240], 25.0).is_steady


def test_a_rate_that_drifts_is_not_steady() -> None:
    assert not clip([i * 41.0 for i in range(100)], 25.0).is_steady


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_the_end_and_erases_itself() -> None:
    stream = Terminal()
    line = ProgressLine(stream)
    for done in range(1, 101):
        line("draw", done, 100)
    shown = stream.getvalue()
    assert shown.endswith("\rDrawing: frame 100 of 100 (100 %)")
    assert shown.count("\r") < 20  # not every frame
    line.close()
    assert stream.getvalue().split("\r")[-2].strip() == ""


@pytest.mark.parametrize("total", [None, 0])
def test_progress_without_a_known_end(total: int | None) -> None:
    stream = Terminal()
    ProgressLine(stream)("track", 1, total)
    assert stream.getvalue() == "\rFollowing the face: frame 1"


def test_progress_is_silent_where_it_would_fill_a_log() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    line("track", 5, 5)
    line.close()
    assert stream.getvalue() == ""
