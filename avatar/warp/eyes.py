"""Eyes as layers: an eyeball without its iris, an iris that moves, and the lids' opening that shows them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8, Motion, View
from avatar.tools.facemesh import EYES, IRISES
from avatar.tools.geometry import smoothstep
from avatar.tools.membrane import membrane
from avatar.tools.outlines import Box, box_around, fill_ring, gap, smooth_ring

SHUT = 0.06
"""An eye of the portrait opened less than this, in parts of its width, shows nothing to make an eye of."""
CLOSING = 0.35
"""From this much closing on the lid of plain skin fades in; the photo's own is too short for a shut eye."""
LASH_COVER = 0.85
"""How dense the line of the lashes is on a shut eye."""
LASHES = 1 / 9
"""How far lashes reach around the opening, in parts of the eye's width."""
SOCKET = 0.2
"""How far around the opening the skin is too dark to make a lid of, in the same parts."""
CHEEK = 3.0
"""How much more the skin under the eye counts for the lid's colour than that above it."""
GROWN = 1.12
"""The iris is taken out this much larger than it is, so that no dark rim stays in the white."""
MARGIN = 0.6
"""Room around the eye's corners in its patch, in parts of the eye's width."""
LIKE, UNLIKE = 0.04, 0.12
"""An eye whose lids or iris moved less than the first keeps its own pixels; from the second on, in the same
parts, it is painted. Measured on eyes of 28 people: there painting begins to be nearer to the truth."""


class EyeLayer:
    """One eye of a view, drawn into a warped picture of side `side` pixels."""

    def __init__(self, view: View, texture: U8, which: int) -> None:
        """Take eye `which` (0 right, 1 left) out of `texture`."""
        opening, iris = EYES[which], IRISES[which]
        self._which = which
        self._ring = list(opening.ring)
        self._corners = [opening.upper[0], opening.upper[-1]]
        self._iris = iris[0]
        self._side = texture.shape[0]
        points = view.landmarks[:, :2] * self._side - 0.5
        rim = points[self._ring]
        self._home = points[self._corners].mean(axis=0)
        self._centre = points[iris[0]]
        width = float(np.linalg.norm(points[self._corners[0]] - points[self._corners[1]]))
        self._radius = float(np.linalg.norm(points[list(iris[1:])] - self._centre, axis=1).mean())
        self._usable = gap(view.landmarks, opening) > SHUT
        self._patch_at = np.floor(self._home - (0.5 + MARGIN) * width).astype(int)
        self._patch_side = int(np.ceil((1 + 2 * MARGIN) * width)) + 1
        patch = _cut(texture, self._patch_at, self._patch_side)
        offset = self._patch_at.astype(np.float32)
        open_mask = fill_ring(smooth_ring(rim) - offset, (self._patch_side, self._patch_side))
        centre = self._centre - offset
        self._white = _without_iris(patch, open_mask, centre, self._radius)
        self._lid, self._line_tone = _lid(patch, open_mask, width)
        self._line_width = max(1.0, width / 22)
        self._ball = _with_whole_iris(patch, open_mask, self._white, centre, self._radius)
        self._opening = opening
        self._gap = gap(view.landmarks, opening)
        self._gaze = self._gaze_of(view.landmarks)

    def share(self, relaxed: F32) -> float:
        """How much of the eye has to be painted, as `OpeningLayer`."""
        lids = abs(gap(relaxed, self._opening) - self._gap)
        unlike = max(lids, float(np.linalg.norm(self._gaze_of(relaxed) - self._gaze)))
        return float(smoothstep((unlike - LIKE) / (UNLIKE - LIKE)))

    def _gaze_of(self, landmarks: F32) -> F32:
        """(2,), the iris' place from the middle between the corners, in parts of the eye's width."""
        one, other = landmarks[self._corners, :2]
        width = max(float(np.hypot(*(other - one))), 1e-6)
        return np.asarray((landmarks[self._iris, :2] - (one + other) / 2) / np.float32(width), np.float32)

    def box(self, motion: Motion) -> Box | None:
        """The part of the picture that the eye and its lids take up."""
        points = motion.landmarks[:, :2] * self._side - np.float32(0.5)
        home = points[self._corners].mean(axis=0)
        half = self._half(motion.head[:2, :2])
        return box_around(np.concatenate([points[self._ring], [home - half, home + half]]), self._side)

    def _half(self, turn: F32) -> float:
        """Half the side of the patch once it is moved, pixels."""
        return self._patch_side * float(np.linalg.norm(turn[:, 0])) / 2

    def draw(self, picture: U8, motion: Motion) -> None:
        """Draw the eye as `motion` has it into `picture` (side, side, 3), in place."""
        if not self._usable:
            return
        points = motion.landmarks[:, :2] * self._side - np.float32(0.5)
        turn = motion.head[:2, :2]
        home = points[self._corners].mean(axis=0)
        closing = float(np.clip((motion.blink[self._which] - CLOSING) / (1 - CLOSING), 0, 1))
        if closing > 0:
            self._draw_lid(picture, points, turn, home, closing)
        if gap(motion.landmarks, self._opening) < 0.01:
            return
        rim = smooth_ring(points[self._ring])
        box = box_around(rim, self._side)
        if box is None:
            return
        mask = fill_ring(rim - np.array([box.left, box.top], np.float32), box.size)
        white = self._placed(self._white, turn, home, self._home, box, cv2.BORDER_REPLICATE)
        iris = self._placed(self._ball, turn, points[self._iris], self._centre, box, cv2.BORDER_CONSTANT)
        _blend(white, iris[..., :3], iris[..., 3])
        _blend(box.of(picture), white, mask)

    def _draw_lid(self, picture: U8, points: F32, turn: F32, home: F32, closing: float) -> None:
        """Cover the eye with skin, and put the line of the lashes where the lids meet."""
        half = self._half(turn)
        box = box_around(np.array([home - half, home + half], np.float32), self._side)
        if box is None:
            return
        lid = self._placed(self._lid, turn, home, self._home, box, cv2.BORDER_CONSTANT)
        _blend(box.of(picture), lid[..., :3], lid[..., 3] * np.float32(closing))
        lower = points[list(self._opening.lower)]
        upper = points[list(self._opening.upper)]
        line = np.concatenate([upper, lower[::-1] + np.array([0, self._line_width], np.float32)])
        place = line - np.array([box.left, box.top], np.float32)
        lashes = np.asarray(cv2.GaussianBlur(fill_ring(place, box.size), (0, 0), self._line_width / 2.5))
        tone = np.broadcast_to(self._line_tone, (box.size[1], box.size[0], 3))
        _blend(box.of(picture), tone, lashes * np.float32(LASH_COVER * closing))

    def _placed(self, patch: U8, turn: F32, place: F32, home: F32, box: Box, border: int) -> U8:
        """`patch` with its point `home` moved to `place`, turned and scaled by `turn`, cut to `box`."""
        start = place - turn @ (home - self._patch_at) - (box.left, box.top)
        matrix = np.column_stack([turn, start]).astype(np.float32)
        placed = cv2.warpAffine(patch, matrix, box.size, flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(placed, np.uint8)


def eye_layers(view: View, texture: U8) -> list[EyeLayer]:
    """Both eyes of `view`, whose texture has been resized to `texture`."""
    return [EyeLayer(view, texture, which) for which in range(len(EYES))]


def _blend(below: U8, above: U8, cover: U8 | F32) -> None:
    """Lay `above` over `below` (H, W, 3) in place; `cover` (H, W) is 255 where only `above` shows."""
    share = cover[..., None].astype(np.float32) / 255
    below[:] = below + share * (above.astype(np.float32) - below) + 0.5


def _lid(patch: U8, opening: U8, width: float) -> tuple[U8, U8]:
    """A closed lid (side, side, 4) made of the skin around the eye, and the tone of the lashes (3,)."""
    shown = np.where(opening > 60, 255, 0).astype(np.uint8)
    hole = cv2.dilate(shown, _ellipse(SOCKET * width))
    rows = np.flatnonzero(shown.any(axis=1))
    middle = float(rows.mean()) if len(rows) else opening.shape[0] / 2
    under = np.arange(opening.shape[0], dtype=np.float32)[:, None] > middle
    known = np.where(hole > 0, 0, np.where(under, 1, 1 / CHEEK)).astype(np.float32)
    skin = membrane(patch.astype(np.float32), known)
    soft = max(0.8, SOCKET * width / 3)
    cover = cv2.GaussianBlur(cv2.erode(hole, _ellipse(soft)), (0, 0), soft)
    rim = patch[(cv2.dilate(shown, _ellipse(LASHES * width)) > 0) & (shown == 0)]
    dark = rim[np.argsort(rim.sum(axis=1))[: max(1, len(rim) // 6)]].mean(axis=0) if len(rim) else 60.0
    lid = np.dstack([np.clip(skin + 0.5, 0, 255), cover]).astype(np.uint8)
    return lid, np.broadcast_to(np.asarray(dark), 3).astype(np.uint8)


def _ellipse(radius: float) -> U8:
    size = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _cut(texture: U8, at: NDArray[np.int_], side: int) -> U8:
    limit = texture.shape[0] - 1
    rows = np.clip(np.arange(at[1], at[1] + side), 0, limit)
    columns = np.clip(np.arange(at[0], at[0] + side), 0, limit)
    return np.ascontiguousarray(texture[rows][:, columns])


def _disc(side: int, centre: F32, radius: float, soft: float = 1.0) -> F32:
    y, x = np.mgrid[:side, :side].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1])
    return np.asarray(np.clip((radius - distance) / soft + 0.5, 0, 1), np.float32)


def _without_iris(patch: U8, opening: U8, centre: F32, radius: float) -> U8:
    """The white of the eye, continued over the whole patch."""
    side = patch.shape[0]
    inside = cv2.erode(opening, np.ones((3, 3), np.uint8)) > 200
    white = inside & (_disc(side, centre, GROWN * radius) < 0.01)
    if white.sum() < 6:  # a painted or tiny eye: take the brightest of what shows
        shown = patch[inside] if inside.any() else patch.reshape(-1, 3)
        tone = shown[np.argsort(shown.sum(axis=1))[-max(1, len(shown) // 8) :]].mean(axis=0)
        return np.full_like(patch, np.round(tone).astype(np.uint8))
    filled = membrane(patch.astype(np.float32), white.astype(np.float32))
    return np.asarray(np.clip(filled + 0.5, 0, 255), np.uint8)


def _with_whole_iris(patch: U8, opening: U8, white: U8, centre: F32, radius: float) -> U8:
    """The iris as a disc, (side, side, 4): what the lids hid is filled from the same ring of the iris."""
    side = patch.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1])
    near = distance < radius + 1.5
    shown = (cv2.erode(opening, np.ones((3, 3), np.uint8)) > 200) & near
    iris = white.astype(np.float32)
    if shown.sum() < 4:
        iris[near] = (40, 30, 25)
    else:
        flipped = _mirrored(patch, shown, centre)
        for radius_now in np.arange(0, np.ceil(radius) + 2):
            band = near & (np.abs(distance - radius_now) <= 0.75)
            known = band & shown
            wide = shown & (np.abs(distance - radius_now) <= 2.5)
            tone = patch[known if known.sum() > 3 else wide if wide.any() else shown].mean(axis=0)
            iris[band] = tone
        both = flipped[1] & near & ~shown
        iris[both] = 0.5 * iris[both] + 0.5 * flipped[0][both]
        iris = cv2.GaussianBlur(iris, (0, 0), 0.8).astype(np.float32)
        iris[shown] = patch[shown]
    cover = _disc(side, centre, radius + 0.5, soft=max(1.5, 0.25 * radius))
    return np.dstack([np.clip(iris, 0, 255), cover * 255]).astype(np.uint8)


def _mirrored(patch: U8, shown: NDArray[np.bool_], centre: F32) -> tuple[U8, NDArray[np.bool_]]:
    """The patch turned upside down about the iris' centre, and where it shows iris."""
    flip = np.array([[1, 0, 0], [0, -1, 2 * centre[1]]], np.float32)
    size = (patch.shape[1], patch.shape[0])
    turned = np.asarray(cv2.warpAffine(patch, flip, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    seen = cv2.warpAffine(shown.astype(np.uint8) * 255, flip, size) > 200
    return turned, seen
