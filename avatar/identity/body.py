"""Gives a further view the body of the front: shoulders and clothes must not change with the face."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from avatar.records import F32, U8, View
from avatar.tools.facemesh import CHIN, face_height
from avatar.tools.geometry import smoothstep
from avatar.tools.standing import head_fit, standing

NECK_START, NECK_END = 0.04, 0.32
"""How far below the chin the view ends and the front begins, by and by [face heights]."""
CUT = 0.03
"""So near to the border of its picture the view ends, too, and as far beyond that of its own the front
[crop units]."""

Inside = tuple[float, float, float, float]
"""Left, top, right and bottom of the part of a crop that its picture shows, crop units."""


def on_front_body(view: View, inside: Inside, front: View, front_inside: Inside) -> View:
    """`view` with everything below the neck from `front`, placed as the warp places what stands still.

    Past the border of a picture its crop is made up. So what the view's picture does not show is taken from
    the front, and the other way round; where neither knows, the head is the view's and the body the front's.
    """
    side = view.texture.shape[0]
    still = standing(view, head_fit(view, front))
    own = _own(view, inside, front, front_inside, still)
    texture = _mixed(view.texture, placed(front.texture, still, side), own)
    alpha = _mixed(view.alpha, placed(front.alpha, still, side), own)
    head = _mixed(view.head, placed(front.head, still, side), own)
    return replace(view, texture=texture, alpha=alpha, head=np.minimum(head, alpha))


def _own(view: View, inside: Inside, front: View, front_inside: Inside, still: F32) -> F32:
    """(S, S), 1 where the view keeps what it has."""
    side, height = view.texture.shape[0], face_height(view.landmarks)
    at = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / side
    front_chin = (front.landmarks[CHIN, 1] - still[1, 2]) / still[1, 1]
    below = (at - max(view.landmarks[CHIN, 1], front_chin)) / height
    upper = 1 - smoothstep((below - NECK_START) / (NECK_END - NECK_START))
    left, top, right, bottom = inside
    known = np.outer(_until(at, top, bottom, -CUT), _until(at, left, right, -CUT))
    across, down = (still[axis, axis] * at + still[axis, 2] for axis in (0, 1))
    left, top, right, bottom = front_inside
    above = _until(down, top, bottom, CUT)[:, None]
    head = 1 - above * _until(across, left, right, CUT) * (1 - known)
    body = (1 - above) * known  # beside its picture the front's body goes on well enough
    return np.asarray(body + upper[:, None] * (head - body), np.float32)


def _until(at: F32, low: float, high: float, room: float) -> F32:
    """1 between `low` and `high`, 0 beyond: it falls within `room` outside of them, or inside if negative.

    The border of the crop itself, 0 or 1, is none: there the picture goes on.
    """
    low, high = low if low > 0 else -1, high if high < 1 else 2
    away = np.minimum(at - np.float32(low), np.float32(high) - at)
    return smoothstep((away + max(room, 0)) / abs(room))


def placed(layer: U8, still: F32, side: int) -> U8:
    """A layer of the front in the crop of the view, `side` pixels."""
    scale = layer.shape[0] / side
    turn = still[:, :2] * np.float32(scale)
    # Pixel i of the view lies at (i + 0.5) / side of its crop.
    shift = still[:, 2] * layer.shape[0] + turn.sum(axis=1) * np.float32(0.5) - np.float32(0.5)
    matrix = np.column_stack([turn, shift]).astype(np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(layer, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _mixed(view: U8, front: U8, own: F32) -> U8:
    return np.asarray(cv2.blendLinear(view, front, own, 1 - own), np.uint8)
