"""The mesh that carries the picture: MediaPipe's face, and rings around it out to the crop's border."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8, Motion, View
from avatar.tools.facemesh import CHIN, EYES, FOREHEAD, MOUTH, OVAL, face_height, face_model
from avatar.tools.geometry import smoothstep
from avatar.tools.outlines import reach_along

SKIN = 468
"""The landmarks that are vertices of the mesh; the irises are not."""

RINGS = (0.1, 0.22, 0.38, 0.58, 0.8, 1.0)
"""Where the rings lie between the face's outline (0) and the crop's border (1)."""
BEYOND = 1.5
"""The last ring, outside of the crop's corners."""

HAIR_MIN = 0.18
"""How far from the outline of the face everything moves as one with it, hair or not [face heights]."""
HAIR_ROOM = 0.04
"""What is added to the head's own reach, for loose hair [face heights]."""
NECK_START, NECK_END = 0.0, 0.85
"""Below the face: where the neck begins to stay behind, and where the body stands still [face heights]."""
DEPTH_REACH = 0.7
"""How far outside of the face's outline the head is as deep as its ears [face heights]."""
CARRY = 0.5
"""How far outside of the outline the skin follows the jaw and the brow [face heights]."""


class HeadMesh:
    """Vertices in a view, and where a motion takes them.

    The face's vertices go where the motion's landmarks are. The rings go with the head as a rigid body, less
    and less towards the border, where nothing moves.

    Args:
        view: whose crop the vertices lie in.
        still: (2, 3), where points of that crop are when nothing moves, in the crop of the motions; None: the
            same places.
    """

    def __init__(self, view: View, still: F32 | None = None) -> None:
        points = view.landmarks
        self._face = points[:SKIN]
        self._oval = np.array(OVAL)
        self.height = face_height(points)
        """Of the face, crop units."""
        outline = points[self._oval]
        middle = outline[:, :2].mean(axis=0)
        rays = outline[:, :2] - middle
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        room = _room(outline[:, :2], rays)
        steps = np.array([*RINGS, BEYOND], np.float32)
        distance = steps[:, None] * room  # (rings, 36), crop units from the outline
        self._rings = self._place(outline, rays, distance)
        self._follow = self._follows(view.head, outline, rays, room, distance)
        carry = np.clip(1 - distance / (CARRY * self.height), 0, 1) ** 2
        self._carry = (carry * (self._follow > 0)).astype(np.float32)
        self.triangles = _triangles(len(steps))
        self.rest = np.concatenate([self._face, self._rings.reshape(-1, 3)]).astype(np.float32)
        """(V, 3), crop units: the vertices in the view."""
        self._still = self._rings if still is None else _placed(self._rings, still)

    def __call__(self, motion: Motion) -> F32:
        """(V, 3), crop units of the motions: the vertices as `motion` has them; its head is the view's."""
        head, shift = motion.head[:, :3], motion.head[:, 3]
        rigid = self._rings @ head.T + shift
        bent = motion.landmarks[self._oval] - (self._face[self._oval] @ head.T + shift)
        rings = self._still + self._follow[..., None] * (rigid - self._still) + self._carry[..., None] * bent
        return np.concatenate([motion.landmarks[:SKIN], rings.reshape(-1, 3)]).astype(np.float32)

    def _place(self, outline: F32, rays: F32, distance: F32) -> F32:
        """(rings, 36, 3): outwards along the rays, and back to the depth of the ears."""
        back = float(np.sort(outline[:, 2])[-8:].mean())
        share = smoothstep(distance / (DEPTH_REACH * self.height))
        flat = outline[None, :, :2] + rays[None] * distance[..., None]
        depth = outline[None, :, 2] + share * (back - outline[None, :, 2])
        return np.concatenate([flat, depth[..., None]], axis=2).astype(np.float32)

    def _follows(self, head: U8, outline: F32, rays: F32, room: F32, distance: F32) -> F32:
        """(rings, 36), 0..1: how much each ring vertex moves with the head."""
        down = outline[OVAL.index(CHIN), :2] - outline[OVAL.index(FOREHEAD), :2]
        down = down / np.linalg.norm(down)
        below = np.clip((rays @ down - 0.1) / 0.6, 0, 1)  # 0 beside and above the face, 1 under the chin
        hair = reach_along(head, outline[:, :2], rays, 1.0) + HAIR_ROOM * self.height
        hair = np.maximum(hair, HAIR_MIN * self.height)
        start = (1 - below) * hair + below * NECK_START * self.height
        end = (1 - below) * room + below * np.minimum(NECK_END * self.height, room)
        return 1 - smoothstep((distance - start) / np.maximum(end - start, 1e-3))


def _placed(points: F32, still: F32) -> F32:
    flat = points[..., :2] @ still[:, :2].T + still[:, 2]
    depth = np.hypot(*still[:, 0]) * points[..., 2:]
    return np.concatenate([flat, depth], axis=-1).astype(np.float32)


def _room(outline: F32, rays: F32) -> F32:
    """Distance from the outline along each ray to the border of the unit square."""
    with np.errstate(divide="ignore"):
        borders = np.where(rays > 0, (1 - outline) / rays, -outline / rays)
    borders[~np.isfinite(borders)] = np.inf
    return np.asarray(np.maximum(borders.min(axis=1), 0.05), np.float32)


def _triangles(rings: int) -> NDArray[np.int32]:
    """The skin, the closed holes, and the strips between the rings."""
    faces = [tuple(t) for t in face_model().triangles.tolist()]
    for opening in (*EYES, MOUTH):
        faces += opening.triangles
    around = len(OVAL)
    lines = [list(OVAL)] + [[SKIN + ring * around + i for i in range(around)] for ring in range(rings)]
    for inner, outer in pairwise(lines):
        for i in range(around):
            j = (i + 1) % around
            faces += [(inner[i], inner[j], outer[i]), (inner[j], outer[j], outer[i])]
    return np.array(faces, np.int32)
