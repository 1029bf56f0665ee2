"""Faces and people made of the average face, with any expression and pose, for tests that need no picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avatar.records import BLENDSHAPES, F32, Crop, Face, Identity, View
from avatar.tools.facemesh import BLENDSHAPE_NAMES, face_model
from avatar.tools.geometry import Similarity, rotation_from_vector

Vector = tuple[float, float, float]

FACE_SCALE = 0.11
"""Of the made portraits: crop units per unit of the face frame, as enrolment leaves them."""
TEXTURE_SIDE = 64


def scores(expression: Mapping[str, float]) -> F32:
    """Blendshapes (52,) by their names."""
    found = np.zeros(BLENDSHAPES, np.float32)
    for name, value in expression.items():
        found[BLENDSHAPE_NAMES.index(name)] = value
    return found


def blink(amount: float) -> dict[str, float]:
    return {"eyeBlinkLeft": amount, "eyeBlinkRight": amount}


def made_face(
    expression: Mapping[str, float] | None = None,
    *,
    turn: Vector = (0, 0, 0),
    shift: tuple[float, float] = (320, 240),
    scale: float = 60.0,
    stretch: Vector = (1, 1, 1),
    noise: F32 | None = None,
) -> Face:
    """A driver's face in a camera picture of 640 x 480.

    Args:
        expression: blendshapes by name.
        turn: rotation vector [rad].
        shift: middle of the face in pixels.
        scale: pixels per unit of the face frame; a face is 3.2 high.
        stretch: other proportions than the average, along x, y and z of the face.
        noise: (478, 3) pixels, added.
    """
    model = face_model()
    blendshapes = scores(expression or {})
    shape = (model.mean + model.expression(blendshapes)) * np.array(stretch, np.float32)
    pose = Similarity(
        scale, rotation_from_vector(np.array(turn, np.float32)), np.array([*shift, 0], np.float32)
    )
    landmarks = pose(shape)
    if noise is not None:
        landmarks = landmarks + noise
    return Face(landmarks, blendshapes, np.eye(4, dtype=np.float32), (640, 480))


def made_identity(
    expression: Mapping[str, float] | None = None, *, turn: Vector = (0, 0, 0), stretch: Vector = (1, 1, 1)
) -> Identity:
    """A person with the average face in the middle of the crop; the pictures are noise."""
    found = made_face(expression, turn=turn, shift=(0.5, 0.5), scale=FACE_SCALE, stretch=stretch)
    rest = made_face(turn=turn, shift=(0.5, 0.5), scale=FACE_SCALE, stretch=stretch)
    random = np.random.default_rng(1)
    side = TEXTURE_SIDE
    return Identity(
        name="someone",
        picture=random.integers(0, 256, (90, 120, 3), np.uint8),
        crop=Crop(20, -5, 80),
        plate=random.integers(0, 256, (side, side, 3), np.uint8),
        neutral=rest.landmarks,
        views=(made_view(found),),
    )


def made_view(face: Face, side: int = TEXTURE_SIDE, seed: int = 1) -> View:
    """Noise with that face, whose landmarks are in crop units."""
    random = np.random.default_rng(seed)
    return View(
        texture=random.integers(0, 256, (side, side, 3), np.uint8),
        alpha=random.integers(0, 256, (side, side), np.uint8),
        head=random.integers(0, 256, (side, side), np.uint8),
        landmarks=face.landmarks,
        blendshapes=face.blendshapes,
        pose=face.pose,
    )
