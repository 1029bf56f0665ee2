"""How well a face model takes the expression off faces of people it has never seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from avatar.tools.facemesh import (
    EYES,
    HEAD_FACES,
    IRISES,
    MOUTH,
    OUTER_LIPS,
    OVAL,
    FaceModel,
    face_height,
)
from avatar.train.face_fit import SKIN, centred, shapes_of
from avatar.train.tracks import Track

CROP = 256
"""The side of the head crop that errors are told at [px]."""

BROWS = (
    70, 63, 105, 66, 107, 46, 53, 52, 65, 55,
    300, 293, 334, 296, 336, 276, 283, 282, 295, 285,
)  # fmt: skip

REGIONS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(SKIN)),
    "lips": MOUTH.ring + OUTER_LIPS.ring,
    "lids": EYES[0].ring + EYES[1].ring,
    "brows": BROWS,
    "irises": IRISES[0] + IRISES[1],
    "jaw": OVAL[12:25],
}


@dataclass(frozen=True, slots=True)
class Row:
    """Mean distance of a region's landmarks from the person's own mean face, in the picture plane [px]."""

    region: str
    before: float
    """Pose taken off: what the expression moves."""
    after: float
    """The model's expression taken off too: what it does not know."""


def measure(model: FaceModel, people: Iterable[Track]) -> list[Row]:
    """One row per region; every person counts the same."""
    unit = CROP / (HEAD_FACES * face_height(model.mean))
    before, after = [], []
    for person in people:
        shapes = centred(shapes_of(person, model.mean, model.rigid))
        left = shapes - np.tensordot(centred(person.blendshapes), model.expressions, axes=1)
        before.append(unit * np.linalg.norm(shapes[..., :2], axis=2).mean(axis=0))
        after.append(unit * np.linalg.norm(left[..., :2], axis=2).mean(axis=0))
    mean_before, mean_after = np.mean(before, axis=0), np.mean(after, axis=0)
    return [
        Row(region, float(mean_before[list(points)].mean()), float(mean_after[list(points)].mean()))
        for region, points in REGIONS.items()
    ]


def as_table(rows: Sequence[Row]) -> str:
    """Lines for the terminal, which are a Markdown table as well."""
    lines = [f"| {'region':<6} | before | after |", "|:-------|-------:|------:|"]
    lines += [f"| {row.region:<6} | {row.before:6.2f} | {row.after:5.2f} |" for row in rows]
    return "\n".join(lines)
