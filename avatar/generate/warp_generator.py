"""The generate stage without a network: the warped person, and the background behind."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import Identity, Motion, Portrait, Warped
from avatar.tools.scaling import resized


class WarpGenerator:
    """Warped pixels to a finished portrait, with nothing learnt.

    Args:
        identity: who.
        side: side S of the portrait in pixels.
    """

    looks_at_other = False

    def __init__(self, identity: Identity, side: int) -> None:
        self._plate = resized(identity.plate, side)
        self._cover = np.empty((side, side), np.float32)
        self._rest = np.empty((side, side), np.float32)
        self._byte = np.float32(1 / 255)

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        """Finish one portrait; `motion` is there as for every generator, and changes nothing."""
        np.multiply(warped.alpha, self._byte, out=self._cover)
        np.subtract(1, self._cover, out=self._rest)
        rgb = np.asarray(cv2.blendLinear(warped.person, self._plate, self._cover, self._rest), np.uint8)
        return Portrait(rgb=rgb)
