"""Pastes the finished head crop back into the identity's picture, on a canvas of the wanted size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.records import F32, U8, Frame, Identity, Portrait
from avatar.tools.facemesh import face_height
from avatar.tools.placement import Mode, Placement, Rect, place

FEATHER = 0.04
"""Width of the soft border of the head crop inside the picture, as a part of the crop's side."""

_EDGE = 0.012
"""`extend`: width of the soft border of the picture, as a part of the canvas' height."""
_HALVE = 1.75
"""From this much too big a portrait is halved before it is resampled, so that nothing flickers."""
_BAR = 16
"""Grey level of the bars of `fit`."""
_DIM = 0.62
"""Brightness of the surroundings of `extend`."""
_BLUR = 0.055
"""Blur (sigma) of those surroundings, as a part of the canvas' height."""


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """A part of the canvas in which the head crop is mixed in: frame = rest + weight * head."""

    canvas: Rect
    rest: F32
    weight: F32


class Compositor:
    """Portrait -> Frame. All that stands still is made once; a frame costs a copy, a resize and a paste.

    Args:
        identity: whose picture it is.
        size: (width, height) of the canvas in pixels; None gives the picture's own size.
        mode: what to do where picture and canvas differ in aspect:
            "fit"     the whole picture between plain dark bars;
            "fill"    the picture covers the canvas, cut round the head;
            "extend"  the picture, grown until the head is big enough for a call, in blurred and dimmed
                      surroundings of its own colours (`tools.placement.place` tells the rule).

    Raises:
        ValueError: as `tools.placement.place`.

    The result outside the head crop is exactly `canvas`; at those borders of the crop that lie inside the
    picture the crop is faded in over `FEATHER`. Where the crop hangs over the picture only the inside part is
    pasted.
    """

    def __init__(
        self, identity: Identity, *, size: tuple[int, int] | None = None, mode: Mode = "extend"
    ) -> None:
        height, width = identity.picture.shape[:2]
        self.size = size or (width, height)
        """(width, height) of every frame, pixels."""
        face = face_height(identity.front.landmarks)
        self.placement = place((width, height), identity.crop, self.size, mode, face=face)
        picture = _render(identity.picture, self.placement, self.size)
        soft = mode == "extend" and self.placement.picture != Rect(0, 0, *self.size)
        edge = _fade(self.placement.picture, self.size, round(_EDGE * self.size[1]) if soft else 0)
        if soft:
            surroundings = _surroundings(identity, self.placement, self.size)
        else:
            surroundings = np.full_like(picture, _BAR)
        still = surroundings + edge[..., None] * (picture.astype(np.float32) - surroundings)
        self.canvas: U8 = (still + 0.5).astype(np.uint8)
        """(H, W, 3), what does not move."""
        self.canvas.flags.writeable = False
        self._visible = self.placement.head.meet(self.placement.picture)
        weight = edge * _feather(self.placement, self.size)
        self._core, rims = _split(self._visible, weight)
        self._strips = [
            _strip(rim, weight, still, picture) for rim in rims if rim.width > 0 and rim.height > 0
        ]

    def __call__(self, portrait: Portrait, index: int, captured_ns: int) -> Frame:
        """Compose one frame.

        Args:
            portrait: the head crop, (S, S, 3) uint8, any S.
            index: number of the camera frame.
            captured_ns: when that was taken.

        Returns:
            A frame with an array of its own, (H, W, 3) uint8 of `size`.

        Raises:
            ValueError: the portrait is not a square RGB picture of uint8.
        """
        head = self._resized(portrait.rgb)
        frame = self.canvas.copy()
        if self._core.width > 0 and self._core.height > 0:
            _view(frame, self._core)[:] = self._of_head(head, self._core)
        for strip in self._strips:
            mixed = cv2.multiply(self._of_head(head, strip.canvas), strip.weight, dtype=cv2.CV_32F)
            cv2.add(mixed, strip.rest, dst=mixed)
            _view(frame, strip.canvas)[:] = mixed
        return Frame(rgb=frame, index=index, captured_ns=captured_ns)

    def _resized(self, rgb: U8) -> U8:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[0] != rgb.shape[1] or rgb.shape[2] != 3:
            raise ValueError(f"portrait must be (S, S, 3) uint8, got {rgb.shape} {rgb.dtype}")
        for side, how in _steps(rgb.shape[0], self.placement.head.width):
            rgb = np.asarray(cv2.resize(rgb, (side, side), interpolation=how), np.uint8)
        return rgb

    def resizing(self, side: int) -> F32:
        """(head, side): what brings the columns of a portrait, and its rows, to the size of the head here."""
        matrix = np.eye(side, dtype=np.float32)
        for rows, how in _steps(side, self.placement.head.width):
            matrix = np.asarray(cv2.resize(matrix, (side, rows), interpolation=how), np.float32)
        return matrix

    def mixing(self) -> tuple[Rect, F32, F32]:
        """How the head is mixed in, in one piece: frame = rest + weight * head, cut to uint8.

        Returns:
            The part (H, W) of the canvas, rest (H, W, 3) and weight (H, W, 3).
        """
        part = self._visible
        rest = np.full((part.height, part.width, 3), 0.5, np.float32)
        weight = np.ones_like(rest)
        for strip in self._strips:
            of = strip.canvas
            rows = slice(of.top - part.top, of.bottom - part.top)
            columns = slice(of.left - part.left, of.right - part.left)
            rest[rows, columns], weight[rows, columns] = strip.rest, strip.weight
        return part, rest, weight

    def _of_head(self, head: U8, part: Rect) -> U8:
        left, top = self.placement.head.left, self.placement.head.top
        return head[part.top - top : part.bottom - top, part.left - left : part.right - left]


def _steps(side: int, wanted: int) -> list[tuple[int, int]]:
    """The sizes that a square of `side` pixels is resampled to until it has `wanted`, and how."""
    steps = []
    while side % 2 == 0 and side >= _HALVE * wanted:
        # Halving is cheap; an area filter of any other ratio costs ten times as much.
        side //= 2
        steps.append((side, cv2.INTER_AREA))
    if side != wanted:
        steps.append((wanted, cv2.INTER_AREA if side >= _HALVE * wanted else cv2.INTER_LINEAR))
    return steps


def _view(canvas: U8, part: Rect) -> U8:
    return canvas[part.top : part.bottom, part.left : part.right]


def _render(picture: U8, placement: Placement, size: tuple[int, int]) -> U8:
    """The picture at its place; past its borders the border colours go on."""
    scale = placement.scale
    if scale == 1 and placement.left == 0 and placement.top == 0 and picture.shape[:2] == size[::-1]:
        return picture.copy()
    if scale < 1:
        sigma = 0.45 * np.sqrt(1 / scale**2 - 1)
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(sigma)), np.uint8)
    to_canvas = np.array(
        [
            [scale, 0, placement.left + 0.5 * scale - 0.5],
            [0, scale, placement.top + 0.5 * scale - 0.5],
        ]
    )
    canvas = cv2.warpAffine(picture, to_canvas, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(canvas, np.uint8)


def _surroundings(identity: Identity, placement: Placement, size: tuple[int, int]) -> F32:
    """The picture without its person, mirrored on past its borders, blurred and dimmed; (H, W, 3) float32."""
    wall = identity.picture.copy()
    crop, (height, width) = identity.crop, wall.shape[:2]
    plate = cv2.resize(identity.plate, (crop.side, crop.side), interpolation=cv2.INTER_AREA)
    left, top = max(0, crop.left), max(0, crop.top)
    right, bottom = min(width, crop.left + crop.side), min(height, crop.top + crop.side)
    wall[top:bottom, left:right] = plate[
        top - crop.top : bottom - crop.top, left - crop.left : right - crop.left
    ]
    # At an eighth of the size: the blur leaves nothing finer, and a mirror needs no care for speed.
    small = max(1, size[0] // 8), max(1, size[1] // 8)
    ratio = np.array([small[0] / size[0], small[1] / size[1]])
    scale = placement.scale * ratio
    shift = np.array([placement.left, placement.top]) * ratio
    blurred = cv2.GaussianBlur(wall, (0, 0), max(0.5, 0.5 / float(scale.min())))
    to_small = np.array(
        [[scale[0], 0, shift[0] + 0.5 * scale[0] - 0.5], [0, scale[1], shift[1] + 0.5 * scale[1] - 0.5]]
    )
    mirrored = cv2.warpAffine(blurred, to_small, small, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
    sigma = max(1.0, _BLUR * small[1])
    calm = cv2.GaussianBlur(mirrored, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(calm, size, interpolation=cv2.INTER_CUBIC), np.float32).clip(
        0, 255
    ) * np.float32(_DIM)


def _fade(area: Rect, size: tuple[int, int], soft: int) -> F32:
    """1 in `area`, 0 outside, over `soft` pixels at those of its borders that lie inside the canvas."""
    across = _ramp(area.left, area.right, size[0], soft * (area.left > 0), soft * (area.right < size[0]))
    down = _ramp(area.top, area.bottom, size[1], soft * (area.top > 0), soft * (area.bottom < size[1]))
    return down[:, None] * across[None, :]


def _feather(placement: Placement, size: tuple[int, int]) -> F32:
    """Weight of the head crop on the canvas, soft at its borders inside the picture."""
    head, picture = placement.head, placement.picture
    soft = max(1, round(FEATHER * head.width))
    across = _ramp(
        head.left, head.right, size[0], soft * (head.left > picture.left), soft * (head.right < picture.right)
    )
    down = _ramp(
        head.top, head.bottom, size[1], soft * (head.top > picture.top), soft * (head.bottom < picture.bottom)
    )
    return down[:, None] * across[None, :]


def _ramp(begin: int, end: int, room: int, soft_begin: int, soft_end: int) -> F32:
    """(room,) weights: 1 from `begin` to `end`, rising and falling inside it over so many pixels."""
    at = np.arange(room, dtype=np.float32) + 0.5
    rise = (at - begin) / soft_begin if soft_begin else (at > begin).astype(np.float32)
    fall = (end - at) / soft_end if soft_end else (at < end).astype(np.float32)
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)


def _split(visible: Rect, weight: F32) -> tuple[Rect, list[Rect]]:
    """Part the visible head crop in a core of full weight and the rims above, below, left and right of it."""
    inner = weight[visible.top : visible.bottom, visible.left : visible.right]
    columns = np.flatnonzero(inner.max(0, initial=0) >= 1) + visible.left
    rows = np.flatnonzero(inner.max(1, initial=0) >= 1) + visible.top
    if not len(columns) or not len(rows):
        return Rect(0, 0, 0, 0), [visible]
    left, right, top, bottom = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    return Rect(left, top, right, bottom), [
        Rect(visible.left, visible.top, visible.right, top),
        Rect(visible.left, bottom, visible.right, visible.bottom),
        Rect(visible.left, top, left, bottom),
        Rect(right, top, visible.right, bottom),
    ]


def _strip(part: Rect, weight: F32, still: F32, picture: U8) -> _Strip:
    window = np.s_[part.top : part.bottom, part.left : part.right]
    mix = np.repeat(weight[window][..., None], 3, axis=2)
    # `still - weight * picture` keeps the canvas where nothing moved; 0.5 makes the plain cut to uint8 round.
    rest = still[window] - mix * picture[window] + np.float32(0.5)
    return _Strip(part, np.ascontiguousarray(rest), np.ascontiguousarray(mix))
