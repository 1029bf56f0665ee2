"""Where a picture and its head crop come to lie on a canvas: geometry alone, no pixels.

Canvas coordinates are pixels, x right, y down, (0, 0) the outer corner of the top left pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from avatar.records import Crop

Mode = Literal["fit", "fill", "extend"]
MODES: tuple[Mode, ...] = ("fit", "fill", "extend")

EVEN = 4
"""Sides of drawn heads can be halved twice: halving is cheap, any other ratio costs 15 times as much."""
FACE_SHARE = 0.26
"""`extend`: the face is at least this part of the canvas' height, unless the picture covers it before."""

SAME_ASPECT = 0.02
"""Pictures whose aspect is this near to the canvas' fill it in every mode."""

_HAIR = 0.06
"""A crop higher than the canvas is shown from up to this part of its side farther up: hair before chest."""
_SNAP_PX = 1.5
"""A picture's border this near to the canvas' border counts as lying on it."""


@dataclass(frozen=True, slots=True)
class Rect:
    """Whole canvas pixels: columns left..right-1, rows top..bottom-1."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns; 0 or less when empty."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows; 0 or less when empty."""
        return self.bottom - self.top

    def meet(self, other: Rect) -> Rect:
        """The part that both have."""
        return Rect(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """canvas = scale * picture + (left, top), with outer pixel corners as (0, 0) on both sides."""

    scale: float
    left: float
    top: float
    head: Rect
    """The head crop on the canvas: exactly whole pixels, so that it is pasted without resampling twice.
    It may hang over the picture and over the canvas."""
    picture: Rect
    """The visible part of the picture."""


def place(
    picture: tuple[int, int], crop: Crop, canvas: tuple[int, int], mode: Mode, *, face: float = 0.36
) -> Placement:
    """Place a picture of (width, height) pixels on a canvas of (width, height) pixels.

    fit     The whole picture, centred (but for a few pixels, since the head crop takes whole ones).
    fill    The picture covers the canvas; what is cut off is chosen so that the head crop stays in view,
            in the middle as far as the picture reaches.
    extend  The whole picture, unless the face were lower than `FACE_SHARE` of the canvas: then the picture
            grows, at most until it covers the canvas, and is cut above and below (or at its sides) round
            the head. The person stands in the middle as far as the picture's borders allow.

    Args:
        picture: (width, height) of the picture.
        crop: where the head is in it.
        canvas: (width, height) of the canvas.
        mode: as above; all agree where the aspects are within `SAME_ASPECT`.
        face: height of the face, forehead to chin, as a part of the crop's side.

    Raises:
        ValueError: a size or the crop's side is not positive, the mode is unknown, or no part of the head
            crop lies in the picture.
    """
    _check(picture, crop, canvas, mode)
    scale = _scale(picture, crop.side * face, canvas, mode)
    # Up, so that no thin line of canvas is left uncovered; but nothing is cut off to fit, and a picture in
    # its own size is not resampled.
    whole = 1 if mode == "fit" or abs(scale - 1) * crop.side < 1 else EVEN
    side = whole * math.ceil(scale * crop.side / whole - 1e-6)
    scale = side / crop.side
    centred_on_head = mode != "fit"
    spans = []
    for axis, length, start, room in zip("xy", picture, (crop.left, crop.top), canvas, strict=True):
        middle = (start + crop.side / 2) * scale if centred_on_head else length * scale / 2
        if centred_on_head and axis == "y":
            middle -= min(_HAIR * side, max(0.0, (side - room) / 2))
        spans.append(_span(length * scale, middle, start * scale, room))
    (left, head_left), (top, head_top) = spans
    right, bottom = left + scale * picture[0], top + scale * picture[1]
    return Placement(
        scale=scale,
        left=left,
        top=top,
        head=Rect(head_left, head_top, head_left + side, head_top + side),
        picture=Rect(_low(left), _low(top), _high(right, canvas[0]), _high(bottom, canvas[1])),
    )


def _check(picture: tuple[int, int], crop: Crop, canvas: tuple[int, int], mode: str) -> None:
    if min(picture) < 1 or min(canvas) < 1 or crop.side < 1:
        raise ValueError(f"sizes must be positive: picture {picture}, canvas {canvas}, crop {crop}")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    inside = -crop.side < crop.left < picture[0] and -crop.side < crop.top < picture[1]
    if not inside:
        raise ValueError(f"the head crop {crop} lies outside the picture of {picture[0]}x{picture[1]}")


def _scale(picture: tuple[int, int], face: float, canvas: tuple[int, int], mode: Mode) -> float:
    ratios = canvas[0] / picture[0], canvas[1] / picture[1]
    contain, cover = min(ratios), max(ratios)
    if mode == "fill" or cover / contain <= 1 + SAME_ASPECT:
        return cover
    if mode == "fit":
        return contain
    return min(cover, max(contain, FACE_SHARE * canvas[1] / max(face, 1e-6)))


def _span(length: float, middle: float, head: float, room: int) -> tuple[float, int]:
    """Where one axis of the picture begins on the canvas, and the head crop's whole-pixel begin."""
    begin = room / 2 - middle
    low, high = sorted((0.0, room - length))
    begin = min(max(begin, low), high)
    head_begin = round(begin + head)
    return head_begin - head, head_begin


def _low(edge: float) -> int:
    return 0 if edge <= _SNAP_PX else round(edge)


def _high(edge: float, room: int) -> int:
    return room if edge >= room - _SNAP_PX else round(edge)
