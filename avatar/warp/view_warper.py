"""One view moved: backward flow from the mesh, one remap of the person, eyes and inner mouth drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from avatar.records import F32, U8, Motion, View, Warped
from avatar.tools.facemesh import OVAL
from avatar.tools.outlines import Box
from avatar.tools.scaling import resized, sharpened
from avatar.tools.standing import head_fit, standing
from avatar.warp.eyes import eye_layers
from avatar.warp.flow import CellFlow, pixels_a_cell, soften
from avatar.warp.mesh import HeadMesh
from avatar.warp.mouth import InnerMouth
from avatar.warp.openings import OpeningLayer, lay_over, without_openings
from avatar.warp.raster import MeshRaster

COARSE = 48
"""About so many cells of the flow along the whole crop: hair, neck and shoulders move smoothly."""
FINE = 100
"""About so many along the face alone, where lids and lips meet and one cheek hides behind the other side."""
FACE_MARGIN = 0.06
"""Room around the face in the fine part, in heights of the face."""

CONFIDENCE = 128
"""Side of the confidence map; the face's part of it comes from the fine cells."""
STRIP = 176
"""Rows of the picture that are moved at a time."""

_LOW, _SPAN = 0.5, 2.0
"""Crop units -0.5..1.5 are carried through the rasteriser as 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewPlan:
    """What is to be done to the pixels of a view: all that needs none of them."""

    motion: Motion
    """As it was wanted, with the way of this view's head."""
    whole: CellFlow
    face: CellFlow | None
    """Finer, laid over `whole`; None: the face lies outside."""
    painted: list[tuple[OpeningLayer, Box, float]]
    """The openings that have to be painted, where, and how much."""
    confidence: F32
    """As of `Warped`."""


class ViewWarper:
    """One view of a person and a motion to the person's pixels in the wanted pose.

    Args:
        view: the pixels.
        side: side S of the result in pixels.
        front: the view in whose crop motions and results lie; None: in that of `view` itself.
        crispness: by how much its pixels are sharpened first, see `tools.scaling.sharpened`.
    """

    def __init__(self, view: View, side: int, front: View | None = None, crispness: float = 0.0) -> None:
        self.side = side
        self._to_front = None if front is None or front is view else head_fit(view, front)
        still = None if self._to_front is None else standing(view, self._to_front)
        self._mesh = HeadMesh(view, still)
        self._raster = MeshRaster(self._mesh.triangles)
        texture = sharpened(resized(view.texture, side), crispness)
        self._layers: list[OpeningLayer] = [*eye_layers(view, texture), InnerMouth(view, side)]
        self.skin = without_openings(texture, view.landmarks)
        """(S, S, 4), as of `without_openings`."""
        self.texture = np.dstack([texture, resized(view.alpha, side)])
        """(S, S, 4), what is moved: colours and alpha."""
        rest = self._mesh.rest
        self._carried = np.ones_like(rest)
        self._carried[:, :2] = (rest[:, :2] + _LOW) / _SPAN
        self._areas = _areas(rest, self._mesh.triangles)
        corners = self._mesh.triangles.ravel()
        order = np.argsort(corners, kind="stable")
        self._of_vertex = order // 3  # the triangles of vertex 0, then of vertex 1, ...
        self._vertex_starts = np.searchsorted(corners[order], np.arange(len(rest)))

    def __call__(self, motion: Motion) -> Warped:
        """Move the person."""
        plan = self.plan(motion)
        person, alpha, skins = self._move(plan.whole, plan.face, [box for _, box, _ in plan.painted])
        torn = None if plan.face is None else plan.face.tears()
        if torn is not None:
            for layer in (person, alpha):
                soften(torn[0].of(layer), torn[1])
        for (opening, box, share), skin in zip(plan.painted, skins, strict=True):
            _paint(person, plan.motion, opening, box, share, skin)
        return Warped(person, alpha, plan.confidence)

    def plan(self, motion: Motion) -> ViewPlan:
        """What is to be done to the pixels."""
        motion = self._of_view(motion)
        points = self._mesh(motion)
        self._carried[:, 2] = self._confidence(points)
        whole, drawn = self._draw(points, Box(0, 0, self.side, self.side), COARSE)
        near = self._face_box(points)
        face, detail = (None, None) if near is None else self._draw(points, near, FINE)
        confidence = _shrunk(drawn, CONFIDENCE, CONFIDENCE)
        if near is not None and detail is not None:
            scale = CONFIDENCE / self.side
            part = Box(*(round(edge * scale) for edge in (near.left, near.top, near.right, near.bottom)))
            part.of(confidence)[:] = _shrunk(detail, *part.size)
        return ViewPlan(motion, whole, face, self._to_paint(motion), confidence)

    def _of_view(self, motion: Motion) -> Motion:
        """The motion with the way of this view's head instead of the front's."""
        if self._to_front is None:
            return motion
        turn, shift = motion.head[:, :3], motion.head[:, 3]
        to_front = self._to_front.matrix
        head = np.column_stack([turn @ to_front[:, :3], turn @ to_front[:, 3] + shift])
        return replace(motion, head=head.astype(np.float32))

    def _to_paint(self, motion: Motion) -> list[tuple[OpeningLayer, Box, float]]:
        """The openings that have to be painted, where, and how much."""
        relaxed = (motion.landmarks - motion.head[:, 3]) @ np.linalg.inv(motion.head[:, :3]).T
        found = []
        for layer in self._layers:
            share = layer.share(relaxed)
            box = layer.box(motion) if share > 0 else None
            if box is not None:
                found.append((layer, box, share))
        return found

    def _move(self, whole: CellFlow, face: CellFlow | None, boxes: Sequence[Box]) -> tuple[U8, U8, list[U8]]:
        """Moved: the person (side, side, 3), the matte (side, side), the closed skin (H, W, 4) of each box.

        A few rows at a time, so that flow and pixels stay in the processor's cache on their way: between two
        frames of a camera the cache forgets, and whole planes cost twice as much.
        """
        person = np.empty((self.side, self.side, 3), np.uint8)
        alpha = np.empty((self.side, self.side), np.uint8)
        skins = [np.empty((box.size[1], box.size[0], 4), np.uint8) for box in boxes]
        for top in range(0, self.side, STRIP):
            bottom = min(top + STRIP, self.side)
            columns, rows = whole.grown(top, bottom)
            if face is not None:
                face.lay_over(columns, rows, top)
            moved = _remapped(self.texture, columns, rows)
            cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR, dst=person[top:bottom])
            cv2.extractChannel(moved, 3, dst=alpha[top:bottom])
            for box, skin in zip(boxes, skins, strict=True):
                first, last = max(box.top, top), min(box.bottom, bottom)
                if first < last:
                    part = slice(first - top, last - top), slice(box.left, box.right)
                    skin[first - box.top : last - box.top] = _remapped(self.skin, columns[part], rows[part])
        return person, alpha, skins

    def _draw(self, points: F32, box: Box, cells: int) -> tuple[CellFlow, F32]:
        """The flow in the square `box`, in about `cells` cells a side, and the cells as they were drawn."""
        ratio = pixels_a_cell(box.size[0], cells)
        count = -(-box.size[0] // ratio) + 2
        window = ((box.left - ratio) / self.side, (box.top - ratio) / self.side, count * ratio / self.side)
        drawn = self._raster(points, self._carried, count, window)
        pixels = drawn[..., :2] * np.float32(_SPAN * self.side) - np.float32(_LOW * self.side + 0.5)
        columns, rows = (np.asarray(plane, np.float32) for plane in cv2.split(pixels))
        return CellFlow(box, ratio, columns, rows), drawn

    def _face_box(self, points: F32) -> Box | None:
        """The square around the face as it is now, in whole pixels, within the crop."""
        face = points[list(OVAL), :2]
        low, high = face.min(axis=0), face.max(axis=0)
        margin = 2 * FACE_MARGIN * self._mesh.height
        size = min(round((float((high - low).max()) + margin) * self.side), self.side)
        corner = np.round((low + high) / 2 * self.side - size / 2)
        left, top = (int(np.clip(edge, 0, self.side - size)) for edge in corner)
        return Box(left, top, left + size, top + size) if size > 0 else None

    def _confidence(self, points: F32) -> F32:
        """(V,), 0..1, per vertex: the least of how little its triangles were stretched or turned away."""
        triangles = self._mesh.triangles
        # Signed: a triangle that turned its back has changed its sign.
        ratio = _areas(points, triangles) / np.where(np.abs(self._areas) < 1e-9, 1e-9, self._areas)
        trust = np.clip(np.minimum(ratio * 1.5, 2.0 / np.maximum(ratio, 1e-3)), 0, 1).astype(np.float32)
        return np.asarray(np.minimum.reduceat(trust[self._of_vertex], self._vertex_starts), np.float32)


def _paint(person: U8, motion: Motion, layer: OpeningLayer, box: Box, share: float, skin: U8) -> None:
    """Paint one opening over `skin`, by `share`, in place."""
    part = box.of(person)
    own = part.copy() if share < 1 else None
    lay_over(part, skin)
    layer.draw(person, motion)
    if own is not None:
        cv2.addWeighted(part, share, own, 1 - share, 0, dst=own)
        part[:] = own


def _remapped(texture: U8, columns: F32, rows: F32) -> U8:
    moved = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def _shrunk(drawn: F32, width: int, height: int) -> F32:
    """The confidence in cells as they were drawn, (height, width)."""
    return np.asarray(cv2.resize(np.ascontiguousarray(drawn[1:-1, 1:-1, 2]), (width, height)), np.float32)


def _areas(points: F32, triangles: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> F32:
    """Twice the signed area of each triangle as seen from the front, crop units squared."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    one, two = b - a, c - a
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], np.float32)
