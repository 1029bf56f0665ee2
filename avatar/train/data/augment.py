"""Changes that are made alike to source and target, so that a network meets more than its few people."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8

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
