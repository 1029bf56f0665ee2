"""Similarity fits, rotation vectors and soft limits, against what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.records import F32
from avatar.tools.geometry import (
    Similarity,
    fit_similarity,
    rotation_from_vector,
    soft_limit,
    vector_from_rotation,
)


def vector(*numbers: float) -> F32:
    return np.array(numbers, np.float32)


def some_points(count: int = 40, seed: int = 2) -> F32:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


SOME = Similarity(2.5, rotation_from_vector(vector(0.3, -0.7, 0.2)), vector(4, -1, 0.5))
OTHER = Similarity(0.4, rotation_from_vector(vector(-0.1, 0.2, 1.4)), vector(0, 3, -2))


def test_a_similarity_scales_turns_and_shifts() -> None:
    quarter = Similarity(2, rotation_from_vector(vector(0, 0, np.pi / 2)), vector(10, 0, 0))
    np.testing.assert_allclose(quarter(vector(1, 0, 0)[None])[0], (10, 2, 0), atol=1e-6)
    np.testing.assert_allclose(quarter(vector(0, 1, 3)[None])[0], (8, 0, 6), atol=1e-6)


def test_undo_inverse_and_after_agree() -> None:
    points = some_points()
    np.testing.assert_allclose(SOME.undo(SOME(points)), points, atol=1e-5)
    np.testing.assert_allclose(SOME.inverse()(SOME(points)), points, atol=1e-5)
    np.testing.assert_allclose(OTHER.after(SOME)(points), OTHER(SOME(points)), atol=1e-5)
    np.testing.assert_allclose(SOME.after(SOME.inverse()).matrix, np.eye(3, 4), atol=1e-5)


def test_the_matrix_does_the_same() -> None:
    points = some_points()
    assert SOME.matrix.shape == (3, 4) and SOME.matrix.dtype == np.float32
    np.testing.assert_allclose(points @ SOME.matrix[:, :3].T + SOME.matrix[:, 3], SOME(points), atol=1e-5)


@pytest.mark.parametrize("wanted", [SOME, OTHER, Similarity(1e-3, SOME.rotation, vector(1e3, 0, 0))])
def test_a_fit_finds_the_similarity(wanted: Similarity) -> None:
    points = some_points()
    found = fit_similarity(points, wanted(points), np.ones(len(points), np.float32))
    assert found.scale == pytest.approx(wanted.scale, rel=0.03 if wanted.scale < 0.01 else 1e-4)
    if wanted.scale > 0.01:
        np.testing.assert_allclose(found.rotation, wanted.rotation, atol=1e-5)
        np.testing.assert_allclose(found.shift, wanted.shift, atol=1e-4)


def test_a_fit_is_the_best_of_its_neighbours() -> None:
    random = np.random.default_rng(8)
    points, weights = some_points(), random.uniform(0, 1, 40).astype(np.float32)
    target = SOME(points) + random.normal(0, 0.2, points.shape).astype(np.float32)
    found = fit_similarity(points, target, weights)

    def misfit(one: Similarity) -> float:
        return float((weights * ((one(points) - target) ** 2).sum(axis=1)).sum())

    best = misfit(found)
    for _ in range(60):
        turn = rotation_from_vector(random.normal(0, 0.01, 3).astype(np.float32)) @ found.rotation
        scale = found.scale * float(np.exp(random.normal(0, 0.01)))
        shift = found.shift + random.normal(0, 0.01, 3).astype(np.float32)
        assert misfit(Similarity(scale, turn, shift)) > best - 1e-4


def test_points_without_weight_do_not_count() -> None:
    points = some_points()
    target = SOME(points)
    target[:10] += 100
    weights = np.ones(40, np.float32)
    weights[:10] = 0
    np.testing.assert_allclose(fit_similarity(points, target, weights).matrix, SOME.matrix, atol=1e-4)
    np.testing.assert_allclose(fit_similarity(points, target, 7 * weights).matrix, SOME.matrix, atol=1e-4)


def test_a_mirrored_target_gives_no_mirror() -> None:
    points = some_points()
    found = fit_similarity(points, points * vector(-1, 1, 1), np.ones(40, np.float32))
    assert np.linalg.det(found.rotation) == pytest.approx(1, abs=1e-5)
    assert found.scale > 0


@pytest.mark.parametrize(
    "turn", [(0, 0, 0), (1e-6, 0, 0), (0.3, -0.2, 0.9), (0, 2.9, 0), (-1.5, 1.5, 0.3), (0, 0, -3.0)]
)
def test_rotation_vectors_go_there_and_back(turn: tuple[float, float, float]) -> None:
    rotation = rotation_from_vector(vector(*turn))
    assert rotation.dtype == np.float32
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(vector_from_rotation(rotation), turn, atol=5e-3 if max(turn) > 2 else 1e-3)


def test_rotations_turn_right_handed() -> None:
    quarter = np.pi / 2
    for axis, start, end in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        turn = np.eye(3, dtype=np.float32)[axis] * np.float32(quarter)
        np.testing.assert_allclose(rotation_from_vector(turn) @ np.eye(3)[start], np.eye(3)[end], atol=1e-6)


def test_a_soft_limit_is_itself_below_the_knee_and_never_passed() -> None:
    values = np.linspace(-5, 5, 2001, dtype=np.float32)
    limited = soft_limit(values, 0.5)
    small = np.abs(values) <= 0.3
    np.testing.assert_array_equal(limited[small], values[small])
    assert np.abs(limited).max() <= 0.5
    assert limited[-1] > 0.49 and limited[0] < -0.49
    slopes = np.diff(limited) / np.diff(values)
    assert (slopes >= -1e-6).all() and slopes.max() < 1.001
    assert np.abs(np.diff(slopes)).max() < 0.06, "no kink"
    np.testing.assert_allclose(limited, -limited[::-1], atol=1e-6)
    assert float(soft_limit(0.1, 0.5)) == pytest.approx(0.1)
