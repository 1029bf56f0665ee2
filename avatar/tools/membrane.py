"""Fills holes in pictures calmly, as a membrane stretched over the hole would."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32

_SWEEPS, _FINE_SWEEPS = 12, 4
"""Relaxations per pyramid level, and of levels wider than `_FINE`: the coarse ones carry the shape."""
_FINE = 300


def membrane(colour: F32, known: F32) -> F32:
    """Continue colours smoothly into where they are not known.

    Solves Laplace's equation in the unknown part, coarse to fine; the border of the picture is free, so what
    reaches the border (a chest, say) is filled from its other sides.

    Args:
        colour: (H, W, C) float32, C from 2 to 4: what OpenCV scales and leaves in shape.
        known: (H, W) float32, trust in each pixel, 0 unknown .. 1 certain.

    Returns:
        (H, W, C) float32: `colour` where it is certain, a smooth continuation elsewhere.
    """
    height, width = known.shape
    if min(height, width) <= 2:
        mean = (colour * known[..., None]).sum((0, 1)) / max(float(known.sum()), 1e-6)
        return _mix(np.broadcast_to(mean, colour.shape).astype(np.float32), colour, known)
    half = (width + 1) // 2, (height + 1) // 2
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    carried = cv2.resize(colour * known[..., None], half, interpolation=cv2.INTER_AREA)
    coarse = membrane(
        (carried / np.maximum(weight, 1e-6)[..., None]).astype(np.float32),
        np.minimum(weight * 4, 1).astype(np.float32),
    )
    filled = _mix(
        np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32),
        colour,
        known,
    )
    for _ in range(_SWEEPS if width <= _FINE else _FINE_SWEEPS):
        smooth = cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REPLICATE)
        filled = _mix(np.asarray(smooth, np.float32), colour, known)
    return filled


def _mix(guess: F32, colour: F32, known: F32) -> F32:
    return guess + known[..., None] * (colour - guess)
