"""The wall behind a person: a membrane stretched over the hole, with a little of the wall's grain."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.membrane import membrane

_GRAIN_MAX = 4.0
"""Grain is never stronger than this (standard deviation in levels): a patterned wall is not grain."""

_ISLAND = 0.008
"""Pieces of wall smaller than this part of the crop are not believed."""


def background_plate(rgb: U8, person: F32, trusted: F32 | None = None, *, seed: int = 0) -> U8:
    """The background with the person taken out.

    Args:
        rgb: (S, S, 3) the picture.
        person: (S, S) float32 0..1; wherever it is not 0, and a little round it, the wall is invented.
        trusted: (S, S) float32 0..1, where the picture may serve as an example of the wall; None: everywhere.
        seed: of the grain.

    Returns:
        (S, S, 3) uint8.
    """
    side = rgb.shape[0]
    reach = max(1, round(side * 0.012))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    hole = cv2.dilate((person > 0.02).astype(np.float32), disc)
    wall = np.asarray(1 - hole, np.float32)
    wall = _without_islands(wall)
    example = wall if trusted is None else wall * trusted
    picture = rgb.astype(np.float32)
    if example.sum() < 0.01 * side * side:
        example = wall if wall.sum() > 0 else _frame(side)
    filled = membrane(picture, example) + _grain(picture, example, seed)
    soft = np.minimum(cv2.GaussianBlur(hole, (0, 0), max(0.6, reach / 3)), 1)
    soft = np.maximum(soft, (person > 0.02).astype(np.float32))
    plate = picture + soft[..., None] * (filled - picture)
    return np.asarray(np.clip(plate + 0.5, 0, 255), np.uint8)


def _frame(side: int) -> F32:
    """1 on the outermost pixels of a crop that shows no wall at all."""
    frame = np.ones((side, side), np.float32)
    frame[1:-1, 1:-1] = 0
    return frame


def _without_islands(wall: F32) -> F32:
    """Small pieces of wall amid the person are more often missed pieces of the person."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((wall > 0).astype(np.uint8), connectivity=4)
    small = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] < _ISLAND * wall.size]
    return np.where(np.isin(labels, small), 0, wall).astype(np.float32)


def _grain(picture: F32, example: F32, seed: int) -> F32:
    """Noise as strong as the wall's finest detail; (S, S, 1) float32, zero mean."""
    detail = np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 1.5)).mean(2)
    sure = example >= 1
    level = float(np.median(detail[sure])) * 1.2 if sure.any() else 0.0
    noise = np.random.default_rng(seed).standard_normal(example.shape).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)
    return (noise / max(float(noise.std()), 1e-6) * min(level, _GRAIN_MAX))[..., None].astype(np.float32)
