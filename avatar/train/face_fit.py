"""The average face and its expressions, fitted to the faces of many people who talk.

The mean is a generalised Procrustes mean (J. C. Gower, "Generalized Procrustes analysis", Psychometrika
40(1), 1975): all faces are moved onto the mean by similarities and averaged, again and again. Each round
counts every face's mirror image too, so that the mean is symmetric (K. V. Mardia, F. L. Bookstein,
I. J. Moreton, "Statistical assessment of bilateral symmetry of shapes", Biometrika 87(2), 2000).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avatar.errors import AvatarError
from avatar.records import F32
from avatar.tools.facemesh import BLENDSHAPE_NAMES, IRIS_CENTRES, FaceModel
from avatar.tools.geometry import fit_similarity
from avatar.train.tracks import Track

I64 = NDArray[np.int64]

ROUNDS = 5
"""Of the Procrustes mean; after the third it moves by less than a ten-thousandth of the face."""

RIDGE = 0.03
"""Of the regression, in parts of the blendshapes' mean variance: small enough for lids and lips, great enough
for blendshapes that hardly occur."""

STILL = 1e-8
"""A variance far below the landmarks' noise: faces that never move have weights too."""

SKIN = IRIS_CENTRES[0]
"""The landmarks before this one lie on the skin; the irises after it count in no fit."""

ACROSS = np.array([-1, 1, 1], np.float32)
"""The mirror, in the face frame."""

_TO_PICTURE = np.diag([1.0, -1.0, -1.0])
"""MediaPipe's metric space has y up and z towards the camera."""


def fit_model(people: Sequence[Track], triangles: NDArray[np.int32]) -> FaceModel:
    """Fit all of the model; every person counts the same, however many faces there are of him.

    Args:
        people: one track each.
        triangles: (T, 3) landmarks of the skin's triangles, in any winding.

    Raises:
        AvatarError: the faces are too few, or too bad, to tell the two sides of a face apart.
    """
    mean = normalised(np.mean([_upright(person).mean(axis=0) for person in people], axis=0))
    mirror = mirror_map(mean)
    rigid = np.ones(len(mean), np.float32)
    rigid[SKIN:] = 0
    for _ in range(ROUNDS):
        shapes = [shapes_of(person, mean, rigid) for person in people]
        mean = normalised(_evened(np.mean([shape.mean(axis=0) for shape in shapes], axis=0), mirror))
        rigid = _rigid(shapes, mirror)
    return FaceModel(
        mean=mean,
        expressions=fit_expressions(people, mean, rigid, mirror),
        rigid=rigid,
        mirror=mirror,
        triangles=wound(triangles, mean),
    )


def shapes_of(person: Track, mean: F32, rigid: F32) -> F32:
    """(N, 478, 3): the person's faces in the face frame, pose taken off."""
    return np.stack([fit_similarity(mean, face, rigid).undo(face) for face in person.landmarks])


def fit_expressions(people: Sequence[Track], mean: F32, rigid: F32, mirror: I64) -> F32:
    """(52, 478, 3): what each blendshape adds to a face.

    By ridge regression of all people's moves around their own mean. Mirrored copies count too, so that a left
    blendshape is the mirror image of the right one.
    """
    other_side = blendshape_mirror()
    squares = np.zeros((len(other_side), len(other_side)))
    products = np.zeros((len(other_side), mean.size))
    for person in people:
        shapes = centred(shapes_of(person, mean, rigid))
        scores = centred(person.blendshapes)
        for y, x in ((shapes, scores), ((shapes * ACROSS)[:, mirror], scores[:, other_side])):
            squares += x.T @ x / len(x)
            products += x.T @ y.reshape(len(y), -1) / len(x)
    ridge = RIDGE * np.trace(squares) / len(squares) * np.eye(len(squares))
    found = np.linalg.solve(squares + ridge, products)
    return found.reshape(-1, *mean.shape).astype(np.float32)


def centred(rows: F32) -> F32:
    """The same with the mean over the first axis taken off."""
    return np.asarray(rows - rows.mean(axis=0), np.float32)


def normalised(mean: F32) -> F32:
    """The same face with the skin's middle at the origin and a root mean square radius of 1."""
    moved = mean - mean[:SKIN].mean(axis=0)
    return np.asarray(moved / np.sqrt((moved[:SKIN] ** 2).sum(axis=1).mean()), np.float32)


def mirror_map(mean: F32) -> I64:
    """(478,): the landmark nearest to each one's mirror image.

    Raises:
        AvatarError: they are not pairs, so this is no average of faces.
    """
    gaps = np.linalg.norm((mean * ACROSS)[:, None] - mean[None], axis=2)
    found = np.asarray(gaps.argmin(axis=1), np.int64)
    if not np.array_equal(found[found], np.arange(len(mean))):
        raise AvatarError("left and right of the mean face cannot be paired: more or better clips are needed")
    return found


def blendshape_mirror() -> I64:
    """(52,): the same blendshape on the other side of the face, or itself."""
    swap = {"Left": "Right", "Right": "Left"}
    other = [
        next((name.removesuffix(end) + swap[end] for end in swap if name.endswith(end)), name)
        for name in BLENDSHAPE_NAMES
    ]
    # mouthLeft and mouthRight end like the others and are a pair too.
    return np.array([BLENDSHAPE_NAMES.index(name) for name in other], np.int64)


def wound(triangles: NDArray[np.int32], mean: F32) -> NDArray[np.int32]:
    """The triangles, each turned so that the frontal picture shows it counter-clockwise."""
    a, b, c = (mean[triangles[:, i], :2] for i in range(3))
    # y points down: counter-clockwise to the eye is a negative cross product.
    clockwise = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] > 0
    return np.where(clockwise[:, None], triangles[:, ::-1], triangles).astype(np.int32)


def _upright(person: Track) -> F32:
    """The first guess (N, 478, 3) at the faces in the face frame, by MediaPipe's own pose."""
    turns = _TO_PICTURE @ person.poses[:, :3, :3] @ _TO_PICTURE
    moved = (person.landmarks - person.landmarks[:, :SKIN].mean(axis=1, keepdims=True)) @ turns
    radius = np.sqrt((moved[:, :SKIN] ** 2).sum(axis=2).mean(axis=1))
    return np.asarray(moved / radius[:, None, None], np.float32)


def _evened(mean: F32, mirror: I64) -> F32:
    return np.asarray((mean + (mean * ACROSS)[mirror]) / 2, np.float32)


def _rigid(shapes: Sequence[F32], mirror: I64) -> F32:
    """Weights: the inverse of how much a landmark moves, greatest 1; even on both sides, none for irises."""
    moves = np.mean([(centred(shape) ** 2).sum(axis=2).mean(axis=0) for shape in shapes], axis=0)
    weights = 1 / (moves + np.percentile(moves, 10) + STILL)
    weights = (weights + weights[mirror]) / 2
    weights[SKIN:] = 0
    return np.asarray(weights / weights.max(), np.float32)
