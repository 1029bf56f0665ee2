"""Puts the person before another background: an identity whose picture is the finished canvas.

Nothing behind it needs to know. The head crop keeps its textures and only lies elsewhere; what is outside of
it, which stands still, is cut out of the picture with a segmenter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from avatar.identity.body import placed
from avatar.identity.enroll import cut_out, inside_of
from avatar.identity.matte import Windows
from avatar.records import F32, U8, Crop, Identity, View
from avatar.tools.facemesh import face_height
from avatar.tools.geometry import smoothstep
from avatar.tools.placement import Mode, Placement, place
from avatar.tools.standing import head_fit, standing

SURE = (0.3, 0.7)
"""What the segmenter gives less than the first of these is background, from the second on it is person."""
CUT = 0.05
"""Where a border of the picture cuts the person inside the canvas, it ends softly over so much of the canvas'
height."""
SEAM = 0.04
"""At the border of the head crop one matte goes over into the other, in sides of the crop."""
LONGEST = 1280
"""The matte of the whole picture is refined at this size at most [px]."""
BLUR = 0.03
"""Blur (sigma) of the portrait's own background, as a part of the canvas' height."""
COARSE = 240
"""It is made at this size [px]: nothing finer is left of it."""
RIM = 0.02
"""So far around the person nothing of it is taken, in smaller sides of the picture."""
FAINT = 8.0
"""Where less than this (of 255) of the surroundings is background, a wider blur counts."""


def before_backdrop(
    identity: Identity,
    backdrop: U8,
    *,
    mode: Mode,
    segment: Callable[[U8], F32],
) -> Identity:
    """The person, placed as the compositor would place the picture, before another background.

    Args:
        identity: who.
        backdrop: (H, W, 3), of the size of the canvas.
        mode: how the picture is fitted to the canvas, see `tools.placement.place`.
        segment: gives a picture's person probability, (H, W) float32.

    Returns:
        An identity whose picture has the size of the canvas.
    """
    height, width = backdrop.shape[:2]
    layout = _layout(identity, (width, height), mode)
    crop = Crop(layout.head.left, layout.head.top, layout.head.width)
    alpha = _whole_matte(identity, segment)
    shown, weight = _on_canvas(identity.picture, alpha, layout, (width, height))
    picture = _mixed(shown, backdrop, weight)
    side = identity.plate.shape[0]
    front = _cut_off(identity.front, layout, (width, height))
    return replace(
        identity,
        picture=picture,
        crop=crop,
        plate=_resized(cut_out(backdrop, crop)[0], side),
        views=(front, *(_like(view, front) for view in identity.views[1:])),
    )


def own_blurred(identity: Identity, size: tuple[int, int], *, mode: Mode, segment: Callable[[U8], F32]) -> U8:
    """The portrait's own background without its person, blurred; (H, W, 3) for a canvas of (width, height).

    Past the borders of the picture it goes on mirrored; where the person was, as around it.
    """
    layout = _layout(identity, size, mode)
    ratio = COARSE / max(size)
    small = max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
    matrix = np.array([[layout.scale, 0, layout.left], [0, layout.scale, layout.top]], np.float32)
    matrix *= np.array([[small[0] / size[0]], [small[1] / size[1]]], np.float32)
    matte = _whole_matte(identity, segment)
    rim = round(RIM * min(matte.shape))
    wider = cv2.dilate(matte, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1)))
    wall = np.dstack([identity.picture, np.rint(255 * (1 - np.asarray(wider, np.float32)))])
    soft = max(0.5, 0.5 / float(matrix[0, 0]))
    calmed = np.asarray(cv2.GaussianBlur(wall.astype(np.float32), (0, 0), soft), np.float32)
    calmed[..., :3] *= calmed[..., 3:]
    mirrored = cv2.warpAffine(calmed, matrix, small, borderMode=cv2.BORDER_REFLECT)
    calm = np.zeros((*small[::-1], 3), np.float32)
    for times in (27, 9, 3, 1):  # what the narrower blurs know nothing of is taken from the wider ones
        sigma = max(1.0, times * BLUR * small[1])
        seen = cv2.GaussianBlur(mirrored, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        calm = (seen[..., :3] + calm * FAINT) / (seen[..., 3:] + FAINT)
    return np.asarray(cv2.resize(calm, size, interpolation=cv2.INTER_CUBIC).clip(0, 255), np.uint8)


def covering(picture: U8, size: tuple[int, int]) -> U8:
    """A picture (H, W, 3) scaled and cut, round its middle, to cover (width, height)."""
    width, height = size
    scale = max(width / picture.shape[1], height / picture.shape[0])
    across, down = (max(1, round(length * scale)) for length in (picture.shape[1], picture.shape[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grown = cv2.resize(picture, (max(across, width), max(down, height)), interpolation=how)
    left, top = (grown.shape[1] - width) // 2, (grown.shape[0] - height) // 2
    return np.ascontiguousarray(grown[top : top + height, left : left + width], np.uint8)


def _layout(identity: Identity, size: tuple[int, int], mode: Mode) -> Placement:
    height, width = identity.picture.shape[:2]
    face = face_height(identity.front.landmarks)
    return place((width, height), identity.crop, size, mode, face=face)


def _shown_part(crop: Crop, picture: U8) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of the crop that the picture shows [px]."""
    height, width = picture.shape[:2]
    right, bottom = min(width, crop.left + crop.side), min(height, crop.top + crop.side)
    return max(0, crop.left), max(0, crop.top), right, bottom


def _whole_matte(identity: Identity, segment: Callable[[U8], F32]) -> F32:
    """(H, W), 0..1, where the person is in the whole picture: the enrolled matte, a segmenter's around."""
    matte = _person(identity.picture, segment)
    crop = identity.crop
    left, top, right, bottom = _shown_part(crop, identity.picture)
    known = _resized(identity.front.alpha, crop.side).astype(np.float32) / np.float32(255)
    part = np.s_[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left]
    at = (np.arange(crop.side, dtype=np.float32) + np.float32(0.5)) / np.float32(crop.side)
    ramp = np.clip(np.minimum(at, 1 - at) / np.float32(SEAM), 0, 1)
    share = np.minimum(ramp[:, None], ramp[None])[part]
    inside = matte[top:bottom, left:right]
    inside += share * (known[part] - inside)
    return _connected(matte, ((left + right) // 2, (top + bottom) // 2))


def _person(picture: U8, segment: Callable[[U8], F32]) -> F32:
    """A segmenter's answer, its outline fitted to the edges of the picture."""
    height, width = picture.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    small = _scaled(picture, (max(1, round(width * scale)), max(1, round(height * scale))))
    rough = smoothstep((segment(small) - SURE[0]) / (SURE[1] - SURE[0]))
    fitted = Windows(small, max(2, round(min(small.shape[:2]) / 100))).fit(rough.astype(np.float64))
    return np.asarray(
        cv2.resize(fitted.clip(0, 1), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def _connected(matte: F32, inside: tuple[int, int]) -> F32:
    """The matte without what is not joined to the person's head, as other people are."""
    _, labels = cv2.connectedComponents((matte > 0.25).astype(np.uint8))
    label = labels[inside[1], inside[0]]
    if label == 0:  # the middle of the head crop is no person: nothing to go by
        return matte
    joined = cv2.dilate((labels == label).astype(np.uint8), np.ones((9, 9), np.uint8))
    return np.asarray(matte * joined, np.float32)


def _on_canvas(picture: U8, alpha: F32, layout: Placement, size: tuple[int, int]) -> tuple[U8, F32]:
    """Picture (H, W, 3) and matte (H, W) at their place on the canvas, with a soft end where they end."""
    middle = 0.5 * layout.scale - 0.5
    matrix = np.array([[layout.scale, 0, layout.left + middle], [0, layout.scale, layout.top + middle]])
    if layout.scale < 1:
        sigma = 0.45 * float(np.sqrt(1 / layout.scale**2 - 1))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32)
    border = cv2.BORDER_REPLICATE
    shown = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border)
    weight = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(shown, np.uint8), np.asarray(weight * _ending(layout, size), np.float32)


def _ending(layout: Placement, size: tuple[int, int]) -> F32:
    """(H, W): 1 inside the picture, falling to 0 towards those of its borders that lie inside the canvas."""
    width, height = size
    soft = CUT * height
    shown = layout.picture
    across = _falling(width, shown.left, shown.right, soft)
    down = _falling(height, shown.top, shown.bottom, soft)
    return np.outer(down, across).astype(np.float32)


def _falling(room: int, low: int, high: int, soft: float) -> F32:
    at = np.arange(room, dtype=np.float32) + np.float32(0.5)
    from_low = (at - low) / soft if low > 0 else np.ones_like(at)
    from_high = (high - at) / soft if high < room else np.ones_like(at)
    return smoothstep(np.minimum(from_low, from_high))


def _cut_off(front: View, layout: Placement, size: tuple[int, int]) -> View:
    """The front with its matte ending where its picture ends: what is beyond was made up to be covered."""
    head = layout.head
    ending = np.zeros((head.height, head.width), np.float32)
    crop = Crop(head.left, head.top, head.width)
    low_x, low_y, high_x, high_y = (round(edge * head.width) for edge in inside_of(crop, size))
    seen = _ending(layout, size)[low_y + head.top : high_y + head.top, low_x + head.left : high_x + head.left]
    ending[low_y:high_y, low_x:high_x] = seen
    # Past the canvas nobody looks; there the matte goes on, or moving shoulders would show its end.
    ending = _continued(ending, (low_x, low_y, high_x, high_y))
    small = cv2.resize(ending, front.alpha.shape[::-1], interpolation=cv2.INTER_AREA)
    return replace(front, alpha=np.rint(front.alpha * small).astype(np.uint8))


def _continued(values: F32, known: tuple[int, int, int, int]) -> F32:
    left, top, right, bottom = known
    height, width = values.shape
    inner = values[top:bottom, left:right]
    return np.asarray(
        cv2.copyMakeBorder(inner, top, height - bottom, left, width - right, cv2.BORDER_REPLICATE), np.float32
    )


def _like(view: View, front: View) -> View:
    """A further view, whose body is the front's, with a matte that ends no later than the front's."""
    still = standing(view, head_fit(view, front))
    below = placed(front.alpha, still, view.alpha.shape[0])
    # The head is its own; only where the view has no head the front's matte counts.
    return replace(view, alpha=np.where(view.head > 0, view.alpha, np.minimum(view.alpha, below)))


def _mixed(person: U8, backdrop: U8, weight: F32) -> U8:
    return np.asarray(cv2.blendLinear(person, backdrop, weight, 1 - weight), np.uint8)


def _resized(picture: U8, side: int) -> U8:
    how = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def _scaled(picture: U8, size: tuple[int, int]) -> U8:
    if picture.shape[:2] == size[::-1]:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
