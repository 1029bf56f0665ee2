"""A motion recording in the place of a camera and a tracker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatar.capture.motion_file import write_motion
from avatar.capture.recording import Recording
from avatar.errors import MotionFileError
from avatar.records import BLENDSHAPES, LANDMARKS, Face, Observation
from avatar.tools import clock


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that moves when somebody sleeps, or by changing the one number in the list."""
    now = [1_000_000_000]
    monkeypatch.setattr(clock, "now_ns", lambda: now[0])
    monkeypatch.setattr(clock, "sleep", lambda s: now.__setitem__(0, now[0] + max(0, round(s * 1e9))))
    return now


def face(number: int) -> Face:
    """Its first landmark lies at x = number."""
    return Face(
        np.full((LANDMARKS, 3), number, np.float32),
        np.zeros(BLENDSHAPES, np.float32),
        np.eye(4, dtype=np.float32),
        (640, 480),
    )


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """Four frames at 10 fps; in the second one no face was seen."""
    path = tmp_path / "x.motion"
    write_motion(path, [face(0), None, face(20), face(30)], 10)
    return path


def seen(observations: list[Observation | None]) -> list[float | None]:
    found: list[float | None] = []
    for observation in observations:
        assert observation is not None
        found.append(round(float(observation.face.landmarks[0, 0])) if observation.face else None)
    return found


def test_a_recording_gives_observations(motion: Path, hands: list[int]) -> None:
    source = Recording(motion, loop=False)
    assert (source.fps, source.size, source.frames, source.duration) == (10, (640, 480), 4, 0.4)
    observations = [source() for _ in range(4)]
    assert seen(observations) == [0, None, 20, 30]
    assert [o.index for o in observations if o] == [0, 1, 2, 3]
    assert [o.captured_ns for o in observations if o] == [1_000_000_000 + i * 100_000_000 for i in range(4)]
    assert source() is None
    assert source() is None


def test_a_recording_loops(motion: Path) -> None:
    source = Recording(motion, paced=False)
    observations = [source() for _ in range(10)]
    assert seen(observations) == [0, None, 20, 30, 0, None, 20, 30, 0, None]
    assert [o.index for o in observations if o] == list(range(10))
    source.close()
    assert source() is None


def test_a_recording_bounces(motion: Path) -> None:
    source = Recording(motion, paced=False, loop="bounce")
    assert seen([source() for _ in range(9)]) == [0, None, 20, 30, 20, None, 0, None, 20]


def test_a_late_reader_still_gets_the_last_one(motion: Path, hands: list[int]) -> None:
    source = Recording(motion, loop=False)
    for _ in range(3):
        source()
    hands[0] += 290_000_000
    assert seen([source()]) == [30]
    assert source.dropped == 0
    assert source() is None


def test_not_paced_time_stamps_are_those_of_the_recording(motion: Path, hands: list[int]) -> None:
    source = Recording(motion, paced=False)
    stamps = []
    for _ in range(6):
        observation = source()
        assert observation is not None
        stamps.append(observation.captured_ns)
        hands[0] += 5_000_000_000
    assert np.diff(stamps).tolist() == [100_000_000] * 5


def test_a_broken_recording(tmp_path: Path) -> None:
    (tmp_path / "x.motion").write_bytes(b"nothing")
    with pytest.raises(MotionFileError, match="not a motion recording"):
        Recording(tmp_path / "x.motion")
