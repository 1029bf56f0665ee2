"""Clips of even and of varying frame rate, and the line that shows how far the work is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from live_fakes import face

from avatar.capture import write_motion
from avatar.cli.driving import DrivingClip, Part, track_file
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


def test_a_part_in_frames() -> None:
    assert Part().frames(30) == slice(0, None)
    assert Part(2, 4).frames(29.97) == slice(60, 180)


def test_tracking_stops_at_the_end_of_the_part(carphone_path: Path, face_landmarker_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    clip = track_file(carphone_path, lambda what, done, total: told.append((done, total)), Part(0.1, 0.2))
    end = Part(0.1, 0.2).frames(clip.fps).stop
    assert 5 < end < 12
    assert len(clip.seen) == end
    assert told[-1] == (end, end)
    assert clip.flaw is None


def test_a_recording_is_read_as_far_as_its_part(tmp_path: Path) -> None:
    seen = [face(i / 30) for i in range(20)]
    write_motion(tmp_path / "x.motion", seen, 10.0)
    clip = track_file(tmp_path / "x.motion", lambda *told: None, Part(0.5, 0.5))
    assert [observation.index for observation in clip.seen] == list(range(10))
