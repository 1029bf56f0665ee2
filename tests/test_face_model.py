"""Making the face model: out of faces whose mean, expressions and poses are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_faces import PEOPLE, synthetic_person
from safetensors import safe_open
from safetensors.numpy import load

from avatar.errors import AvatarError, ModelError
from avatar.records import F32
from avatar.tools.facemesh import BLENDSHAPE_NAMES, FaceModel, face_height, face_model
from avatar.tools.geometry import fit_similarity
from avatar.train import face_model as command
from avatar.train.face_fit import blendshape_mirror, fit_model, mirror_map, wound
from avatar.train.face_quality import REGIONS, measure
from avatar.train.tracks import Track


@pytest.fixture(scope="module")
def people() -> list[Track]:
    return [synthetic_person(seed) for seed in range(PEOPLE)]


@pytest.fixture(scope="module")
def fitted(people: list[Track]) -> FaceModel:
    return fit_model(people, face_model().triangles)


def off(found: F32, wanted: F32) -> float:
    """Mean distance of landmarks, face frame units."""
    return float(np.linalg.norm(found - wanted, axis=-1).mean())


def test_the_mean_face_is_found_again(people: list[Track], fitted: FaceModel) -> None:
    model = face_model()
    # People differ, and the mean of their faces has their mean expression on it.
    wanted = model.mean + model.expression(np.mean([p.blendshapes.mean(axis=0) for p in people], axis=0))
    wanted = (wanted + (wanted * [-1, 1, 1])[model.mirror]) / 2
    placed = fit_similarity(fitted.mean, np.asarray(wanted, np.float32), model.rigid)
    assert off(placed(fitted.mean), np.asarray(wanted, np.float32)) < 0.01
    assert abs(placed.scale - 1) < 0.1
    assert np.degrees(np.arccos((np.trace(placed.rotation) - 1) / 2)) < 3


def test_expressions_are_found_again(fitted: FaceModel) -> None:
    model = face_model()
    size = np.linalg.norm(model.expressions, axis=2).mean(axis=1)
    error = np.linalg.norm(fitted.expressions - model.expressions, axis=2).mean(axis=1)
    strong = size > 0.02
    assert strong.sum() > 20
    assert (error[strong] / size[strong]).mean() < 0.25
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp"):
        i = BLENDSHAPE_NAMES.index(name)
        alike = np.corrcoef(fitted.expressions[i].ravel(), model.expressions[i].ravel())[0, 1]
        assert alike > 0.97, name


def test_a_face_that_never_moves_gives_no_expressions() -> None:
    scores = np.random.default_rng(0).random((8, 52), np.float32)
    poses = np.repeat(np.eye(4, dtype=np.float32)[None], 8, axis=0)
    still = Track(np.repeat(100 * face_model().mean[None], 8, axis=0), scores, poses)
    assert np.abs(fit_model([still, still], face_model().triangles).expressions).max() < 1e-4


def test_the_model_is_symmetric(fitted: FaceModel) -> None:
    across = np.array([-1, 1, 1], np.float32)
    mirror = fitted.mirror
    np.testing.assert_array_equal(mirror, face_model().mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(478))
    np.testing.assert_allclose(fitted.mean[mirror], fitted.mean * across, atol=1e-6)
    np.testing.assert_array_equal(fitted.rigid[mirror], fitted.rigid)
    swapped = fitted.expressions[blendshape_mirror()][:, mirror] * across
    np.testing.assert_allclose(swapped, fitted.expressions, atol=2e-4)


def test_the_face_frame_is_normalised(fitted: FaceModel) -> None:
    np.testing.assert_allclose(fitted.mean[:468].mean(axis=0), 0, atol=1e-5)
    assert (fitted.mean[:468] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    assert fitted.rigid.max() == 1
    assert (fitted.rigid[:468] > 0).all()
    assert not fitted.rigid[468:].any()


def test_every_person_counts_the_same(people: list[Track]) -> None:
    few, triangles = people[:5], face_model().triangles
    first = few[0]
    once, more = fit_model(few, triangles), fit_model([Track.joined([first] * 4), *few[1:]], triangles)
    np.testing.assert_allclose(more.mean, once.mean, atol=1e-4)
    np.testing.assert_allclose(more.expressions, once.expressions, atol=1e-3)


def test_faces_of_no_symmetry_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AvatarError, match="cannot be paired"):
        mirror_map(rng.normal(size=(478, 3)).astype(np.float32))


def test_blendshapes_of_both_sides_are_pairs() -> None:
    other = blendshape_mirror()
    np.testing.assert_array_equal(other[other], np.arange(52))
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("eyeLookInLeft")]] == "eyeLookInRight"
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("mouthLeft")]] == "mouthRight"
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("jawOpen")]] == "jawOpen"


def test_the_measure_sees_expressions_go(people: list[Track], fitted: FaceModel) -> None:
    rows = measure(fitted, people[:4])
    assert [row.region for row in rows] == list(REGIONS)
    for row in rows:
        # What is left is the noise and what the ridge holds back.
        assert row.after < 0.4 * row.before, row
    nothing = FaceModel(fitted.mean, 0 * fitted.expressions, fitted.rigid, fitted.mirror, fitted.triangles)
    for row in measure(nothing, people[:4]):
        assert row.after == pytest.approx(row.before)


def test_the_measure_is_in_pixels_of_the_crop(fitted: FaceModel) -> None:
    # One landmark in twenty moves by 0.1 to each side: 0.1 * 256 / (2.1 * height) px.
    faces = np.stack([fitted.mean, fitted.mean])
    faces[0, 468, 0] -= 0.1
    faces[1, 468, 0] += 0.1
    track = Track(faces, np.zeros((2, 52), np.float32), np.stack([np.eye(4, dtype=np.float32)] * 2))
    irises = next(row for row in measure(fitted, [track]) if row.region == "irises")
    height = face_height(fitted.mean)
    assert irises.before == pytest.approx(0.1 * 256 / (2.1 * height) / 10, rel=1e-3)


def test_triangles_are_wound_alike() -> None:
    try:
        triangles = command.tesselation()
    except ModelError as error:
        pytest.skip(str(error))
    assert triangles.shape == (852, 3)
    mean = face_model().mean
    rng = np.random.default_rng(1)
    mixed = np.where(rng.random((852, 1)) < 0.5, triangles[:, ::-1], triangles)
    found = wound(mixed, mean)
    a, b, c = (mean[found[:, i], :2] for i in range(3))
    assert (np.linalg.det(np.stack([b - a, c - a], axis=1)) < 0).all()
    # Neighbours pass their common side in opposite directions: no directed side occurs twice.
    sides = np.concatenate([found[:, [0, 1]], found[:, [1, 2]], found[:, [2, 0]]])
    assert len(np.unique(sides, axis=0)) == len(sides)
    np.testing.assert_array_equal(wound(triangles, mean), face_model().triangles)


def test_the_file_is_what_the_program_reads(fitted: FaceModel, tmp_path: Path) -> None:
    data = command.pack(fitted, {"people": 24, "frames": 1440, "clips": 25})
    assert data == command.pack(fitted, {"clips": 25, "frames": 1440, "people": 24})
    shipped = command.pack(face_model(), {})
    assert {k: (v.dtype, v.shape) for k, v in load(data).items()} == {
        k: (v.dtype, v.shape) for k, v in load(shipped).items()
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {
            "format": "livehead-face-model",
            "version": "1",
            "people": "24",
            "frames": "1440",
            "clips": "25",
        }
        np.testing.assert_allclose(file.get_tensor("basis"), fitted.expressions, atol=1e-3)
        np.testing.assert_array_equal(file.get_tensor("triangles"), fitted.triangles)
