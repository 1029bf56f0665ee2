"""The inner mouth that the warp paints between opened lips."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_motions import driven, inside, rigid, rings
from made_people import Vector, made_identity

from avatar.records import F32, U8, Identity, Motion, View
from avatar.tools.facemesh import MOUTH
from avatar.tools.outlines import gap
from avatar.tools.scaling import resized
from avatar.warp import ViewWarper
from avatar.warp.mouth import InnerMouth

SIDES = (256, 512, 683)


def with_shut_lips() -> Identity:
    portrait = made_identity()
    shut = replace(portrait.front, landmarks=driven(portrait, {}).landmarks)
    assert gap(shut.landmarks, MOUTH) < 0.01
    return replace(portrait, views=(shut,))


def painted(view: View, side: int, motion: Motion, tone: int = 200) -> U8:
    """The inner mouth on a face of one tone."""
    rgb = np.full((side, side, 3), tone, np.uint8)
    InnerMouth(view, side).draw(rgb, motion)
    return rgb


def mouth_of(picture: U8, landmarks: F32) -> U8:
    """(N, 3), the pixels well between the lips."""
    return picture[inside(rings(landmarks, len(picture))["mouth"], len(picture), grown=-2)]


def test_an_open_mouth_of_a_portrait_with_shut_lips_is_dark_below_the_teeth() -> None:
    portrait = with_shut_lips()
    wide = driven(portrait, {"jawOpen": 1.0})
    rgb = painted(portrait.front, 400, wide, tone=190)
    shown = inside(rings(wide.landmarks, 400)["mouth"], 400, grown=-3)
    rows = np.flatnonzero(shown.any(axis=1))
    low = shown & (np.arange(400)[:, None] > rows[0] + 0.6 * len(rows))
    assert np.percentile(rgb[low].max(axis=1), 90) < 70
    outside = ~inside(rings(wide.landmarks, 400)["mouth"], 400, grown=6)
    assert (rgb[outside] == 190).all()


def test_shut_lips_are_left_alone() -> None:
    portrait = with_shut_lips()
    rgb = painted(portrait.front, 400, driven(portrait, {}), tone=190)
    assert (rgb == 190).all()


def test_lips_that_are_parted_in_the_picture_shut_to_a_thin_line(astronaut_identity: Identity) -> None:
    shut = driven(astronaut_identity, {})
    rgb = painted(astronaut_identity.front, 400, shut, tone=190)
    drawn = np.asarray((rgb < 180).any(axis=2))
    rows = np.flatnonzero(drawn[:, int(shut.landmarks[13, 0] * 400)])
    assert 1 <= len(rows) <= 8, "in the middle of the mouth"
    assert not drawn[~inside(rings(shut.landmarks, 400)["mouth"], 400, grown=4)].any()


def test_the_mouth_opens_with_the_jaw(astronaut_identity: Identity) -> None:
    areas = []
    for jaw in (0.2, 0.5, 1.0):
        motion = driven(astronaut_identity, {"jawOpen": jaw})
        rgb = painted(astronaut_identity.front, 400, motion, tone=120)
        areas.append(int((rgb != 120).any(axis=2).sum()))
    assert areas[0] > 100 and areas[1] > 1.3 * areas[0] and areas[2] > 1.3 * areas[1]


@pytest.mark.parametrize("side", SIDES)
def test_opened_lips_show_the_pictures_own_teeth(astronaut_identity: Identity, side: int) -> None:
    motion = rigid(astronaut_identity)
    rgb = ViewWarper(astronaut_identity.front, side)(motion).person
    own = mouth_of(resized(astronaut_identity.front.texture, side), motion.landmarks).min(axis=1)
    shown = mouth_of(rgb, motion.landmarks).min(axis=1)
    assert np.percentile(shown, 95) > 0.9 * np.percentile(own, 95)


def test_teeth_stay_with_the_head_while_the_lip_moves(astronaut_identity: Identity) -> None:
    """Where they show at both openings they are the same pixels."""
    pictures, masks = [], []
    for jaw in (0.35, 0.8):
        motion = driven(astronaut_identity, {"jawOpen": jaw})
        still = Motion(motion.landmarks, np.eye(3, 4, dtype=np.float32), motion.blink, motion.jaw_open)
        pictures.append(painted(astronaut_identity.front, 512, still).astype(int))
        masks.append(inside(rings(motion.landmarks, 512)["mouth"], 512, grown=-4))
    both = masks[0] & masks[1]
    assert both.sum() > 120
    assert np.abs(pictures[0] - pictures[1])[both].max() <= 2
    assert pictures[0][both].std() > 20, "there is something to see"


def test_teeth_move_with_the_head(astronaut_identity: Identity) -> None:
    one, two = (
        painted(astronaut_identity.front, 512, rigid(astronaut_identity, shift=shift))
        for shift in ((0, 0, 0), (20 / 512, 8 / 512, 0))
    )
    moved = cv2.warpAffine(one, np.array([[1, 0, 20], [0, 1, 8]], np.float32), (512, 512))
    within = inside(
        rings(rigid(astronaut_identity, shift=(20 / 512, 8 / 512, 0)).landmarks, 512)["mouth"], 512
    )
    assert np.abs(two[within].astype(int) - moved[within]).mean() < 3
    assert np.abs(two[within].astype(int) - one[within]).mean() > 30


@pytest.mark.parametrize("turn", [(0, 0.3, 0), (0, -0.3, 0), (0.25, 0, 0)])
def test_teeth_stay_behind_the_lips_of_a_turned_head(astronaut_identity: Identity, turn: Vector) -> None:
    """They turn about the middle of the head, at the depth of the mouth."""
    places = []
    for motion in (rigid(astronaut_identity), rigid(astronaut_identity, turn=turn)):
        rgb = painted(astronaut_identity.front, 512, motion, tone=120)
        mouth = rings(motion.landmarks, 512)["mouth"]
        rows, columns = np.nonzero((rgb.min(axis=2) > 170) & inside(mouth, 512))
        places.append((columns.mean() - mouth[:, 0].mean(), rows.mean() - mouth[:, 1].mean()))
    np.testing.assert_allclose(places[1], places[0], atol=0.8)
