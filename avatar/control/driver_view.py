"""What the camera sees, for the driver alone: shown on the control page when he asks, and never sent on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.control.feed import Feed
from avatar.control.gallery import jpeg
from avatar.control.preview import narrowed
from avatar.records import U8, Face, Frame, Observation
from avatar.tools.facemesh import OVAL

WIDEST = 640
QUALITY = 78
TALLEST = 0.75
"""Height of what is shown, as a part of its width: of an upright picture the part round the face."""
_GROUND = (11, 14, 19)
"""Colour where there are landmarks and no picture: that of the page around it."""
_DOTS, _LINE = (120, 220, 200), (255, 255, 255)

Seen = tuple[Frame | None, Face | None]


class DriverView:
    """Keeps what the tracker saw last.

    Attributes:
        feed: of pictures and faces.
        frame: the newest picture of the camera; None if there is no camera.
    """

    def __init__(self) -> None:
        self.feed: Feed[Seen] = Feed(_drawn)
        self.frame: Frame | None = None

    def watched(self, tracker: Callable[[Frame], Face | None]) -> Callable[[Frame], Face | None]:
        """A tracker that does as `tracker` does, and is looked at."""

        def track(frame: Frame) -> Face | None:
            face = tracker(frame)
            self.frame = frame
            self.feed.put((frame, face))
            return face

        return track

    def recorded(self, observation: Observation) -> None:
        """Take note of a motion recording, which has no pictures."""
        self.frame = None
        self.feed.put((None, observation.face))


def _drawn(seen: Seen) -> bytes:
    """The picture, or a dark ground, with the landmarks, as in a mirror; no higher than `TALLEST` allows."""
    frame, face = seen
    if frame is not None:
        width, height = frame.rgb.shape[1], frame.rgb.shape[0]
    else:
        width, height = face.frame_size if face is not None else (WIDEST, round(WIDEST * TALLEST))
    shown = min(height, round(width * TALLEST))
    middle = height / 2 if face is None else float(face.landmarks[:, 1].mean())
    top = round(min(max(middle - shown / 2, 0), height - shown))
    if frame is not None:
        ground = narrowed(frame.rgb[top : top + shown], WIDEST)
        if ground.base is not None:
            ground = ground.copy()
    else:
        ground = np.full((max(1, round(WIDEST * shown / width)), WIDEST, 3), _GROUND, np.uint8)
    if face is not None:
        _draw(ground, (face.landmarks[:, :2] - np.array([0, top])) * (ground.shape[1] / width))
    return jpeg(np.ascontiguousarray(ground[:, ::-1]), QUALITY)


def _draw(ground: U8, points: NDArray[Any]) -> None:
    whole = np.rint(points).astype(np.int32)
    cv2.polylines(ground, [whole[list(OVAL)]], True, _LINE, 1, cv2.LINE_AA)
    for point in whole:
        cv2.circle(ground, (int(point[0]), int(point[1])), 1, _DOTS, -1, cv2.LINE_AA)
