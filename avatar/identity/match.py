"""Colours of one picture of a person brought to those of another, so that a change of views is not seen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8, View
from avatar.tools.facemesh import EYES, MOUTH, OUTER_LIPS, face_height, face_model

GAIN_MAX = 1.3
"""A channel is made brighter or darker by no more than this: past that the light is another one, and not the
camera's mood."""
FACING = 0.35
"""Skin that shows less than this part of what it shows from the front is not compared."""
_TRIMMED = 0.25
"""Part of the skin that may differ for reasons of its own: shadows, gloss, hair before it."""
_SPOT = 0.02
"""Colours are means over spots of this size [face heights]."""
_SPOTS_MIN = 40


def matched(view: View, front: View) -> View:
    """`view` with each colour channel of its skin as bright in the mean as in `front`.

    The same places of the face are compared, those that both show, so that neither a turned head nor hair in
    the face changes anything. It works fully up to `GAIN_MAX`, and no further. The spread of the colours is
    left alone: light from another side changes it, too, and brought to the front's it made pictures harsh.
    """
    (shown, own), (wanted_shown, wanted) = _skin(view), _skin(front)
    both = shown & wanted_shown
    if both.sum() < _SPOTS_MIN:
        return view
    own, wanted = own[both], wanted[both]
    gap = (wanted - own).mean(axis=1)
    odd = np.abs(gap - np.median(gap))
    alike = odd <= np.quantile(odd, 1 - _TRIMMED)
    bright = np.maximum(own[alike].mean(axis=0), 1.0)
    gain = np.clip(wanted[alike].mean(axis=0) / bright, 1 / GAIN_MAX, GAIN_MAX)
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip(gain * levels + 0.5, 0, 255).astype(np.uint8)
    channels = [cv2.LUT(view.texture[..., i], table[:, i]) for i in range(3)]
    return replace(view, texture=np.asarray(np.dstack(channels), np.uint8))


def _skin(view: View) -> tuple[NDArray[np.bool_], F32]:
    """Of each triangle of plain skin whether the view shows it, (T,), and its colour, (T, 3) levels."""
    corners = view.landmarks[_bare()]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-9)
    # Seen from outside all of them turn the same way.
    shown = -normal[:, 2] / length > FACING
    return shown, _spots(view.texture, corners.mean(axis=1), face_height(view.landmarks))


def _spots(texture: U8, places: F32, height: float) -> F32:
    side = texture.shape[0]
    calm = cv2.GaussianBlur(texture, (0, 0), max(0.5, _SPOT * height * side))
    at = np.ascontiguousarray(places[None, :, :2] * side - 0.5, np.float32)
    return np.asarray(cv2.remap(calm, at, None, cv2.INTER_LINEAR)[0], np.float32)


@cache
def _bare() -> NDArray[np.int32]:
    """(T, 3): the triangles of plain skin, away from eyes and mouth."""
    triangles = face_model().triangles
    rims = {*OUTER_LIPS.ring, *MOUTH.ring, *(i for eye in EYES for i in eye.ring)}
    return triangles[~np.isin(triangles, list(rims)).any(axis=1)]
