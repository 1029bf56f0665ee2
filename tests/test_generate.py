"""The generate stage without a network: layers laid over each other, and the inner mouth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_motions import inside, rigid, rings
from made_people import Vector, blink, made_face, made_identity

from avatar.generate import WarpGenerator
from avatar.pipeline import CROP_MAX, Renderer, crop_faces
from avatar.records import F32, U8, Identity, Motion, Observation, Warped
from avatar.retarget import Retargeter
from avatar.tools.facemesh import MOUTH
from avatar.tools.outlines import gap
from avatar.tools.scaling import resized
from avatar.tools.stats import StageTimes
from avatar.warp import Warper

SIDES = (256, 512, 683)


def flat_warped(side: int, alpha: int, tone: int = 200) -> Warped:
    """A person of one colour and one opacity."""
    return Warped(
        np.full((side, side, 3), tone, np.uint8),
        np.full((side, side), alpha, np.uint8),
        np.ones((8, 8), np.float32),
    )


def driven(identity: Identity, expression: dict[str, float]) -> Motion:
    """The portrait with an expression, its lips shut when it is empty."""
    retarget = Retargeter(identity, smoothing=0)
    retarget.prepare([made_face()])
    face = made_face(expression)
    if not expression:
        for upper, lower in MOUTH.pairs:
            face.landmarks[[upper, lower]] = (face.landmarks[upper] + face.landmarks[lower]) / 2
    return retarget(Observation(face, 0, 0))


def mouth_of(picture: U8, landmarks: F32) -> U8:
    """(N, 3), the pixels well between the lips."""
    return picture[inside(rings(landmarks, len(picture))["mouth"], len(picture), grown=-2)]


@pytest.mark.parametrize("alpha", [0, 64, 128, 255])
def test_the_person_covers_the_plate_by_its_alpha(astronaut_identity: Identity, alpha: int) -> None:
    shut = driven(astronaut_identity, {})
    rgb = WarpGenerator(astronaut_identity, 300)(flat_warped(300, alpha), shut).rgb
    plate = resized(astronaut_identity.plate, 300).astype(np.float32)
    wanted = plate + alpha / 255 * (200 - plate)
    assert rgb.dtype == np.uint8 and rgb.shape == (300, 300, 3)
    lips = inside(rings(shut.landmarks, 300)["mouth"], 300, grown=5)
    assert np.abs(rgb - wanted)[~lips].max() <= 1


@pytest.mark.parametrize("side", SIDES)
def test_the_portrait_at_rest_is_the_picture(astronaut_identity: Identity, side: int) -> None:
    motion = rigid(astronaut_identity)
    rgb = WarpGenerator(astronaut_identity, side)(Warper(astronaut_identity, side)(motion), motion).rgb
    alpha = resized(astronaut_identity.alpha, side)[..., None] / np.float32(255)
    texture, plate = (
        resized(layer, side) for layer in (astronaut_identity.texture, astronaut_identity.plate)
    )
    wanted = plate + alpha * (texture.astype(np.float32) - plate)
    outlines = rings(astronaut_identity.landmarks, side)
    room = max(2, side // 25)
    touched = np.any(
        [inside(outlines[k], side, grown=room) for k in ("right eye", "left eye", "mouth")], axis=0
    )
    touched[[0, -1]] = touched[:, [0, -1]] = True
    assert np.abs(rgb - wanted)[~touched].mean() < 0.6


def test_an_open_mouth_of_a_portrait_with_shut_lips_is_dark_below_the_teeth() -> None:
    portrait = made_identity()
    portrait = replace(portrait, landmarks=driven(portrait, {}).landmarks)
    assert gap(portrait.landmarks, MOUTH) < 0.01
    wide = driven(portrait, {"jawOpen": 1.0})
    generate = WarpGenerator(portrait, 400)
    rgb = generate(flat_warped(400, 255, tone=190), wide).rgb
    shown = inside(rings(wide.landmarks, 400)["mouth"], 400, grown=-3)
    rows = np.flatnonzero(shown.any(axis=1))
    low = shown & (np.arange(400)[:, None] > rows[0] + 0.6 * len(rows))
    assert np.percentile(rgb[low].max(axis=1), 90) < 70
    outside = ~inside(rings(wide.landmarks, 400)["mouth"], 400, grown=6)
    assert (rgb[outside] == 190).all()


def test_shut_lips_are_left_alone() -> None:
    portrait = made_identity()
    portrait = replace(portrait, landmarks=driven(portrait, {}).landmarks)
    rgb = WarpGenerator(portrait, 400)(flat_warped(400, 255, tone=190), driven(portrait, {})).rgb
    assert (rgb == 190).all()


def test_lips_that_are_parted_in_the_picture_shut_to_a_thin_line(astronaut_identity: Identity) -> None:
    shut = driven(astronaut_identity, {})
    rgb = WarpGenerator(astronaut_identity, 400)(flat_warped(400, 255, tone=190), shut).rgb
    drawn = np.asarray((rgb < 180).any(axis=2))
    rows = np.flatnonzero(drawn[:, int(shut.landmarks[13, 0] * 400)])
    assert 1 <= len(rows) <= 8, "in the middle of the mouth"
    assert not drawn[~inside(rings(shut.landmarks, 400)["mouth"], 400, grown=4)].any()


def test_the_mouth_opens_with_the_jaw(astronaut_identity: Identity) -> None:
    generate, areas = WarpGenerator(astronaut_identity, 400), []
    for jaw in (0.2, 0.5, 1.0):
        rgb = generate(flat_warped(400, 255, tone=120), driven(astronaut_identity, {"jawOpen": jaw})).rgb
        areas.append(int((rgb != 120).any(axis=2).sum()))
    assert areas[0] > 100 and areas[1] > 1.3 * areas[0] and areas[2] > 1.3 * areas[1]


@pytest.mark.parametrize("side", SIDES)
def test_opened_lips_show_the_pictures_own_teeth(astronaut_identity: Identity, side: int) -> None:
    motion = rigid(astronaut_identity)
    rgb = WarpGenerator(astronaut_identity, side)(Warper(astronaut_identity, side)(motion), motion).rgb
    own = mouth_of(resized(astronaut_identity.texture, side), motion.landmarks).min(axis=1)
    shown = mouth_of(rgb, motion.landmarks).min(axis=1)
    assert np.percentile(shown, 95) > 0.9 * np.percentile(own, 95)


def test_teeth_stay_with_the_head_while_the_lip_moves(astronaut_identity: Identity) -> None:
    """Where they show at both openings they are the same pixels."""
    generate, pictures, masks = WarpGenerator(astronaut_identity, 512), [], []
    for jaw in (0.35, 0.8):
        motion = driven(astronaut_identity, {"jawOpen": jaw})
        still = Motion(motion.landmarks, np.eye(3, 4, dtype=np.float32), motion.blink, motion.jaw_open)
        pictures.append(generate(flat_warped(512, 255), still).rgb.astype(int))
        masks.append(inside(rings(motion.landmarks, 512)["mouth"], 512, grown=-4))
    both = masks[0] & masks[1]
    assert both.sum() > 120
    assert np.abs(pictures[0] - pictures[1])[both].max() <= 2
    assert pictures[0][both].std() > 20, "there is something to see"


def test_teeth_move_with_the_head(astronaut_identity: Identity) -> None:
    generate = WarpGenerator(astronaut_identity, 512)
    one, two = (
        generate(flat_warped(512, 255), rigid(astronaut_identity, shift=shift)).rgb
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
    generate, places = WarpGenerator(astronaut_identity, 512), []
    for motion in (rigid(astronaut_identity), rigid(astronaut_identity, turn=turn)):
        rgb = generate(flat_warped(512, 255, tone=120), motion).rgb
        mouth = rings(motion.landmarks, 512)["mouth"]
        rows, columns = np.nonzero((rgb.min(axis=2) > 170) & inside(mouth, 512))
        places.append((columns.mean() - mouth[:, 0].mean(), rows.mean() - mouth[:, 1].mean()))
    np.testing.assert_allclose(places[1], places[0], atol=0.8)


def test_nothing_is_shared_between_calls(astronaut_identity: Identity) -> None:
    warper, generate = Warper(astronaut_identity, 256), WarpGenerator(astronaut_identity, 256)
    smile, shout = rigid(astronaut_identity), driven(astronaut_identity, {"jawOpen": 1.0})
    warped = warper(smile)
    kept = warped.person.copy()
    one = generate(warped, smile)
    first = one.rgb.copy()
    two = generate(warper(shout), shout)
    assert not np.shares_memory(one.rgb, two.rgb) and not np.shares_memory(one.rgb, warped.person)
    np.testing.assert_array_equal(one.rgb, first)
    np.testing.assert_array_equal(warped.person, kept)
    np.testing.assert_array_equal(generate(warper(smile), smile).rgb, first)


@pytest.mark.parametrize("side", [64, 100, 1024])
def test_wild_motions_give_whole_portraits(astronaut_identity: Identity, side: int) -> None:
    warper, generate = Warper(astronaut_identity, side), WarpGenerator(astronaut_identity, side)
    for motion in (
        rigid(astronaut_identity, shift=(3, 0, 0)),
        rigid(astronaut_identity, shift=(0.45, 0.3, 0), turn=(0.9, 0.9, 0.9)),
        rigid(astronaut_identity, scale=0.05),
        driven(astronaut_identity, {"jawOpen": 1.0} | blink(1.0)),
    ):
        rgb = generate(warper(motion), motion).rgb
        assert rgb.shape == (side, side, 3) and rgb.dtype == np.uint8 and rgb.flags.c_contiguous


# The pipeline


def test_the_renderer_puts_the_stages_together(astronaut_identity: Identity) -> None:
    times = StageTimes()
    render = Renderer(astronaut_identity, head_size=256, size=(640, 360), times=times)
    frame = render(rigid(astronaut_identity), 7, 1234)
    assert (frame.index, frame.captured_ns, frame.rgb.shape) == (7, 1234, (360, 640, 3))
    assert render.size == (640, 360)
    assert set(times.summary()) == {"warp", "generate", "composite"}


def test_in_its_own_size_a_resting_portrait_is_the_picture(astronaut_identity: Identity) -> None:
    frame = Renderer(astronaut_identity, head_size=None)(rigid(astronaut_identity), 0, 0)
    crop = astronaut_identity.crop
    picture = astronaut_identity.picture
    difference = np.abs(frame.rgb.astype(int) - picture)
    outside = np.ones(picture.shape[:2], bool)
    outside[max(crop.top, 0) : crop.top + crop.side, crop.left : crop.left + crop.side] = False
    assert (difference[outside] == 0).all()
    assert difference.mean() < 0.5


def test_the_head_size_counts_the_face_not_the_crop(
    astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crop_faces(astronaut_identity) == pytest.approx(2.8, rel=0.05)
    asked: list[int] = []
    monkeypatch.setattr("avatar.pipeline.Warper", lambda identity, side: asked.append(side))
    for size in (256, 512, 5000):
        Renderer(astronaut_identity, head_size=size)
    assert asked == pytest.approx([256 * 2.8 / 2.1, 512 * 2.8 / 2.1, CROP_MAX], rel=0.05)
