"""What each of MediaPipe's 478 landmarks and 52 blendshapes is, and the average face with its expressions.

"right" and "left" are the person's own sides, as in MediaPipe; the right eye lies on the left of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from avatar.records import F32
from avatar.tools.geometry import fit_similarity
from avatar.weights import resolve

BLENDSHAPE_NAMES = (
    "_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff "
    "cheekSquintLeft cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight "
    "eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight "
    "eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen jawRight mouthClose "
    "mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel mouthLeft "
    "mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker mouthRight "
    "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft mouthSmileRight "
    "mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft noseSneerRight"
).split()

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face, clockwise in the picture from the top of the forehead."""

FOREHEAD, CHIN = 10, 152

HEAD_FACES = 2.1
"""Side of the head crop in which sizes and errors are told, in heights of the face."""


def face_height(landmarks: F32) -> float:
    """Forehead to chin of landmarks (478, 3), in depth too, so that a nod does not shrink it; their unit."""
    return float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN]))


@dataclass(frozen=True, slots=True)
class Opening:
    """A hole in the skin: its upper and lower rim run from one corner to the other, corners included."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]

    @property
    def ring(self) -> tuple[int, ...]:
        """The rim as one closed line, each landmark once."""
        return self.upper + self.lower[-2:0:-1]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(upper, lower) landmarks that meet when the opening shuts, corners left out."""
        return tuple(zip(self.upper[1:-1], self.lower[1:-1], strict=True))

    @property
    def triangles(self) -> list[tuple[int, int, int]]:
        """Triangles that close the hole."""
        found = []
        for i in range(len(self.upper) - 1):
            a, b, c, d = self.upper[i], self.upper[i + 1], self.lower[i], self.lower[i + 1]
            found += [t for t in ((a, b, c), (b, d, c)) if len(set(t)) == 3]
        return found


MOUTH = Opening(
    upper=(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    lower=(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
OUTER_LIPS = Opening(
    upper=(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    lower=(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
)
RIGHT_EYE = Opening(
    upper=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower=(33, 7, 163, 144, 145, 153, 154, 155, 133),
)
LEFT_EYE = Opening(
    upper=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower=(263, 249, 390, 373, 374, 380, 381, 382, 362),
)
EYES = (RIGHT_EYE, LEFT_EYE)

IRIS_CENTRES = (468, 473)
"""Of the right and the left eye; the four landmarks after each lie on the iris' rim."""
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))


@dataclass(frozen=True, slots=True, eq=False)
class FaceModel:
    """The average face of the training people and how it moves with MediaPipe's blendshapes.

    The face frame: frontal, x to the right of the picture, y down, z away from the camera; the origin is the
    middle of the 468 skin landmarks, the unit the face's root mean square radius (its height is 3.2).
    Made by `avatar.train.face_model`.
    """

    mean: F32
    """(478, 3)."""
    expressions: F32
    """(52, 478, 3): what one full blendshape adds to a face."""
    rigid: F32
    """(478,), 0..1: how little a landmark moves with the expression; the weights of pose fits."""
    mirror: NDArray[np.int64]
    """(478,): the landmark on the other side of the face."""
    triangles: NDArray[np.int32]
    """(852, 3): the skin, with holes at the eyes and between the lips."""

    def expression(self, blendshapes: F32) -> F32:
        """Landmark offsets (478, 3) that `blendshapes` (52,) add to a neutral face."""
        return np.tensordot(blendshapes, self.expressions, axes=1).astype(np.float32)


@cache
def face_model() -> FaceModel:
    """The face model that comes with the program.

    Raises:
        ModelError: the file is missing or damaged.
    """
    found = load_file(resolve("face_model"))
    return FaceModel(
        mean=found["mean"],
        expressions=found["basis"].astype(np.float32),
        rigid=found["rigid"],
        mirror=found["mirror"].astype(np.int64),
        triangles=found["triangles"].astype(np.int32),
    )


def without_expression(landmarks: F32, blendshapes: F32) -> F32:
    """The same face at rest, in the same pose; landmarks (478, 3) in any unit, blendshapes (52,)."""
    model = face_model()
    pose = fit_similarity(model.mean, landmarks, model.rigid)
    return pose(pose.undo(landmarks) - model.expression(blendshapes))
