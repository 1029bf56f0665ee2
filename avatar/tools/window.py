"""The square through which the networks see a head: it follows the head's place, size and roll.

So eyes and mouth lie nearly at the same places of every picture that a network gets, whoever it is.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8
from avatar.tools.facemesh import HEAD_FACES, OVAL, face_height, face_model
from avatar.tools.geometry import fit_similarity

_MINIFIED = 1.5
"""From this many source pixels a window pixel on, the source is averaged before it is sampled."""


def head_window(landmarks: F32) -> F32:
    """Where the window lies.

    Args:
        landmarks: (478, 3), any unit in which x and y are alike: crop units as a rule.

    Returns:
        (2, 3) float32: window units, 0..1 in x and y, to the landmarks' unit.
    """
    model = face_model()
    fit = fit_similarity(model.mean, landmarks, model.rigid)
    middle, height = _middle()
    centre = fit(middle[None])[0, :2]
    side = HEAD_FACES * height * fit.scale
    # The line down the face as it is seen; its direction survives a nod and a turn.
    right, down = -fit.rotation[0, 1], fit.rotation[1, 1]
    angle = np.arctan2(right, down)
    turn = side * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, centre - turn @ (0.5, 0.5)]).astype(np.float32)


@cache
def _middle() -> tuple[F32, float]:
    """The middle of the average face's outline, face frame, and that face's height."""
    mean = face_model().mean
    return mean[list(OVAL)].mean(axis=0), face_height(mean)


def in_pixels(window: F32, size: int, side: int) -> F32:
    """The window (2, 3) of `head_window` in pixels: of `size` pixels a side, to a crop of `side` pixels."""
    return from_grid(to_pixels(window, side), size)


def to_pixels(window: F32, side: int) -> F32:
    """The window (2, 3) of a crop, from window units to the pixels of that crop at `side` pixels."""
    return (window * np.float32(side) - np.array([0, 0, 0.5], np.float32)).astype(np.float32)


def from_grid(matrix: F32, size: int) -> F32:
    """A map (2, 3) from units 0..1, for the pixels of a grid: number i of `size` lies at (i + 0.5) / size."""
    turn = matrix[:, :2] / np.float32(size)
    return np.column_stack([turn, matrix[:, 2] + turn @ np.array([0.5, 0.5], np.float32)]).astype(np.float32)


def to_window(points: F32, window: F32) -> F32:
    """Points (N, 2) in the window's outer unit to window units (N, 2)."""
    return np.asarray(np.linalg.solve(window[:, :2], (points - window[:, 2]).T).T, np.float32)


def cut_window(picture: U8, window: F32, size: int) -> U8:
    """What the window shows of a square crop (S, S) or (S, S, C) uint8, `size` pixels a side.

    Past the crop's border its edge goes on.
    """
    for side in halvings(window, picture.shape[0], size):
        picture = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return warp_affine(picture, in_pixels(window, size, picture.shape[0]), size)


def halvings(window: F32, side: int, size: int) -> list[int]:
    """The sides to which a crop of `side` pixels is averaged, before `size` pixels of its window are cut."""
    sides = []
    across = float(np.hypot(*window[:, 0])) * side / size
    while across >= _MINIFIED:
        side = (side + 1) // 2
        sides.append(side)
        across /= 2
    return sides


def warp_affine(picture: U8, matrix: F32, size: int) -> U8:
    """`picture` at `matrix` (2, 3) of each of `size` x `size` pixels, its edge going on outside."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved: NDArray[np.uint8] = np.asarray(
        cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
    return moved
