"""Motions of an identity made without a driver, and masks of its face."""

from __future__ import annotations

import cv2
import numpy as np
from made_people import Vector, made_face
from numpy.typing import NDArray

from avatar.records import F32, U8, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import CHIN, EYES, MOUTH, OVAL
from avatar.tools.geometry import rotation_from_vector
from avatar.tools.outlines import fill_ring, smooth_ring
from avatar.tools.scaling import resized

Mask = NDArray[np.bool_]


def rigid(
    identity: Identity, *, turn: Vector = (0, 0, 0), shift: Vector = (0, 0, 0), scale: float = 1.0
) -> Motion:
    """The portrait as it is, its head turned [rad] and grown about the middle of the face, then moved."""
    middle = identity.front.landmarks[list(OVAL)].mean(axis=0)
    matrix = scale * rotation_from_vector(np.array(turn, np.float32))
    start = middle - matrix @ middle + np.array(shift, np.float32)
    head = np.column_stack([matrix, start]).astype(np.float32)
    return Motion(
        (identity.front.landmarks @ matrix.T + start).astype(np.float32), head, np.zeros(2, np.float32), 0.0
    )


def as_pixels(motion: Motion, side: int) -> F32:
    """(2, 3), for cv2.warpAffine: where a rigid motion in the picture's plane takes the pixels."""
    turn = motion.head[:2, :2]
    start = motion.head[:2, 3] * side + (turn.sum(axis=1) - 1) * 0.5
    return np.column_stack([turn, start]).astype(np.float32)


def rings(landmarks: F32, side: int) -> dict[str, F32]:
    """The outlines of face, eyes and mouth in pixels."""
    points = landmarks[:, :2] * side - np.float32(0.5)
    found = {"face": points[list(OVAL)]}
    for name, opening in (("right eye", EYES[0]), ("left eye", EYES[1]), ("mouth", MOUTH)):
        found[name] = smooth_ring(points[list(opening.ring)])
    return found


def inside(ring: F32, side: int, *, grown: int = 0) -> Mask:
    """What lies within an outline, grown or (negative) shrunk by pixels."""
    mask = fill_ring(ring, (side, side))
    kernel = np.ones((2 * abs(grown) + 1,) * 2, np.uint8)
    shaped = cv2.dilate(mask, kernel) if grown > 0 else cv2.erode(mask, kernel)
    found: Mask = np.asarray(shaped, np.uint8) > 127
    return found


def skin(landmarks: F32, side: int) -> Mask:
    """The face without its eyes and its mouth, well inside its outline."""
    room = max(2, side // 25)
    found = rings(landmarks, side)
    holes = [inside(found[name], side, grown=room) for name in ("right eye", "left eye", "mouth")]
    return np.asarray(inside(found["face"], side, grown=-room) & ~np.any(holes, axis=0), bool)


def hair(identity: Identity, side: int) -> Mask:
    """The person above the chin and outside of the face."""
    person = resized(identity.front.alpha, side) > 250
    above = np.arange(side)[:, None] < identity.front.landmarks[CHIN, 1] * side
    return np.asarray(person & above & ~inside(rings(identity.front.landmarks, side)["face"], side), bool)


def difference(one: U8, other: U8, where: Mask) -> float:
    """Mean over the marked pixels, levels."""
    return float(np.abs(one[where].astype(int) - other[where]).mean())


def changed(motion: Motion, landmarks: F32, blink_: tuple[float, float] = (0, 0)) -> Motion:
    return Motion(landmarks, motion.head, np.array(blink_, np.float32), motion.jaw_open)


def driven(identity: Identity, expression: dict[str, float]) -> Motion:
    """The portrait with an expression, its lips shut when it is empty."""
    retarget = Retargeter(identity, smoothing=0)
    retarget.prepare([made_face()])
    face = made_face(expression)
    if not expression:
        for upper, lower in MOUTH.pairs:
            face.landmarks[[upper, lower]] = (face.landmarks[upper] + face.landmarks[lower]) / 2
    return retarget(Observation(face, 0, 0))
