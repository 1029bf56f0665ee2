"""What colours at the outline tell: the person's own without the wall's, and the share of each."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.membrane import membrane

_STIFFNESS = np.float32(0.05)
"""How strongly a half-transparent pixel keeps to its opaque neighbours' colours."""
_NEIGHBOURS = 0.025
"""How far, as a part of the crop, opaque colours stand for the edge's."""
_KEY_REACH = 0.025
"""How far from the matte's outline, as a part of the crop, the colours may change it."""
_SEPARATE = 48.0
"""Levels between person and wall from which their mixture can be read."""
_RESTLESS = 0.12
"""A wall whose detail is stronger than this part of that distance cannot be told from the person."""


def person_colours(rgb: U8, alpha: F32, plate: U8) -> U8:
    """The person's own colours with the wall taken off at the edge, continued smoothly outside.

    Args:
        rgb: (S, S, 3) the picture.
        alpha: (S, S) float32, 0 wall .. 1 person.
        plate: (S, S, 3) the wall.

    Returns:
        (S, S, 3) uint8.
    """
    picture, wall = rgb.astype(np.float32), plate.astype(np.float32)
    trust = (np.clip((alpha - 0.8) / 0.2, 0, 1) ** 2).astype(np.float32)
    own = membrane(picture, trust)
    # Minimises |a F + (1 - a) B - C|^2 + stiffness |F - own|^2: the thinner the person, the less C can tell.
    a = alpha[..., None]
    free = own + a * (picture - a * own - (1 - a) * wall) / (a * a + _STIFFNESS)
    free = _within_neighbours(free, picture, own, alpha)
    mix = np.where(a >= 0.999, picture, free)
    return np.clip(mix + 0.5, 0, 255).astype(np.uint8)


def _within_neighbours(colours: F32, picture: F32, own: F32, alpha: F32) -> F32:
    """Hold edge colours within those of the opaque pixels nearby, so that no detail of the wall gets in."""
    reach = max(1, round(_NEIGHBOURS * alpha.shape[0]))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    opaque = (alpha >= 0.97)[..., None]
    high = cv2.dilate(np.where(opaque, picture, own), window)
    low = cv2.erode(np.where(opaque, picture, own), window)
    return np.clip(colours, low, high)


def keyed_matte(rgb: U8, matte: F32, texture: U8, plate: U8) -> F32:
    """Correct a matte near its outline where the wall is calm and unlike the person.

    There the share of the person in a pixel's colour can be read directly; elsewhere the matte stays.

    Args:
        rgb: (S, S, 3) the picture.
        matte: (S, S) float32, 0 wall .. 1 person.
        texture: (S, S, 3) the person's colours, continued past the outline.
        plate: (S, S, 3) the wall, continued behind the person.

    Returns:
        (S, S) float32.
    """
    side = matte.shape[0]
    picture, own, wall = (x.astype(np.float32) for x in (rgb, texture, plate))
    apart = own - wall
    distance = np.maximum(np.linalg.norm(apart, axis=2), 1).astype(np.float32)
    share: F32 = ((picture - wall) * apart).sum(2) / distance**2
    missed = picture - wall - share.clip(0, 1)[..., None] * apart
    unexplained = np.asarray(np.linalg.norm(missed, axis=2) / distance, np.float32)
    restless = _restlessness(picture, matte) / distance
    trust = _falling(unexplained, 0.3) * _falling(restless, _RESTLESS) * (1 - _falling(distance, _SEPARATE))
    trust *= _near_outline(matte, _KEY_REACH * side)
    trust = np.asarray(cv2.GaussianBlur(trust, (0, 0), 1.0), np.float32)
    key = np.clip((share - 0.08) / 0.84, 0, 1)
    return np.asarray(np.clip(matte + trust * (key - matte), 0, 1), np.float32)


def _restlessness(picture: F32, matte: F32) -> F32:
    """Strength of the wall's detail near each pixel, levels, (S, S)."""
    side = matte.shape[0]
    outside = cv2.erode(
        (matte < 0.02).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, side // 64)
    )
    wall = np.asarray(outside, np.float32)
    sigma = 0.012 * side
    weight = cv2.GaussianBlur(wall, (0, 0), sigma) + np.float32(1e-6)
    smooth = cv2.GaussianBlur(picture * wall[..., None], (0, 0), sigma) / weight[..., None]
    detail = wall * ((picture - smooth) ** 2).sum(2)
    # The answer is smooth, so it is taken at a quarter of the size.
    small = (max(1, side // 4),) * 2
    sigma = 0.05 * small[0]
    energy, share = (
        cv2.GaussianBlur(cv2.resize(x, small, interpolation=cv2.INTER_AREA), (0, 0), sigma)
        for x in (detail, wall)
    )
    strength = np.sqrt(energy / (share + np.float32(1e-6)))
    return np.asarray(cv2.resize(strength, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _near_outline(matte: F32, reach: float) -> F32:
    """1 at soft pixels and at the outline, falling to 0 over `reach` pixels."""
    hard = ((matte < 0.5).astype(np.uint8), (matte >= 0.5).astype(np.uint8))
    away = np.maximum(*(cv2.distanceTransform(side, cv2.DIST_L2, 3) for side in hard))
    soft = ((matte > 0.02) & (matte < 0.98)).astype(np.float32)
    return np.maximum(_falling(away, reach), cv2.GaussianBlur(soft, (0, 0), 1.0)).astype(np.float32)


def _falling(values: F32, limit: float) -> F32:
    """1 well below `limit`, 0.5 at it, 0 well above."""
    return np.asarray(np.clip(1.5 - values / np.float32(limit), 0, 1), np.float32)
