"""Changes that are made alike to source and target, so that a network meets more than its few people."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8

BEND_SHARE = 0.75
"""So many samples get other proportions,"""
TURN, STRETCH, SHIFT = 0.09, 0.07, 0.02
"""by a deviation of the turn [rad], of the logarithm of each side's length, and of the place [sides];"""
BEND, KNOTS = 0.022, 5
"""and by up to this deviation [sides] of so many knots along a side, between which the plane is smooth."""
LIGHT_SHARE = 0.6
"""So many get a skin and a light of their own,"""
HUE, LIGHT = 0.06, 0.2
"""by a deviation of how colours are mixed, and of the logarithm of a light that falls from somewhere."""
GREY, GRAIN = 0.06, 0.15
"""Shares of samples that lose their colour, and that get the grain of a canvas or a sensor."""
JITTER_SHARE = 0.3
JITTER = 0.004
"""Landmarks of so many samples are a little off, this much in heights of the face, as a tracker's are."""


class Colours:
    """One light, one camera: the same change for every picture (H, W, 3) uint8 it is given."""

    def __init__(self, random: np.random.Generator) -> None:
        gain = random.normal(1, 0.08, 3) * random.normal(1, 0.12)
        gamma = float(np.exp(random.normal(0, 0.18)))
        lift = random.normal(0, 6, 3)
        ramp = np.linspace(0, 1, 256)[:, None] ** gamma * 255 * np.clip(gain, 0.5, 1.5) + lift
        self._curves = np.clip(ramp + 0.5, 0, 255).astype(np.uint8).reshape(256, 1, 3)
        mixing = float(np.clip(random.normal(1, 0.25), 0, 1.6)) if random.random() > GREY else 0.0
        luma = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
        self._mix = (mixing * np.eye(3) + (1 - mixing) * luma).astype(np.float32)
        self._grain: F32 | None = None
        if random.random() < GRAIN:
            coarse = random.normal(0, random.uniform(2, 8), (64, 64)).astype(np.float32)
            self._grain = np.asarray(
                cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC), np.float32
            )

    def __call__(self, picture: U8) -> U8:
        """The changed picture."""
        changed = cv2.LUT(picture, self._curves)
        changed = cv2.transform(changed, self._mix)
        if self._grain is not None:
            grain = cv2.resize(self._grain, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            changed = np.clip(changed + grain[..., None], 0, 255).astype(np.uint8)
        return np.asarray(changed, np.uint8)


class Bend:
    """Other proportions of a face: the plane of a window is turned, stretched and smoothly bent.

    Few people teach the networks, who would else know them by heart.

    Args:
        random: what it is drawn from.
        size: side R of the window [px].
    """

    def __init__(self, random: np.random.Generator, size: int) -> None:
        self._size = size
        turn, (across, down) = random.normal(0, TURN), np.exp(random.normal(0, STRETCH, 2))
        cosine, sine = np.cos(turn), np.sin(turn)
        self._linear = np.array([[cosine * across, -sine * down], [sine * across, cosine * down]])
        self._shift = random.normal(0, SHIFT, 2)
        knots = random.normal(0, random.uniform(0, BEND), (KNOTS, KNOTS, 2)).astype(np.float32)
        self._bent = cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC)
        line = (np.arange(size) + 0.5) / size - 0.5
        places = np.stack(np.meshgrid(line, line), axis=-1) @ self._linear.T + self._shift + self._bent
        columns, rows = np.moveaxis((places + 0.5) * size - 0.5, -1, 0)
        self._columns, self._rows = columns.astype(np.float32), rows.astype(np.float32)

    def picture(self, picture: U8, *, fine: bool = False, outside: int | None = None) -> U8:
        """(R, R) or (R, R, C <= 4), bent; `fine` keeps it sharp; the edge goes on, or lies `outside`."""
        bent = cv2.remap(
            np.ascontiguousarray(picture),
            self._columns,
            self._rows,
            cv2.INTER_LANCZOS4 if fine else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT,
            borderValue=outside or 0,
        )
        return np.asarray(bent, np.uint8)

    def points(self, points: F32) -> F32:
        """Where points (N, 2) of the window have come to lie, window units."""
        back = np.linalg.inv(self._linear).T
        wanted = points - 0.5 - self._shift
        found = wanted @ back
        for _ in range(8):  # a pixel says where it looks, not where it is seen
            x, y = np.clip(((found + 0.5) * self._size).astype(int), 0, self._size - 1).T
            found = (wanted - self._bent[y, x]) @ back
        return np.asarray(found + 0.5, np.float32)


class Light:
    """Another skin, and a light from somewhere: the same for all pictures (R, R, 3) of a window.

    What the embedder sees stays as it was: the same person in another light.
    """

    def __init__(self, random: np.random.Generator, size: int) -> None:
        mix = np.eye(3) + random.normal(0, HUE, (3, 3))
        self._mix = (mix / mix.sum(axis=1, keepdims=True)).astype(np.float32)
        few = np.exp(random.normal(0, random.uniform(0, LIGHT), (3, 3))).astype(np.float32)
        self._field = cv2.resize(few, (size, size), interpolation=cv2.INTER_CUBIC)[..., None]

    def __call__(self, picture: U8) -> U8:
        """The changed picture."""
        return np.asarray(np.clip(picture @ self._mix.T * self._field + 0.5, 0, 255), np.uint8)


CAMERA_GAMMA, CAMERA_NOISE = 0.2, 10.0
"""Deviation of the logarithm of a driver's camera's gamma, and the most deviation of its noise [levels]."""
PLACE_JITTER, SIZE_JITTER = 0.04, 0.06
"""Deviation by which close-ups lie beside their places, and of their sizes' logarithm [sides]."""


def other_camera(close_ups: U8, random: np.random.Generator) -> U8:
    """Grey close-ups (3, S, S) as another camera in another light would give them."""
    curve = 255 * np.linspace(0, 1, 256) ** np.exp(random.normal(0, CAMERA_GAMMA))
    noise = random.normal(0, random.uniform(0, CAMERA_NOISE), close_ups.shape)
    return np.asarray(np.clip(curve[close_ups] + noise + 0.5, 0, 255), np.uint8)


def jittered_boxes(boxes: F32, random: np.random.Generator) -> F32:
    """Squares (3, 3), middle and side, a little off."""
    off = np.clip(random.normal(0, 1, boxes.shape), -2, 2)
    moved = boxes[:, :2] + PLACE_JITTER * boxes[:, 2:] * off[:, :2]
    return np.column_stack([moved, boxes[:, 2] * np.exp(SIZE_JITTER * off[:, 2])]).astype(np.float32)


def jittered(random: np.random.Generator) -> F32 | None:
    """(478, 3) offsets in heights of the face: the whole a little, each landmark less; None: none."""
    if random.random() > JITTER_SHARE:
        return None
    whole = random.normal(0, JITTER / 2, (1, 3))
    each = random.normal(0, JITTER / 2, (478, 3))
    return np.asarray(whole + each, np.float32)
