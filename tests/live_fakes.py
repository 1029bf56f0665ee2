"""Small stages with scripted weather for the tests of the live loop."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from avatar.errors import CameraError, CameraLostError
from avatar.records import F32, U8, Face, Frame, Motion, Observation
from avatar.tools import clock
from avatar.tools.pacer import Pacer

Weather = Literal["frame", "late", "faceless", "lost", "hangs"]

LATE_S = 1.0
"""How long a late frame is waited for."""
FACELESS = 7
"""Value of the first pixel by which the fake tracker knows that there is no face."""


def reached(index: int, at: int | None) -> bool:
    """Whether it is time: the frame `at` itself may have been dropped."""
    return at is not None and index >= at


def landmarks(time_s: float) -> F32:
    """A face whose mouth and head move."""
    points = np.zeros((478, 3), np.float32)
    gap, turn = 0.1 + 0.05 * np.sin(7 * time_s), 0.2 * np.sin(2 * time_s)
    points[10], points[152] = (0, -1, 0), (0, 1, 0)
    points[13], points[14] = (0, 0.4, 0), (0, 0.4 + gap, 0)
    points[234], points[454], points[1] = (-0.7, 0, 0), (0.7, 0, 0), (turn, 0.1, 0)
    return points


def face(time_s: float = 0.0) -> Face:
    pose = np.eye(4, dtype=np.float32)
    return Face(landmarks(time_s) * 100 + 200, np.zeros(52, np.float32), pose, (640, 480))


class FakeCamera:
    """Gives a frame per script entry, evenly; pictures are made by `picture` (blue noise unless told)."""

    def __init__(self, script: Iterable[Weather], fps: float = 100, refusals: int = 0) -> None:
        self.fps = fps
        self.reopened = 0
        self.refused = 0
        self._refusals = refusals
        self._script: Iterator[Weather] = iter(script)
        self._pacer = Pacer(fps)
        self._index = -1
        self._noise = np.random.default_rng(5)
        self.unhang = threading.Event()

    def __call__(self) -> Frame | None:
        weather = next(self._script, None)
        if weather is None:
            return None
        if weather == "lost":
            raise CameraLostError("the camera was unplugged")
        if weather == "hangs":
            self.unhang.wait(20)
            return None
        if weather == "late":
            clock.sleep(LATE_S)
        clock.sleep((self._pacer.deadline() - clock.now_ns()) / 1e9)
        self._pacer.step()
        self._index += 1
        rgb = self.picture()
        rgb[0, 0, 0] = FACELESS if weather == "faceless" else 0
        return Frame(rgb, self._index, clock.now_ns())

    def picture(self) -> U8:
        rgb = self._noise.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        rgb[..., 2] = 255
        return rgb

    def reopen(self) -> None:
        if self.refused < self._refusals:
            self.refused += 1
            raise CameraError("the camera is not there yet")
        self.reopened += 1


class FixedCamera:
    """A camera that cannot be opened again."""

    def __init__(self, script: Iterable[Weather]) -> None:
        self._camera = FakeCamera(script)

    def __call__(self) -> Frame | None:
        return self._camera()


class FakeTracker:
    def __init__(self, takes_s: float = 0.0, fails_at: int | None = None) -> None:
        self.takes_s, self.fails_at = takes_s, fails_at

    def __call__(self, frame: Frame) -> Face | None:
        if reached(frame.index, self.fails_at):
            raise RuntimeError("tracker broke")
        clock.sleep(self.takes_s)
        return None if frame.rgb[0, 0, 0] == FACELESS else face(frame.captured_ns / 1e9)


class FakeRetarget:
    """Keeps what it was given; moves the avatar as the driver moves, `lag_s` later."""

    def __init__(self, lag_s: float = 0.0, fails_at: int | None = None) -> None:
        self.seen: list[Observation] = []
        self.moments_ns: list[int] = []
        self.lag_s, self.fails_at = lag_s, fails_at

    def __call__(self, observation: Observation) -> Motion:
        if reached(observation.index, self.fails_at):
            raise RuntimeError("retarget broke")
        self.seen.append(observation)
        self.moments_ns.append(clock.now_ns())
        points = landmarks(observation.captured_ns / 1e9 - self.lag_s)
        return Motion(points, np.eye(3, 4, dtype=np.float32), np.zeros(2, np.float32), 0.0)


class FakeRenderer:
    """Paints the motion's numbers as grey levels."""

    def __init__(self, takes_s: float = 0.0, fails_at: int | None = None) -> None:
        self.takes_s, self.fails_at = takes_s, fails_at

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        if reached(index, self.fails_at):
            raise RuntimeError("renderer broke")
        clock.sleep(self.takes_s)
        level = np.clip(motion.landmarks[:16, 1:2] * 100 + 100, 0, 200).astype(np.uint8)
        return Frame(np.tile(level[None], (9, 1, 3)), index, captured_ns)


class FakeOutput:
    """Keeps what it was given."""

    def __init__(
        self,
        *,
        constant_rate: bool = False,
        main_thread: bool = False,
        takes_s: float = 0.0,
        fails_at: int | None = None,
        closes_at: int | None = None,
        hangs_at: int | None = None,
    ) -> None:
        self.constant_rate, self.main_thread = constant_rate, main_thread
        self.takes_s, self.fails_at, self.closes_at = takes_s, fails_at, closes_at
        self.frames: list[Frame] = []
        self.moments_ns: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.closed = False
        self.hangs_at = hangs_at
        self.unhang = threading.Event()

    def __call__(self, frame: Frame) -> None:
        if reached(frame.index, self.fails_at):
            raise RuntimeError("output broke")
        self.threads.add(threading.current_thread())
        self.frames.append(frame)
        self.moments_ns.append(clock.now_ns())
        self.closed = reached(frame.index, self.closes_at)
        clock.sleep(self.takes_s)
        if reached(frame.index, self.hangs_at):
            self.unhang.wait(20)

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]
