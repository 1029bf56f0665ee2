"""Tracking a clip as a whole and drawing it: order, memory, ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from made_people import made_face

from avatar.errors import NoFaceError, VideoError
from avatar.offline import animate, track_clip
from avatar.records import U8, Face, Frame, Motion, Observation

PERIOD_NS = 40_000_000


def face() -> Face:
    return made_face(shift=(32, 24), scale=6)


class Clip:
    """`count` frames; knows how many of the pictures it gave are still held by somebody."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._index = 0
        self._given: list[weakref.ref[U8]] = []
        self.most_held = 0

    def __call__(self) -> Frame | None:
        gc.collect()
        self.most_held = max(self.most_held, sum(picture() is not None for picture in self._given))
        if self._index == self._left:
            return None
        rgb = np.zeros((48, 64, 3), np.uint8)
        self._given.append(weakref.ref(rgb))
        frame = Frame(rgb, self._index, self._index * PERIOD_NS)
        self._index += 1
        return frame


class Recorded:
    """Gives ready observations, as a motion recording does."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self._left = list(observations)

    def __call__(self) -> Observation | None:
        return self._left.pop(0) if self._left else None


class Retarget:
    """Notes in which order it is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def prepare(self, faces: Sequence[Face | None]) -> None:
        self.calls.append(("prepare", len(faces)))

    def __call__(self, observation: Observation) -> Motion:
        self.calls.append(("move", observation.index))
        return Motion(
            np.zeros((478, 3), np.float32), np.zeros((3, 4), np.float32), np.zeros(2, np.float32), 0.0
        )


def draw(motion: Motion, index: int, captured_ns: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), index, captured_ns)


def test_no_picture_of_the_clip_is_kept() -> None:
    clip = Clip(20)
    seen = track_clip(clip, lambda frame: face() if frame.index % 3 else None)
    assert [observation.index for observation in seen] == list(range(20))
    assert [observation.captured_ns for observation in seen] == [i * PERIOD_NS for i in range(20)]
    assert [observation.face is None for observation in seen] == [i % 3 == 0 for i in range(20)]
    assert clip.most_held <= 1
    assert [observation.close_ups is None for observation in seen] == [i % 3 == 0 for i in range(20)]
    assert all(one.close_ups.shape == (3, 32, 32) for one in seen if one.close_ups is not None)


def test_a_recording_needs_no_tracker() -> None:
    observations = [Observation(face(), i, i * PERIOD_NS) for i in range(3)]
    assert track_clip(Recorded(observations), None) == observations
    with pytest.raises(TypeError, match="tracker"):
        track_clip(Clip(1), None)


def test_a_clip_without_frames_or_faces_is_an_error() -> None:
    with pytest.raises(VideoError, match="no frames"):
        track_clip(Clip(0), lambda frame: face())
    with pytest.raises(NoFaceError, match="any of the 4 frames"):
        track_clip(Clip(4), lambda frame: None)


def test_the_whole_clip_is_known_before_the_first_frame_is_drawn() -> None:
    seen = [Observation(face() if i else None, i, i * PERIOD_NS) for i in range(5)]
    retarget, written, progress = Retarget(), list[Frame](), list[tuple[str, int, int | None]]()
    summary = animate(
        seen, 25.0, retarget, draw, written.append, progress=lambda *done: progress.append(done)
    )
    assert retarget.calls == [("prepare", 5), *(("move", i) for i in range(5))]
    assert [(frame.index, frame.captured_ns) for frame in written] == [(i, i * PERIOD_NS) for i in range(5)]
    assert progress == [("draw", i, 5) for i in range(1, 6)]
    assert (summary.frames, summary.no_face, summary.fps) == (5, 1, 25.0)
