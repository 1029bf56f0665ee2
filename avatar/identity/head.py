"""Which part of a person is the head: face, hair and ears."""

from __future__ import annotations

import numpy as np

from avatar.records import F32, U8
from avatar.tools.facemesh import CHIN, FOREHEAD, OVAL, face_height
from avatar.tools.outlines import fill_ring, reach_along, smooth_ring

HAIR_MAX = 0.6
"""How far hair may reach from the outline of the face and still be the head's [face heights]."""


def head_mask(alpha: U8, landmarks: F32) -> U8:
    """The head of a person.

    From the outline of the face rays go out as far as the person goes on without a gap, `HAIR_MAX` at most;
    under the chin they do not leave the face.

    Args:
        alpha: (S, S) uint8, the matte of the person.
        landmarks: (478, 3), crop units.

    Returns:
        (S, S) uint8, never more than `alpha`.
    """
    side = alpha.shape[0]
    outline = landmarks[list(OVAL), :2]
    rays = outline - outline.mean(axis=0)
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    down = landmarks[CHIN, :2] - landmarks[FOREHEAD, :2]
    beside = np.clip((0.7 - rays @ (down / np.linalg.norm(down))) / 0.6, 0, 1)  # 0 under the chin, 1 above
    reach = reach_along(alpha, outline, rays, HAIR_MAX * face_height(landmarks))
    border = outline + rays * (_smooth(reach) * beside)[:, None]
    inside = fill_ring(smooth_ring(border.astype(np.float32) * side - np.float32(0.5)), (side, side))
    return np.minimum(inside, alpha)


def _smooth(values: F32) -> F32:
    """Along the closed outline; a lock of hair is not narrower than that."""
    return np.asarray((np.roll(values, 1) + 2 * values + np.roll(values, -1)) / 4, np.float32)
