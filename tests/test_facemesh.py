"""The landmarks' names, and the face model that comes with the program."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from avatar.records import BLENDSHAPES, LANDMARKS, Face, Identity
from avatar.tools.facemesh import (
    BLENDSHAPE_NAMES,
    CHIN,
    EYES,
    FOREHEAD,
    IRIS_CENTRES,
    IRISES,
    LEFT_EYE,
    MOUTH,
    OUTER_LIPS,
    OVAL,
    RIGHT_EYE,
    Opening,
    face_model,
)

OPENINGS = (MOUTH, OUTER_LIPS, RIGHT_EYE, LEFT_EYE)


def edges(triangles: np.ndarray[tuple[int, ...], np.dtype[np.int32]]) -> Counter[tuple[int, int]]:
    found = Counter[tuple[int, int]]()
    for a, b, c in triangles.tolist():
        found.update([(a, b), (b, c), (c, a)])
    return found


def test_the_blendshapes_are_named_as_mediapipe_names_them(
    astronaut_identity: Identity,
) -> None:
    assert len(BLENDSHAPE_NAMES) == len(set(BLENDSHAPE_NAMES)) == BLENDSHAPES
    assert BLENDSHAPE_NAMES[0] == "_neutral"
    assert sorted(BLENDSHAPE_NAMES[1:]) == BLENDSHAPE_NAMES[1:]
    strongest = [BLENDSHAPE_NAMES[i] for i in np.argsort(astronaut_identity.front.blendshapes)[-4:]]
    assert {"mouthSmileLeft", "mouthSmileRight"} <= set(strongest), "she smiles"


@pytest.mark.parametrize("opening", OPENINGS)
def test_openings_run_from_corner_to_corner(opening: Opening) -> None:
    assert opening.upper[0] == opening.lower[0] and opening.upper[-1] == opening.lower[-1]
    assert len(opening.ring) == len(set(opening.ring)) == len(opening.upper) + len(opening.lower) - 2
    assert set(opening.ring) == {*opening.upper, *opening.lower}
    mean = face_model().mean
    for upper, lower in opening.pairs:
        assert mean[upper, 1] < mean[lower, 1], "y points down"
        assert abs(mean[upper, 0] - mean[lower, 0]) < 0.1


@pytest.mark.parametrize("opening", [MOUTH, RIGHT_EYE, LEFT_EYE])
def test_the_openings_triangles_close_the_hole_and_nothing_else(opening: Opening) -> None:
    """Each edge of the rim belongs to one triangle of the skin and one of the lid."""
    rim = {frozenset(pair) for pair in zip(opening.ring, (*opening.ring[1:], opening.ring[0]), strict=True)}
    skin = Counter(frozenset(edge) for edge in edges(face_model().triangles).elements())
    closing = np.array(opening.triangles, np.int32)
    lid = Counter(frozenset(edge) for edge in edges(closing).elements())
    assert all(skin[edge] == 1 for edge in rim)
    assert {edge for edge, count in lid.items() if count == 1} == rim
    assert max(lid.values()) == 2


def test_right_is_on_the_left_of_the_picture_and_the_iris_in_its_eye() -> None:
    mean = face_model().mean
    assert mean[list(RIGHT_EYE.ring), 0].max() < 0 < mean[list(LEFT_EYE.ring), 0].min()
    assert (IRISES[0][0], IRISES[1][0]) == IRIS_CENTRES
    for eye, iris in zip(EYES, IRISES, strict=True):
        outline = mean[list(eye.ring), :2]
        centre = mean[iris[0], :2]
        assert (outline.min(axis=0) < centre).all() and (centre < outline.max(axis=0)).all()
        radii = np.linalg.norm(mean[list(iris[1:]), :2] - centre, axis=1)
        assert radii.std() < 0.25 * radii.mean()


def test_the_oval_goes_round_clockwise_once() -> None:
    mean = face_model().mean
    assert len(set(OVAL)) == len(OVAL) == 36
    assert mean[FOREHEAD, 1] == mean[list(OVAL), 1].min() and mean[CHIN, 1] == mean[list(OVAL), 1].max()
    angles = np.unwrap(np.arctan2(mean[list(OVAL), 1], mean[list(OVAL), 0]))
    assert (np.diff(angles) > 0).all() and angles[-1] - angles[0] < 2 * np.pi
    rim = Counter(frozenset(edge) for edge in edges(face_model().triangles).elements())
    for one, two in zip(OVAL, (*OVAL[1:], OVAL[0]), strict=True):
        assert rim[frozenset((one, two))] == 1, "it is the border of the skin"


def test_the_triangles_are_the_skin_all_turned_the_same_way() -> None:
    model = face_model()
    assert model.triangles.shape == (852, 3)
    assert model.triangles.min() == 0 and model.triangles.max() == 467
    assert max(edges(model.triangles).values()) == 1, "no edge is walked twice in one direction"
    a, b, c = (model.mean[model.triangles[:, i], :2] for i in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (np.sign(area) == np.sign(np.median(area))).mean() > 0.97


def test_the_mean_face_is_frontal_even_and_of_unit_size() -> None:
    model = face_model()
    mean = model.mean
    assert mean.shape == (LANDMARKS, 3) and mean.dtype == np.float32
    assert (0 <= model.rigid).all() and model.rigid.max() <= 1.0001
    np.testing.assert_allclose(mean.mean(axis=0), 0, atol=0.02)
    assert np.sqrt((mean**2).sum(axis=1).mean()) == pytest.approx(1, abs=0.01)
    assert np.linalg.norm(mean[FOREHEAD] - mean[CHIN]) == pytest.approx(3.2, rel=0.05)
    np.testing.assert_allclose(mean[model.mirror] * (-1, 1, 1), mean, atol=0.02)
    assert (model.mirror[model.mirror] == np.arange(LANDMARKS)).all()
    assert mean[1, 2] < mean[list(OVAL), 2].min(), "the nose is nearest"


@pytest.mark.parametrize(
    ("name", "opening", "sign"),
    [("jawOpen", MOUTH, 1), ("eyeBlinkRight", RIGHT_EYE, -1), ("eyeBlinkLeft", LEFT_EYE, -1)],
)
def test_expressions_move_what_they_are_named_after(name: str, opening: Opening, sign: int) -> None:
    model = face_model()
    scores = np.zeros(BLENDSHAPES, np.float32)
    scores[BLENDSHAPE_NAMES.index(name)] = 1
    moved = model.expression(scores)
    assert moved.shape == (LANDMARKS, 3) and moved.dtype == np.float32

    def height(other: Opening) -> float:
        return float(np.mean([moved[lower, 1] - moved[upper, 1] for upper, lower in other.pairs]))

    assert sign * height(opening) > 0.06
    others = [abs(height(other)) for other in (MOUTH, *EYES) if other is not opening]
    assert max(others) < 0.5 * abs(height(opening))
    half = model.expression((scores / 2).astype(np.float32))
    np.testing.assert_allclose(half, (moved / 2).astype(np.float32), atol=1e-6)


def test_a_smile_draws_the_corners_up_and_apart() -> None:
    scores = np.zeros(BLENDSHAPES, np.float32)
    scores[[BLENDSHAPE_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]] = 1
    moved = face_model().expression(scores)
    right, left = moved[MOUTH.upper[0]], moved[MOUTH.upper[-1]]
    assert right[0] < -0.03 and left[0] > 0.03
    assert right[1] < -0.03 and left[1] < -0.03


def test_rest_has_no_expression() -> None:
    assert (face_model().expression(np.zeros(BLENDSHAPES, np.float32)) == 0).all()


def test_the_model_is_read_once() -> None:
    assert face_model() is face_model()


def test_a_found_face_has_the_records_shape(astronaut_identity: Identity) -> None:
    face = Face(
        astronaut_identity.front.landmarks,
        astronaut_identity.front.blendshapes,
        astronaut_identity.front.pose,
        (1, 1),
    )
    assert face.landmarks.shape == face_model().mean.shape
