"""What the networks are given, in training and live alike."""

from __future__ import annotations

import numpy as np

from avatar.records import F32, U8, View, Warped
from avatar.tools.drawing import Style, draw_landmarks
from avatar.tools.stacking import stacked
from avatar.tools.window import cut_window, head_window


def warp_slot(warped: Warped, window: F32, size: int) -> U8:
    """(size, size, 5): colours, alpha and confidence of a moved view as the window (2, 3) shows them."""
    sure = np.asarray(warped.confidence * 255, np.uint8)
    parts = [cut_window(part, window, size) for part in (warped.person, warped.alpha, sure)]
    return stacked(*parts)


def reference_picture(view: View, size: int, style: Style) -> U8:
    """(size, size, 4 + D): colours, alpha and drawing of a view in its own window, for the embedder."""
    window = head_window(view.landmarks)
    colours = cut_window(view.texture, window, size)
    alpha = cut_window(view.alpha, window, size)
    return stacked(colours, alpha, draw_landmarks(view.landmarks, window, size, style))
