"""A face's landmarks as a drawing: what the networks are told about the wanted expression.

Contours as in the 68-point drawings of the paper (E. Zakharov et al., "Few-Shot Adversarial Learning of
Realistic Neural Talking Head Models", ICCV 2019), with what these lack: irises, and the openings of mouth and
eyes as filled shapes, so that an open mouth is no empty ring.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OUTER_LIPS, OVAL
from avatar.tools.outlines import fill_ring, smooth_ring
from avatar.tools.window import to_window

Style = Literal["layers", "coloured"]

CHANNELS: dict[Style, int] = {"layers": 4, "coloured": 3}

_RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
_LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
_NOSE = (168, 6, 197, 195, 5, 4)
_NOSTRILS = (64, 98, 97, 2, 326, 327, 294)

_CLOSED = (OVAL, _RIGHT_BROW, _LEFT_BROW, OUTER_LIPS.ring, MOUTH.ring, *(eye.ring for eye in EYES))
_OPEN = (_NOSE, _NOSTRILS)
_COLOURS = (
    ((OVAL,), True, (0, 160, 0)),
    ((_RIGHT_BROW, _LEFT_BROW), True, (255, 140, 0)),
    ((_NOSE, _NOSTRILS), False, (0, 0, 255)),
    (tuple(eye.ring for eye in EYES), True, (255, 0, 0)),
    ((OUTER_LIPS.ring,), True, (128, 0, 128)),
    ((MOUTH.ring,), True, (255, 105, 180)),
)
_PAPER = 255
_IRIS_COLOUR = (0, 200, 200)
_SHIFT = 4
_LINE = 1 / 128
"""Width of a line in parts of the drawing's side."""


def draw_landmarks(landmarks: F32, window: F32, size: int, style: Style = "layers") -> U8:
    """Draw a face as the window shows it.

    Args:
        landmarks: (478, 3), in the window's outer unit.
        window: (2, 3), of `tools.window.head_window`.
        size: side of the drawing in pixels.
        style: "layers": lines, inner mouth, openings of the eyes, irises, each a channel, 255 where it is.
            "coloured": lines in the paper's colours on white, with irises.

    Returns:
        (size, size, `CHANNELS[style]`) uint8.
    """
    points = (to_window(landmarks[:, :2], window) * size - 0.5).astype(np.float32)
    return _layers(points, size) if style == "layers" else _coloured(points, size)


def _layers(points: F32, size: int) -> U8:
    lines = np.zeros((size, size), np.uint8)
    width = max(1, round(_LINE * size))
    cv2.polylines(
        lines, [_fixed(points[list(line)]) for line in _CLOSED], True, 255, width, cv2.LINE_AA, _SHIFT
    )
    cv2.polylines(
        lines, [_fixed(points[list(line)]) for line in _OPEN], False, 255, width, cv2.LINE_AA, _SHIFT
    )
    mouth = fill_ring(smooth_ring(points[list(MOUTH.ring)]), (size, size))
    eyes = np.zeros((size, size), np.uint8)
    irises = np.zeros((size, size), np.uint8)
    for eye, iris in zip(EYES, IRISES, strict=True):
        np.maximum(eyes, fill_ring(smooth_ring(points[list(eye.ring)]), (size, size)), out=eyes)
        centre, radius = _iris(points, iris)
        cv2.circle(irises, centre, radius, 255, -1, cv2.LINE_AA, _SHIFT)
    return np.asarray(cv2.merge([lines, mouth, eyes, irises]), np.uint8)


def _coloured(points: F32, size: int) -> U8:
    drawing = np.full((size, size, 3), _PAPER, np.uint8)
    width = max(1, round(2 * _LINE * size))
    for iris in IRISES:
        centre, radius = _iris(points, iris)
        cv2.circle(drawing, centre, radius, _IRIS_COLOUR, -1, cv2.LINE_AA, _SHIFT)
    for lines, closed, colour in _COLOURS:
        fixed = [_fixed(points[list(line)]) for line in lines]
        cv2.polylines(drawing, fixed, closed, colour, width, cv2.LINE_AA, _SHIFT)
    return drawing


def _iris(points: F32, iris: tuple[int, ...]) -> tuple[tuple[int, int], int]:
    """Centre and radius in the drawing functions' fixed point."""
    centre = points[iris[0]]
    radius = float(np.linalg.norm(points[list(iris[1:])] - centre, axis=1).mean())
    x, y = np.round(centre * 2**_SHIFT).astype(int).tolist()
    return (x, y), round(radius * 2**_SHIFT)


def _fixed(line: F32) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.asarray(np.round(line * 2**_SHIFT), np.int32)
