"""The warp: the portrait's own pixels, where a motion takes them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_motions import Mask, as_pixels, changed, difference, hair, inside, rigid, rings, skin
from made_people import Vector, blink, made_face, made_identity
from numpy.typing import NDArray

from avatar.generate import WarpGenerator
from avatar.records import F32, U8, Identity, Motion, Observation, Warped
from avatar.retarget import Retargeter
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OVAL, Opening, face_model
from avatar.tools.geometry import fit_similarity, vector_from_rotation
from avatar.tools.scaling import resized
from avatar.track import FaceFinder
from avatar.warp import ViewWarper
from avatar.warp.mesh import HeadMesh

SIDES = (256, 512, 683)
EXTREMES: list[tuple[Vector, Vector, float]] = [
    ((0, 0.3, 0), (0.05, 0.05, 0), 1.0),
    ((0.45, -0.45, 0.45), (-0.12, 0.12, 0), 1.15),
    ((0, 0, 0.45), (0, -0.12, 0), 0.86),
]
"""The farthest that relative retargeting lets the head go, and beyond: all limits at once."""


@pytest.fixture(scope="module")
def warper(astronaut_identity: Identity) -> ViewWarper:
    return ViewWarper(astronaut_identity.front, 512)


@pytest.fixture(scope="module")
def texture(astronaut_identity: Identity) -> U8:
    return resized(astronaut_identity.front.texture, 512)


def border(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)


# Pixels go where they are sent


@pytest.mark.parametrize("side", SIDES)
def test_no_motion_leaves_the_picture(astronaut_identity: Identity, side: int) -> None:
    warped = ViewWarper(astronaut_identity.front, side)(rigid(astronaut_identity))
    texture = resized(astronaut_identity.front.texture, side)
    assert warped.person.shape == (side, side, 3) and warped.alpha.shape == (side, side)
    assert difference(warped.person, texture, skin(astronaut_identity.front.landmarks, side)) < 0.3
    assert difference(warped.person, texture, hair(astronaut_identity, side)) < 0.1
    alpha = resized(astronaut_identity.front.alpha, side)
    assert np.abs(warped.alpha.astype(int) - alpha).mean() < 0.05
    assert warped.confidence.min() > 0.999


def test_eyes_at_rest_look_as_in_the_picture(
    astronaut_identity: Identity, warper: ViewWarper, texture: U8
) -> None:
    person = warper(rigid(astronaut_identity)).person
    for eye, iris in (("right eye", IRISES[0]), ("left eye", IRISES[1])):
        within = inside(rings(astronaut_identity.front.landmarks, 512)[eye], 512, grown=-1)
        assert difference(person, texture, within) < 12
        middle = np.round(astronaut_identity.front.landmarks[iris[0], :2] * 512 - 0.5).astype(int)
        pupil = np.s_[middle[1] - 3 : middle[1] + 4, middle[0] - 3 : middle[0] + 4]
        assert np.abs(person[pupil].astype(int) - texture[pupil]).mean() < 6


@pytest.mark.parametrize(
    ("turn", "shift", "scale"),
    [
        ((0, 0, 0), (12 / 512, -9 / 512, 0), 1.0),
        ((0, 0, 0.15), (0, 0, 0), 1.0),
        ((0, 0, -0.3), (0.03, 0.02, 0), 1.0),
        ((0, 0, 0), (0, 0, 0), 1.1),
    ],
)
def test_a_moved_head_moves_its_pixels_by_that_much(
    astronaut_identity: Identity, warper: ViewWarper, texture: U8, turn: Vector, shift: Vector, scale: float
) -> None:
    motion = rigid(astronaut_identity, turn=turn, shift=shift, scale=scale)
    matrix = as_pixels(motion, 512)
    wanted = cv2.warpAffine(texture, matrix, (512, 512)).astype(np.uint8)
    for part in (skin(astronaut_identity.front.landmarks, 512), near_hair(astronaut_identity)):
        where = cv2.warpAffine(part.astype(np.uint8), matrix, (512, 512)) > 0
        person = warper(motion).person
        assert difference(person, wanted, where) < 1.0
        assert difference(person, texture, where) > 8, "the test would see it if nothing moved"


def near_hair(identity: Identity) -> Mask:
    """Hair that moves with the head as one: close to the face."""
    near = inside(rings(identity.front.landmarks, 512)["face"], 512, grown=14)
    above = np.arange(512)[:, None] < identity.front.landmarks[1, 1] * 512
    return np.asarray(hair(identity, 512) & near & above, bool)


def test_phase_correlation_sees_the_shift(
    astronaut_identity: Identity, warper: ViewWarper, texture: U8
) -> None:
    person = warper(rigid(astronaut_identity, shift=(12 / 512, -9 / 512, 0))).person
    before, after = (
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[150:330, 150:330].astype(np.float32)
        for picture in (texture, person)
    )
    found, _ = cv2.phaseCorrelate(before, after, cv2.createHanningWindow((180, 180), cv2.CV_32F))
    np.testing.assert_allclose(found, (12, -9), atol=0.3)


@pytest.mark.parametrize("turn", [(0, 0.25, 0), (0, -0.25, 0), (0.2, 0, 0), (0, 0, 0.2)])
def test_the_landmarker_sees_the_turn(astronaut_identity: Identity, turn: Vector) -> None:
    warper, generate = ViewWarper(astronaut_identity.front, 384), WarpGenerator(astronaut_identity, 384)
    model, poses = face_model(), []
    with FaceFinder() as find:
        for motion in (rigid(astronaut_identity), rigid(astronaut_identity, turn=turn)):
            faces = find(generate(warper(motion), motion).rgb, depth=1)
            poses.append(fit_similarity(model.mean, faces[0].landmarks, model.rigid).rotation)
    found = vector_from_rotation(np.asarray(poses[1] @ poses[0].T, np.float32))
    np.testing.assert_allclose(found, turn, atol=0.09)


@pytest.mark.parametrize(
    ("expression", "most"),
    [({"jawOpen": 0.6}, 1.0), ({"mouthPucker": 0.8}, 1.0), ({"browInnerUp": 1.0}, 0.42)],
)
def test_each_landmark_carries_its_pixel(
    astronaut_identity: Identity, warper: ViewWarper, texture: U8, expression: dict[str, float], most: float
) -> None:
    """The colour at a moved landmark is the colour at the landmark."""
    retarget = Retargeter(astronaut_identity, smoothing=0)
    retarget.prepare([made_face()])
    motion = retarget(Observation(made_face(expression), 0, 0))
    person = warper(motion).person
    own_places = astronaut_identity.front.landmarks[:468, :2] * 512 - np.float32(0.5)
    columns, rows = np.round(own_places).astype(int).T
    inner = skin(astronaut_identity.front.landmarks, 512)[rows, columns]
    places = (motion.landmarks[:468, :2] * 512 - np.float32(0.5))[inner]
    own = sampled(texture, own_places[inner])
    off = np.abs(sampled(person, places) - own).mean()
    assert off < most, "levels; a flow of coarse cells alone has half as much again at the brows"
    assert np.abs(sampled(texture, places) - own).mean() > 2 * off, "the test would see a still face"


def sampled(picture: U8, places: F32) -> F32:
    """(N, 3), the colours of a picture at (N, 2) pixel places."""
    at = np.ascontiguousarray(places[None], np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), 0.8).astype(np.float32)
    return np.asarray(cv2.remap(blurred, at[..., 0], at[..., 1], cv2.INTER_LINEAR)[0], np.float32)


# What stands still


@pytest.mark.parametrize(("turn", "shift", "scale"), EXTREMES)
def test_the_crops_border_never_moves(
    astronaut_identity: Identity, warper: ViewWarper, turn: Vector, shift: Vector, scale: float
) -> None:
    rest, motion = rigid(astronaut_identity), rigid(astronaut_identity, turn=turn, shift=shift, scale=scale)
    mesh = HeadMesh(astronaut_identity.front)
    outer = 2 * len(OVAL)  # the ring on the border and the one beyond it
    np.testing.assert_array_equal(mesh(motion)[-outer:], mesh.rest[-outer:])
    on_border = mesh.rest[-outer : -len(OVAL), :2]
    np.testing.assert_allclose(np.abs(on_border - 0.5).max(axis=1), 0.5, atol=1e-5)
    still, moved = warper(rest), warper(motion)
    # Half a cell of the coarse flow lies inside the border: hence not exactly zero.
    assert np.abs(border(still.person) - border(moved.person)).mean() < 0.5
    assert np.abs(border(still.alpha) - border(moved.alpha)).max() <= 1


@pytest.mark.parametrize("side", SIDES)
def test_the_wall_far_from_the_head_is_the_plate(astronaut_identity: Identity, side: int) -> None:
    warper, generate = ViewWarper(astronaut_identity.front, side), WarpGenerator(astronaut_identity, side)
    motion = rigid(astronaut_identity, turn=(0, 0.3, 0.1), shift=(0.03, 0, 0))
    alpha, plate = (
        resized(layer, side) for layer in (astronaut_identity.front.alpha, astronaut_identity.plate)
    )
    reach = np.ones((side // 20 + 1,) * 2, np.uint8)
    face = inside(rings(astronaut_identity.front.landmarks, side)["face"], side, grown=round(0.22 * side))
    wall = (cv2.dilate(alpha, reach) == 0) & ~face
    assert wall.mean() > 0.25
    rgb = generate(warper(motion), motion).rgb
    np.testing.assert_array_equal(rgb[wall], plate[wall])


# Whatever comes


def test_nothing_is_shared_between_calls(astronaut_identity: Identity, warper: ViewWarper) -> None:
    one = warper(rigid(astronaut_identity))
    kept = Warped(one.person.copy(), one.alpha.copy(), one.confidence.copy())
    two = warper(rigid(astronaut_identity, turn=(0, 0.3, 0), shift=(0.1, 0, 0)))
    for name in ("person", "alpha", "confidence"):
        assert not np.shares_memory(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(kept, name))
    again = warper(rigid(astronaut_identity))
    np.testing.assert_array_equal(again.person, kept.person)


@pytest.mark.parametrize("side", [64, 100, 256, 1024])
def test_wild_motions_give_whole_pictures(astronaut_identity: Identity, side: int) -> None:
    warper = ViewWarper(astronaut_identity.front, side)
    motions = [
        rigid(astronaut_identity, turn=turn, shift=shift, scale=scale) for turn, shift, scale in EXTREMES
    ]
    motions += [
        rigid(astronaut_identity, shift=(3, 0, 0)),
        rigid(astronaut_identity, shift=(-0.6, 0.6, 0), scale=1.8),
        rigid(astronaut_identity, scale=0.05),
        rigid(astronaut_identity, turn=(0, 1.5, 0)),
        changed(rigid(astronaut_identity), np.full((478, 3), 0.5, np.float32), (1, 1)),
    ]
    for motion in motions:
        warped = warper(motion)
        assert warped.person.shape == (side, side, 3) and warped.person.dtype == np.uint8
        assert warped.alpha.shape == (side, side) and warped.alpha.dtype == np.uint8
        assert warped.confidence.dtype == np.float32 and np.isfinite(warped.confidence).all()
        assert 0 <= warped.confidence.min() and warped.confidence.max() <= 1.0001


def test_a_person_with_shut_eyes_and_lips_can_be_warped() -> None:
    asleep = made_identity(blink(1.0) | {"mouthClose": 1.0})
    warper = ViewWarper(asleep.front, 128)
    motion = Retargeter(asleep)(Observation(made_face({"jawOpen": 1.0}), 0, 0))
    assert warper(motion).person.shape == (128, 128, 3)


@pytest.mark.parametrize("side", [256, 683, 1024])
def test_the_flow_at_rest_is_exact_up_to_the_border(astronaut_identity: Identity, side: int) -> None:
    """Where the fine part meets the coarse one, and at the crop's own border, nothing is bent."""
    warper = ViewWarper(astronaut_identity.front, side)
    warped = warper(at_rest(astronaut_identity))
    texture = resized(astronaut_identity.front.texture, side)
    off = np.abs(warped.person.astype(int) - texture.astype(int)).max(axis=2)
    for opening in (*EYES, MOUTH):
        off[box_of(opening, astronaut_identity.front.landmarks, side)] = 0
    assert off.max() <= 2


def at_rest(identity: Identity) -> Motion:
    return Motion(identity.front.landmarks, np.eye(3, 4, dtype=np.float32), np.zeros(2, np.float32), 0.0)


def box_of(opening: Opening, landmarks: F32, side: int) -> tuple[slice, slice]:
    points = landmarks[list(opening.ring), :2] * side
    low, high = points.min(axis=0).astype(int) - side // 50, points.max(axis=0).astype(int) + side // 50
    return slice(low[1], high[1]), slice(low[0], high[0])


def test_the_edge_of_a_turned_head_is_soft(
    astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One side hides the other in whole cells of the flow; the steps of that edge are blurred away."""
    turned = rigid(astronaut_identity, turn=(0, 0.4, 0))
    soft = ViewWarper(astronaut_identity.front, 683)(turned)
    softened: list[int] = []

    def leave(picture: U8, where: F32) -> None:
        softened.append(int((where > 0).sum()))

    monkeypatch.setattr("avatar.warp.view_warper.soften", leave)
    hard = ViewWarper(astronaut_identity.front, 683)(turned)
    assert softened and 100 < softened[0] < 0.2 * 683**2, "a line along the far cheek, not an area"
    changed_pixels = (soft.person != hard.person).any(axis=2)
    assert 100 < changed_pixels.sum() <= softened[0]
    ViewWarper(astronaut_identity.front, 683)(rigid(astronaut_identity))
    assert len(softened) == 2, "person and matte once; nothing is torn at rest"


@pytest.mark.parametrize("strip", [1, 7, 1000])
def test_it_does_not_matter_how_many_rows_are_moved_at_a_time(
    astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch, strip: int
) -> None:
    turned = rigid(astronaut_identity, turn=(0.1, 0.3, 0.1), shift=(0.03, -0.02, 0))
    usual = ViewWarper(astronaut_identity.front, 300)(turned)
    monkeypatch.setattr("avatar.warp.view_warper.STRIP", strip)
    other = ViewWarper(astronaut_identity.front, 300)(turned)
    assert np.abs(usual.person.astype(int) - other.person).max() <= 1
    assert np.abs(usual.alpha.astype(int) - other.alpha).max() <= 1
