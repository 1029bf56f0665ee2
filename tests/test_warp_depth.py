"""Depth in the warp: what hides what, how far pixels can be trusted, and the raster that draws it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_motions import rigid
from numpy.typing import NDArray

from avatar.records import F32, Identity, Motion
from avatar.tools.facemesh import CHIN, OVAL
from avatar.warp import ViewWarper
from avatar.warp.mesh import RINGS, HeadMesh
from avatar.warp.raster import MeshRaster


@pytest.fixture(scope="module")
def warper(astronaut_identity: Identity) -> ViewWarper:
    return ViewWarper(astronaut_identity.front, 512)


CHEEKS = ((234, 127, 162, 93, 132, 58, 139, 34), (454, 356, 389, 323, 361, 288, 368, 264))
"""Beside the right and the left eye and cheek."""


@pytest.mark.parametrize("direction", [1, -1])
def test_a_turned_head_hides_the_far_cheek(astronaut_identity: Identity, direction: int) -> None:
    motion = rigid(astronaut_identity, turn=(0, 0.6 * direction, 0))
    mesh = HeadMesh(astronaut_identity.front)
    points = mesh(motion)
    carried = np.full_like(points, 0.5)
    carried[:, :2] = (mesh.rest[:, :2] + 0.5) / 2
    source = MeshRaster(mesh.triangles)(points, carried, 200)[..., :2] * 2 - 0.5
    far, near = CHEEKS[::direction]  # turned by +y she looks to the left of the picture
    for cheek, hidden in ((far, True), (near, False)):
        at = (points[list(cheek), :2] * 200).astype(int)
        wrong = np.linalg.norm(source[at[:, 1], at[:, 0]] - mesh.rest[list(cheek), :2], axis=1)
        assert (wrong > 0.03).all() if hidden else (wrong < 0.01).all()


@pytest.mark.parametrize("direction", [1, -1])
def test_the_far_cheek_is_trusted_less_the_farther_it_turns(
    astronaut_identity: Identity, warper: ViewWarper, direction: int
) -> None:
    trust = []
    for angle in (0.0, 0.2, 0.4, 0.6):
        motion = rigid(astronaut_identity, turn=(0, angle * direction, 0))
        confidence = warper(motion).confidence
        grid = len(confidence)
        points = motion.landmarks[:468, :2] * grid - np.float32(0.5)
        hull = np.zeros((grid, grid), np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points).astype(np.int32)), 255)
        across = (np.arange(grid)[None] - points[:, 0].min()) / np.ptp(points[:, 0])
        down = np.arange(grid)[:, None]
        face = (hull > 0) & (down > points[168, 1]) & (down < points[CHIN, 1])
        if direction < 0:
            across = 1 - across
        trust.append([confidence[face & (across >= low) & (across < low + 0.25)].mean() for low in (0, 0.5)])
    outer, inner = np.array(trust).T
    assert (np.diff(outer) < -0.02).all() and outer[0] > 0.99 and outer[-1] < 0.72
    assert inner.min() > 0.85


def triangle_fan() -> tuple[F32, NDArray[np.int32]]:
    """A random height field over more than the crop, as bumpy as a face: (points, triangles)."""
    random = np.random.default_rng(4)
    across = np.linspace(-0.1, 1.1, 9)
    x, y = np.meshgrid(across, across)
    x, y = x + random.uniform(-0.04, 0.04, x.shape), y + random.uniform(-0.04, 0.04, y.shape)
    points = np.stack([x, y, random.uniform(-0.03, 0.03, x.shape)], 2).reshape(-1, 3).astype(np.float32)
    corners = [9 * row + column for row in range(8) for column in range(8)]
    faces = [t for i in corners for t in ((i, i + 1, i + 9), (i + 1, i + 10, i + 9))]
    return points, np.array(faces, np.int32)


@pytest.mark.parametrize("window", [(0.0, 0.0, 1.0), (0.3, 0.2, 0.5)])
@pytest.mark.parametrize("grid", [96, 176])
def test_the_raster_is_exact(grid: int, window: tuple[float, float, float]) -> None:
    points, triangles = triangle_fan()
    values = points.copy()
    values[:, :2] = (points[:, :2] + 0.5) / 2
    drawn = MeshRaster(triangles)(points, values, grid, window)
    left, top, side = window
    middles = (np.arange(grid) + 0.5) / grid * side
    found = drawn[..., :2] * 2 - 0.5
    cell = side / grid
    assert np.abs(found[..., 0] - (middles + left)[None, :]).max() < 0.02 * cell
    assert np.abs(found[..., 1] - (middles + top)[:, None]).max() < 0.02 * cell


def test_the_nearest_triangle_wins_whatever_the_order() -> None:
    square = np.array([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)])
    points = np.concatenate([np.column_stack([square, np.full(3, z)]) for z in (0.1, -0.1, 0.0)]).astype(
        np.float32
    )
    values = np.repeat(np.array([0.3, 0.6, 0.9], np.float32), 3)[:, None].repeat(3, axis=1)
    for order in ((0, 1, 2), (1, 2, 0), (2, 1, 0)):
        triangles = np.array([(3 * i, 3 * i + 1, 3 * i + 2) for i in order], np.int32)
        drawn = MeshRaster(triangles)(points, values, 64)
        assert drawn[20, 32] == pytest.approx(0.6)
        assert (drawn[0] == 0).all(), "nothing where there is no triangle"
        back = MeshRaster(triangles[:, ::-1].copy())(points, values, 64)
        np.testing.assert_allclose(back, drawn, atol=1e-6)


def test_crossing_triangles_are_seen_each_on_its_side() -> None:
    square = np.array([(0, 0, -0.2), (1, 0, 0.2), (0, 1, -0.2), (1, 1, 0.2)], np.float32)
    points = np.concatenate([square, square * np.array([1, 1, -1], np.float32)])
    triangles = np.array([(0, 1, 2), (1, 3, 2), (4, 5, 6), (5, 7, 6)], np.int32)
    values = np.repeat(np.array([[0.25], [0.75]], np.float32), 4, axis=0).repeat(3, axis=1)
    drawn = MeshRaster(triangles)(points, values, 50)
    assert drawn[25, :24] == pytest.approx(0.25)
    assert drawn[25, 26:] == pytest.approx(0.75)


def test_the_skin_beyond_the_outline_follows_the_jaw(astronaut_identity: Identity) -> None:
    """Less with every ring, and not at all in the hair far out."""
    mesh, rest = HeadMesh(astronaut_identity.front), rigid(astronaut_identity)
    landmarks = astronaut_identity.front.landmarks.copy()
    landmarks[list(OVAL), 1] += 0.03
    motion = Motion(landmarks, rest.head, rest.blink, rest.jaw_open)
    moved = (mesh(motion) - mesh.rest)[468:].reshape(-1, len(OVAL), 3)[:, OVAL.index(CHIN), 1] / 0.03
    assert 0.4 < moved[0] < 0.9 and 0.1 < moved[1] < 0.6
    assert (np.diff(moved) <= 1e-6).all()
    np.testing.assert_allclose(moved[4:], 0, atol=1e-5)


def test_the_mesh_covers_the_whole_crop(astronaut_identity: Identity) -> None:
    mesh = HeadMesh(astronaut_identity.front)
    values = np.ones_like(mesh.rest)
    assert MeshRaster(mesh.triangles)(mesh.rest, values, 128) == pytest.approx(1, abs=1e-6)
    assert mesh.rest.shape == (468 + (len(RINGS) + 1) * len(OVAL), 3)
    np.testing.assert_allclose(mesh(rigid(astronaut_identity)), mesh.rest, atol=1e-6)
