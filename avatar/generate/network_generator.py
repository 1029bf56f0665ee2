"""The generate stage with a network: it looks at 256 pixels, its answer is applied at the picture's size."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from avatar.generate.conditioning import networks_of, psi_of
from avatar.generate.network_file import Trained
from avatar.records import F32, U8, Identity, Motion, Portrait, Warped
from avatar.runtime import PLAIN, FrameInputs, FrameMaps, Runtime, Wanted, open_runtime
from avatar.tools.close_ups import CLOSE_UP, boxes_of
from avatar.tools.drawing import draw_landmarks
from avatar.tools.geometry import smoothstep
from avatar.tools.network_input import warp_slot
from avatar.tools.outlines import Box, box_around, strips
from avatar.tools.scaling import resized
from avatar.tools.stacking import over
from avatar.tools.window import head_window, in_pixels, to_window

RIM = 0.06
"""Towards the edge of its window the network's answer fades into the bare warp, in sides of the window."""
DOUBT = 0.03
"""Changes of the matte that are smaller than this are not made: a wall is to stand still,"""
NEAR = 0.03
"""and nobody appears on it farther than this from the person, in sides of the window,"""
SURE = (0.45, 0.75)
"""nor where the network's matte is less than the first of these; in full from the second one on. What lies
between would be fog around a head that turns."""
CRISP = 0.2
"""The warp moves pixels and the network shifts them again, with straight lines between them. Sharpened by so
much before, they come out as sharp as if shifted along cubic curves, as in training, in an eighth of the
time."""
STRIP = 128
"""Rows of the portrait that are mended at a time: so much stays in the processor's cache on its way."""


class Facts(NamedTuple):
    """What the network is told of a motion, as of `FrameInputs`."""

    drawing: U8
    close_ups: U8
    boxes: F32
    trust: F32


class NetworkGenerator:
    """Warped pixels to a finished portrait, mended by a network.

    Args:
        identity: who.
        side: side S of the portrait in pixels.
        trained: the networks.
        wanted: what runs them.

    Raises:
        ModelError: as `runtime.open_runtime`.
    """

    def __init__(self, identity: Identity, side: int, trained: Trained, wanted: Wanted = PLAIN) -> None:
        self.looks_at_other = trained.preset.sees_warps
        self.crispness = CRISP if trained.preset.sees_warps else 0.0
        self.side = side
        self.plate = resized(identity.plate, side)
        """(S, S, 3)."""
        self.size = trained.preset.size
        """Side R of the network's window in pixels."""
        self.psi = psi_of(identity, trained)[0].numpy()
        """(P,), the identity's parameters."""
        self.network: Runtime = open_runtime(wanted, trained.preset, networks_of(identity, trained))
        self.runtime: str | None = self.network.told
        self.faded = _faded(self.size)
        """(R, R), 0..1: how much the network's answer counts."""
        self._style = trained.preset.style
        self._faded_bytes = 255 * self.faded
        self.faded_small = cv2.resize(self.faded, (self.size // 2,) * 2, interpolation=cv2.INTER_AREA)
        """(R/2, R/2), the same."""
        self._near = np.ones((near_pixels(self.size),) * 2, np.uint8)

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        """Finish one portrait."""
        window = head_window(motion.landmarks)
        person, alpha = warped.person, warped.alpha
        box = box_of(window, self.side)
        if box is not None:
            best = warp_slot(warped, window, self.size)
            drawn = self._draw(best, warped.other, motion, window)
            shown = best[..., 3] * np.float32(1 / 255)
            person, alpha = self._mend(warped, drawn, shown, window, box)
        return Portrait(over(person, alpha, self.plate))

    def _draw(self, best: U8, other: Warped | None, motion: Motion, window: F32) -> FrameMaps:
        second = np.zeros_like(best) if other is None else warp_slot(other, window, self.size)
        drawing, close_ups, boxes, trust = self.facts(motion, window)
        return self.network(FrameInputs(best, second, drawing, self.psi, close_ups, boxes, trust))

    def facts(self, motion: Motion, window: F32) -> Facts:
        """What the network is told of a motion besides the moved pixels."""
        look = motion.close_ups
        return Facts(
            drawing=draw_landmarks(motion.landmarks, window, self.size, self._style),
            close_ups=np.zeros((3, CLOSE_UP, CLOSE_UP), np.uint8) if look is None else look,
            boxes=boxes_of(to_window(motion.landmarks[:, :2], window)),
            trust=np.array([0 if look is None else motion.trust], np.float32),
        )

    def _mend(self, warped: Warped, drawn: FrameMaps, shown: F32, window: F32, box: Box) -> tuple[U8, U8]:
        """Person (S, S, 3) and alpha (S, S) with what the network said of the part `box`.

        `shown` (R, R), 0..1, is the matte that the network was shown.
        """
        faded, small = self.faded, drawn.flow.shape[1]
        # Faded out, the answer is: keep everything, move nothing, add nothing.
        keep = drawn.keep * faded + (1 - faded)
        base = cv2.merge([*(drawn.base * self._faded_bytes)])
        added = self._added(drawn.alpha, shown)
        # Sides of the window to pixels of the crop, in the crop's own directions.
        steps = np.tensordot(window[:, :2] * np.float32(self.side), drawn.flow * self.faded_small, axes=1)
        person, alpha = warped.person.copy(), warped.alpha.copy()
        # A fourth channel of nothing: three take OpenCV's remap three times as long.
        four = np.asarray(cv2.cvtColor(warped.person, cv2.COLOR_BGR2BGRA), np.uint8)
        fine, coarse = (to_window_pixels(window, size, self.side) for size in (self.size, small))
        # Near is a square of the window; turned, its corners reach farther along the crop's rows.
        near = round((NEAR + 1 / self.size) * self.side * float(np.abs(window[:, 0]).sum()))
        for part in strips(warped.alpha, box, STRIP, near):
            moved = _shifted(four, steps, coarse, part)
            kept = cv2.merge([_in_crop(keep, fine, part, outside=1)] * 3)
            cv2.multiply(moved, kept, dst=kept, dtype=cv2.CV_32F)
            cv2.add(kept, _in_crop(base, fine, part), dst=part.of(person), dtype=cv2.CV_8U)
            cv2.add(part.of(alpha), _in_crop(added, fine, part), dst=part.of(alpha), dtype=cv2.CV_8U)
        return person, alpha

    def _added(self, wanted: F32, shown: F32) -> F32:
        """(R, R), -255..255: what is added to the warp's own matte, which is finer than the network's.

        The warp's is changed as the network changed (`wanted`) what it was shown of it (`shown`).
        """
        added = wanted - shown
        added -= np.clip(added, -DOUBT, DOUBT)
        added = np.minimum(added, cv2.dilate(shown, self._near))
        sure = smoothstep((wanted - SURE[0]) / (SURE[1] - SURE[0]))
        return np.asarray(np.where(added > 0, added * sure, added) * self._faded_bytes, np.float32)


def _shifted(four: U8, steps: F32, to_window: F32, box: Box) -> U8:
    """The part `box` (H, W, 3) of a picture (S, S, 4), each pixel from where `steps` (2, r, r) point."""
    # One after the other: OpenCV is slow with two channels at once.
    across, down = (_in_crop(part, to_window, box) for part in steps)
    across += np.arange(box.left, box.right, dtype=np.float32)
    down += np.arange(box.top, box.bottom, dtype=np.float32)[:, None]
    moved = cv2.remap(four, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR), np.uint8)


def _in_crop(values: F32, to_window: F32, box: Box, outside: float = 0) -> F32:
    """What the window says, (R, R) or (R, R, C), at the pixels (H, W) of the crop's part `box`.

    `to_window` (2, 3) is of the whole crop.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    of_box = to_window.copy()
    of_box[:, 2] += to_window[:, :2] @ (box.left, box.top)
    return np.asarray(cv2.warpAffine(values, of_box, box.size, flags=flags, borderValue=outside), np.float32)


def _faded(size: int) -> F32:
    """(size, size): 1 inside, falling to 0 over `RIM` towards the edge."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    inside = np.clip(np.minimum(at, 1 - at) / RIM, 0, 1)
    return np.minimum(inside[:, None], inside[None])


def near_pixels(size: int) -> int:
    """Side of the square around a pixel of the window, `size` pixels a side, that is `NEAR`."""
    return 2 * round(NEAR * size) + 1


def box_of(window: F32, side: int) -> Box | None:
    """The part of the crop that the window covers."""
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    return box_around(corners @ window[:, :2].T * side + window[:, 2] * side, side)


def to_window_pixels(window: F32, size: int, side: int) -> F32:
    """(2, 3): pixels of the crop to pixels of the window."""
    return np.asarray(cv2.invertAffineTransform(in_pixels(window, size, side)), np.float32)
