"""A driver before a retargeter: faces in, motions out, at 30 fps."""

from __future__ import annotations

import numpy as np

from avatar.records import F32, Face, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.retarget.retarget import MotionMode
from avatar.tools.facemesh import EYES, MOUTH

PERIOD_NS = 33_333_333
SMILE = {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.4}
PX = 1 / 256
"""A pixel of a head crop of 256, in crop units."""


class Driver:
    """Feeds faces to a retargeter with the time stamps of a camera of 30 fps."""

    def __init__(self, identity: Identity, mode: MotionMode = "relative", smoothing: float = 1.0) -> None:
        self.retarget = Retargeter(identity, mode=mode, smoothing=smoothing)
        self.count = 0

    def __call__(self, face: Face | None) -> Motion:
        motion = self.retarget(Observation(face, self.count, self.count * PERIOD_NS))
        self.count += 1
        return motion

    def hold(self, face: Face | None, seconds: float) -> list[Motion]:
        return [self(face) for _ in range(round(seconds * 30))]


def jump(one: Motion, other: Motion) -> float:
    """The farthest that a landmark moved, pixels of a 256 crop."""
    return float(np.linalg.norm(one.landmarks - other.landmarks, axis=1).max() / PX)


def off(motion: Motion, landmarks: F32) -> float:
    """The farthest that a landmark is off, pixels of a 256 crop."""
    return float(np.linalg.norm(motion.landmarks - landmarks, axis=1).max() / PX)


def assert_never_crossed(motion: Motion) -> None:
    for opening in (*EYES, MOUTH):
        upper, lower = (motion.landmarks[[pair[i] for pair in opening.pairs], 1] for i in (0, 1))
        assert (lower - upper).min() > -1e-5
