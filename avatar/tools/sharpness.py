"""How sharp a face is in a picture."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.facemesh import OVAL

_HEIGHT = 128


def sharpness(rgb: U8, landmarks: F32) -> float:
    """Mean gradient of the face, grey levels (0..255) a pixel, with the face brought to 128 px height.

    Args:
        rgb: (H, W, 3) uint8.
        landmarks: (478, 3), pixels of it; 0 is the answer for a face outside of it.
    """
    outline = landmarks[list(OVAL), :2]
    low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
    high = np.ceil(outline.max(axis=0)).astype(int) + 1
    part = rgb[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    if min(part.shape[:2]) < 2:
        return 0.0
    scale = _HEIGHT / part.shape[0]
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    size = (max(2, round(part.shape[1] * scale)), _HEIGHT)
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return float(cv2.magnitude(across, down).mean())
