"""A turned rectangle of a picture, and its pixels as a network wants them.

Pixels are counted from the first one's centre, in the picture as in the sample: so does MediaPipe, whose
sampling this is (mediapipe/calculators/tensor/image_to_tensor_converter_opencv.cc of
https://github.com/google-ai-edge/mediapipe).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import cv2
import numpy as np

from avatar.records import F32, U8


@dataclass(frozen=True, slots=True)
class Region:
    """Where to look: a rectangle in picture pixels, turned about its centre."""

    x: float
    """Of the centre."""
    y: float
    width: float
    height: float
    angle: float = 0.0
    """Radians, clockwise as seen."""

    def scaled(self, factor: float) -> Region:
        """The same, `factor` times as big."""
        return Region(self.x, self.y, factor * self.width, factor * self.height, self.angle)

    def sample(self, rgb: U8, side: int, *, border: int = cv2.BORDER_REPLICATE) -> U8:
        """(side, side, 3) of the picture (H, W, 3), stretched if the region is not square.

        Args:
            rgb: the picture.
            side: of the sample, in pixels.
            border: what lies outside of the picture, one of OpenCV's borders; constant is black.
        """
        c, s = cos(self.angle), sin(self.angle)
        across, down = self.width / side, self.height / side
        to_picture = np.array(
            [
                [c * across, -s * down, self.x - (c * self.width - s * self.height) / 2],
                [s * across, c * down, self.y - (s * self.width + c * self.height) / 2],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sample = cv2.warpAffine(rgb, to_picture, (side, side), flags=flags, borderMode=border)
        return np.asarray(sample, np.uint8)

    def to_picture(self, points: F32) -> F32:
        """Points (N, 2 or 3) of 0..1 across the region, in picture pixels; z in widths of the region."""
        c, s = cos(self.angle), sin(self.angle)
        moved = points * np.float32(self.width)
        x, y = moved[:, 0] - self.width / 2, (points[:, 1] - 0.5) * self.height
        moved[:, 0], moved[:, 1] = c * x - s * y + self.x, s * x + c * y + self.y
        return moved
