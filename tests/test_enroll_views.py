"""Further pictures of a person: the front's colours, the front's body, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_people import FACE_SCALE, Vector, made_face, made_identity, made_view

from avatar.errors import NoFaceError, SeveralFacesError
from avatar.identity.body import on_front_body
from avatar.identity.enroll import TakenApart
from avatar.identity.match import GAIN_MAX, matched
from avatar.identity.views import with_view
from avatar.pipeline import add_pictures
from avatar.records import U8, Conditioning, Crop, Identity, Motion, View
from avatar.tools.facemesh import CHIN, OVAL, face_height
from avatar.tools.scaling import resized
from avatar.warp import Warper

SIDE = 256
WHOLE = (0.0, 0.0, 1.0, 1.0)
SKIN = (180, 140, 120)


def person(
    colour: tuple[int, int, int] = SKIN, *, turn: Vector = (0, 0, 0), shift: tuple[float, float] = (0.5, 0.5)
) -> View:
    """A person of one colour who fills the crop, a little lighter on one side."""
    view = made_view(made_face(turn=turn, shift=shift, scale=FACE_SCALE), SIDE)
    light = np.linspace(0.9, 1.1, SIDE)[None, :, None]
    texture = np.clip(np.array(colour) * light + 0.5, 0, 255) * np.ones((SIDE, 1, 1))
    solid = np.full((SIDE, SIDE), 255, np.uint8)
    return replace(view, texture=texture.astype(np.uint8), alpha=solid, head=solid)


def scaled(view: View, *factors: float) -> View:
    return replace(view, texture=np.clip(view.texture * np.array(factors), 0, 255).astype(np.uint8))


# Colours


def test_another_white_balance_is_taken_back() -> None:
    front = person()
    other = matched(scaled(front, 0.85, 1.0, 1.15), front)
    assert np.abs(other.texture.astype(int) - front.texture).max() <= 2
    assert other.landmarks is front.landmarks


@pytest.mark.parametrize("turn", [(0, 0.5, 0), (0, -0.5, 0), (0.3, 0, 0.2)])
def test_a_turned_head_of_the_same_colour_is_left_alone(turn: Vector) -> None:
    front = replace(person(), texture=np.full((SIDE, SIDE, 3), SKIN, np.uint8))
    turned = replace(person(turn=turn), texture=front.texture)
    assert np.abs(matched(turned, front).texture.astype(int) - front.texture).max() <= 1


def test_another_light_is_brought_nearer_and_no_further() -> None:
    front = person()
    dark = scaled(front, 0.5, 0.5, 0.5)
    lifted = matched(dark, front).texture.astype(float)
    assert np.median(lifted / np.maximum(dark.texture, 1)) == pytest.approx(GAIN_MAX, abs=0.02)


def test_a_lock_of_hair_does_not_decide() -> None:
    front = person()
    hair = front.texture.copy()
    hair[: SIDE * 45 // 100, : SIDE // 2] = 20
    assert np.abs(matched(replace(front, texture=hair), front).texture.astype(int) - hair).max() <= 4


# The body


def test_below_the_neck_there_is_the_front() -> None:
    front, view = person((0, 200, 0)), person((200, 0, 0))
    mixed = on_front_body(view, WHOLE, front, WHOLE)
    height, chin = face_height(view.landmarks), view.landmarks[CHIN, 1]
    face = slice(0, int(chin * SIDE))
    body = slice(int((chin + 0.35 * height) * SIDE) + 1, int(0.96 * SIDE))
    inner = slice(SIDE // 10, -SIDE // 10)
    np.testing.assert_array_equal(mixed.texture[face], view.texture[face])
    np.testing.assert_array_equal(mixed.texture[body, inner], front.texture[body, inner])


def test_the_body_lies_where_the_warp_leaves_what_stands_still() -> None:
    """The view's head is elsewhere in its crop; seen from the head, the body is where the front has it."""
    front = person((0, 200, 0))
    stripe = round((front.landmarks[CHIN, 1] + 0.5 * face_height(front.landmarks)) * SIDE)
    front.texture[stripe - 2 : stripe + 3] = (0, 0, 255)
    view = person((200, 0, 0), shift=(0.45, 0.4))
    mixed = on_front_body(view, WHOLE, front, WHOLE)
    rows = np.flatnonzero(mixed.texture[:, SIDE // 2, 2] > 128)
    moved = view.landmarks[list(OVAL), 1].mean() - front.landmarks[list(OVAL), 1].mean()
    assert rows.mean() == pytest.approx(stripe + moved * SIDE, abs=1.5)


def test_what_the_picture_of_the_view_does_not_show_comes_from_the_front() -> None:
    front, view = person((0, 200, 0)), person((200, 0, 0))
    mixed = on_front_body(view, (0.0, 0.2, 1.0, 1.0), front, WHOLE)
    middle = SIDE // 2
    assert tuple(mixed.texture[SIDE // 10, middle]) == tuple(front.texture[SIDE // 10, middle])
    assert tuple(mixed.texture[middle, middle]) == tuple(view.texture[middle, middle])


def test_what_the_picture_of_the_front_does_not_show_stays_the_view() -> None:
    front, view = person((0, 200, 0)), person((200, 0, 0))
    mixed = on_front_body(view, WHOLE, front, (0.0, 0.0, 1.0, 0.7))
    middle = SIDE // 2
    assert tuple(mixed.texture[SIDE * 9 // 10, middle]) == tuple(view.texture[SIDE * 9 // 10, middle])


# Into the identity


def identity_of(front: View) -> Identity:
    return replace(
        made_identity(),
        picture=np.zeros((300, 300, 3), np.uint8),
        crop=Crop(10, 10, SIDE),
        plate=np.zeros((SIDE, SIDE, 3), np.uint8),
        views=(front,),
        conditioning=Conditioning("live", "0" * 64, {"psi": np.ones(3, np.float32)}),
    )


def taken(view: View) -> TakenApart:
    return TakenApart(view, Crop(0, 0, 300), view.texture, WHOLE)


def test_a_further_view_is_stored_no_larger_than_the_front() -> None:
    identity = identity_of(person())
    big = person(turn=(0, 0.3, 0))
    layers = [resized(layer, 400) for layer in (big.texture, big.alpha, big.head)]
    two = with_view(identity, taken(replace(big, texture=layers[0], alpha=layers[1], head=layers[2])))
    assert [view.texture.shape[0] for view in two.views] == [SIDE, SIDE]
    assert two.front is identity.front and two.plate is identity.plate and two.crop == identity.crop
    np.testing.assert_array_equal(two.views[1].landmarks, big.landmarks)
    assert two.conditioning is None, "it was worked out of one view"
    assert len(with_view(two, taken(big)).views) == 3


def test_a_made_identity_of_three_views_is_moved() -> None:
    identity = identity_of(person())
    for turn in (-0.4, 0.4):
        identity = with_view(identity, taken(person(turn=(0, turn, 0))))
    still = Motion(identity.front.landmarks, np.eye(3, 4, dtype=np.float32), np.zeros(2, np.float32), 0.0)
    assert Warper(identity, 200)(still, 0).person.shape == (200, 200, 3)


# Real pictures


@pytest.fixture
def darker(astronaut: U8) -> U8:
    """The astronaut mirrored, farther away and in less light."""
    small = cv2.resize(astronaut[:, ::-1], (440, 440), interpolation=cv2.INTER_AREA)
    return np.asarray(small * 0.85, np.uint8)


def test_two_pictures_of_the_astronaut(astronaut_identity: Identity, darker: U8) -> None:
    two = add_pictures(astronaut_identity, [("darker.jpg", darker)])
    front, other = two.views
    assert other.texture.shape[0] <= front.texture.shape[0]

    def skin(view: View) -> float:
        x, y = (view.landmarks[[50, 280], :2].mean(axis=0) * view.texture.shape[0]).astype(int)
        return float(view.texture[y - 4 : y + 5, x - 4 : x + 5].mean())

    assert skin(other) == pytest.approx(skin(front), rel=0.08)


def test_pictures_that_will_not_do_are_named(astronaut_identity: Identity, astronaut: U8) -> None:
    wall = np.full((200, 300, 3), 128, np.uint8)
    with pytest.raises(NoFaceError, match=r"^wall\.png: no face found"):
        add_pictures(astronaut_identity, [("wall.png", wall)])
    pair = np.full((512, 1024, 3), 120, np.uint8)
    pair[:, :512] = pair[:, 512:] = astronaut
    with pytest.raises(SeveralFacesError, match=r"^pair\.png: .* 2 faces; .* alone") as caught:
        add_pictures(astronaut_identity, [("pair.png", pair)])
    assert len(caught.value.boxes) == 2


def test_another_person_is_no_reason_to_stop(
    astronaut_identity: Identity, carphone_frames: list[U8], selfie_segmenter_path: Path
) -> None:
    two = add_pictures(astronaut_identity, [("man.png", carphone_frames[0])])
    assert len(two.views) == 2
