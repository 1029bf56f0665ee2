"""The live loop with the real stages: nothing of the camera's picture comes out, only the motion."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from avatar.live import Summary, run_live
from avatar.live.workers import Tracker
from avatar.pipeline import Renderer, enroll_picture
from avatar.records import U8, Face, Frame, Identity
from avatar.retarget import Retargeter
from avatar.tools.close_ups import boxes_of
from avatar.tools.window import head_window, to_window
from avatar.track import FaceTracker

SENTINEL = np.array((0, 255, 60), np.uint8)
"""A green that is in no part of the portrait."""
CLOSE_UP_ROOM = 3
"""So many pixels beside a close-up have a part in its edge."""
BLIND = 10
"""Frames without a face in the middle of the run."""


@pytest.fixture(scope="module")
def identity(astronaut: U8, face_landmarker_path: object, selfie_segmenter_path: object) -> Identity:
    return enroll_picture(astronaut, name="astronaut")


@pytest.fixture(scope="module")
def driver_frames(carphone_frames: list[U8]) -> list[U8]:
    """A talking man, upscaled as webcams give him, all around his head painted in the sentinel colour."""
    frames = []
    for small in carphone_frames[:24]:
        rgb = np.repeat(np.repeat(small, 3, 0), 3, 1)
        rgb[:20] = rgb[-20:] = SENTINEL
        rgb[:, :60] = rgb[:, -60:] = SENTINEL
        frames.append(rgb)
    return [
        *frames,
        *(np.broadcast_to(SENTINEL, frames[0].shape).copy() for _ in range(BLIND)),
        *frames[::-1],
    ]


def play(
    identity: Identity, pictures: list[U8], tracker: Tracker, generator: str = "live"
) -> tuple[list[Frame], Summary]:
    """Run all pictures through the real stages, in lockstep, with the time stamps of a 30 fps camera."""
    queue: Iterator[Frame] = (Frame(rgb, i, i * 33_333_333) for i, rgb in enumerate(pictures))
    out: list[Frame] = []
    summary = run_live(
        lambda: next(queue, None),
        tracker,
        Retargeter(identity),
        Renderer(identity, head_size=256, size=(640, 360), mode="extend", generator=generator, times=None),
        [out.append],
        stop=threading.Event(),
        fps=30,
        lockstep=True,
    )
    return out, summary


def noise_around(rgb: U8, face: Face | None, random: np.random.Generator) -> U8:
    """Noise; if there is a face, the squares of its close-ups are left as they are."""
    noise = random.integers(0, 256, rgb.shape, dtype=np.uint8)
    if face is not None:
        window = head_window(face.landmarks)
        for x, y, side in boxes_of(to_window(face.landmarks[:, :2], window)).tolist():
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32) * side / 2 + (x, y)
            seen = np.zeros(rgb.shape[:2], np.uint8)
            square = np.round(corners @ window[:, :2].T + window[:, 2]).astype(np.int32)
            cv2.polylines(cv2.fillConvexPoly(seen, square, 1), [square], True, 1, 2 * CLOSE_UP_ROOM)
            noise[seen > 0] = rgb[seen > 0]
    return noise


@pytest.mark.parametrize("generator", ["warp", "live"])
def test_no_camera_pixel_comes_out(identity: Identity, driver_frames: list[U8], generator: str) -> None:
    faces: list[Face | None] = []
    with FaceTracker() as track:

        def noted(frame: Frame) -> Face | None:
            faces.append(track(frame))
            return faces[-1]

        out, summary = play(identity, driver_frames, noted, generator)
    assert len(out) == len(driver_frames) == len(faces)
    assert BLIND <= summary.no_face < len(faces) / 2
    for frame in out:
        distance = np.abs(frame.rgb.astype(np.int16) - SENTINEL.astype(np.int16)).max(-1)
        assert distance.min() > 40
    # The same faces in wholly different pictures: the same avatar, bit for bit. `live` may see close-ups.
    answers, random = iter(faces), np.random.default_rng(7)
    others = [
        noise_around(rgb, face if generator == "live" else None, random)
        for rgb, face in zip(driver_frames, faces, strict=True)
    ]
    again, _ = play(identity, others, lambda frame: next(answers), generator)
    for ours, theirs in zip(out, again, strict=True):
        assert np.array_equal(ours.rgb, theirs.rgb)


def test_the_avatar_moves_and_eases_to_rest_without_a_face(
    identity: Identity, driver_frames: list[U8]
) -> None:
    with FaceTracker() as track:
        # Ten more seconds without a face: more than the hold and the way back take.
        out, _ = play(identity, driver_frames[:24] + driver_frames[24:25] * 300, track)
    talking = [frame.rgb.astype(np.int16) for frame in out[:24]]
    resting = [frame.rgb.astype(np.int16) for frame in out[-10:]]
    assert max(float(np.abs(rgb - talking[0]).max()) for rgb in talking) > 30
    assert max(float(np.abs(rgb - resting[0]).max()) for rgb in resting) <= 1
    held = np.abs(out[24].rgb.astype(np.int16) - talking[-1]).mean()
    assert held < 1.0
