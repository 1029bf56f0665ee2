"""Mouth and eyes cut out of a picture: where they are, and small grey pictures of them for the networks."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8, Face, Frame, Observation
from avatar.tools.facemesh import EYES, OUTER_LIPS
from avatar.tools.window import from_grid, head_window, to_window, warp_affine

CLOSE_UP = 32
"""Side of a close-up [px]."""
MOUTH_ROOM = 1.7
"""Side of the square around the mouth in widths of the mouth."""
EYE_ROOM = 1.9
"""Side of the square around an eye in widths of the eye."""


def boxes_of(points: F32) -> F32:
    """The squares around mouth, right and left eye.

    Args:
        points: (478, 2 or more), any unit in which x and y are alike.

    Returns:
        (3, 3) float32: x and y of the middle, and the side, in that unit.
    """
    found = []
    for opening, room in ((OUTER_LIPS, MOUTH_ROOM), *((eye, EYE_ROOM) for eye in EYES)):
        ring = points[list(opening.ring)]
        middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
        found.append((*middle, room * float(np.ptp(ring[:, 0]))))
    return np.array(found, np.float32)


def observed(face: Face | None, frame: Frame) -> Observation:
    """The tracker's answer to a frame, with the `close_ups` of the face that it saw."""
    seen = None if face is None else close_ups(frame.rgb, face.landmarks)
    return Observation(face, frame.index, frame.captured_ns, seen)


def close_ups(picture: U8, landmarks: F32) -> U8:
    """Mouth, right and left eye, each upright and in the middle of a small grey picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        landmarks: (478, 3), pixels of it; (0, 0) is the centre of the top left one.

    Returns:
        (3, CLOSE_UP, CLOSE_UP) uint8. Past the picture's border its edge goes on.
    """
    window = head_window(landmarks)
    return cut_close_ups(picture, window, boxes_of(to_window(landmarks[:, :2], window)))


def cut_close_ups(picture: U8, window: F32, boxes: F32) -> U8:
    """What squares of a window show of a picture, as `close_ups` does.

    Args:
        picture: (H, W, 3) uint8 RGB.
        window: (2, 3), window units to pixels of the picture, as of `to_pixels`.
        boxes: (3, 3), as of `boxes_of`, window units.
    """
    return np.stack([_cut(picture, window, *box) for box in boxes.tolist()])


def _cut(picture: U8, window: F32, x: float, y: float, side: float) -> U8:
    """(CLOSE_UP, CLOSE_UP), upright in the window; a large face is averaged, not skipped over."""
    across = float(np.hypot(*window[:, 0])) * side
    fine = CLOSE_UP * max(1, round(across / CLOSE_UP))
    corner = window[:, :2] @ np.array([x - side / 2, y - side / 2], np.float32) + window[:, 2]
    square = np.column_stack([window[:, :2] * np.float32(side), corner])
    grey = cv2.cvtColor(warp_affine(picture, from_grid(square, fine), fine), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (CLOSE_UP, CLOSE_UP), interpolation=cv2.INTER_AREA), np.uint8)
