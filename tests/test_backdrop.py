"""Another background: the person stays as she was, the old wall is gone, and the new one stands still."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.identity.backdrop import before_backdrop, covering, own_blurred
from avatar.pipeline import Renderer, enroll_picture
from avatar.records import U8, Face, Frame, Identity, Observation
from avatar.retarget import Retargeter
from avatar.tools.placement import Mode
from avatar.track import PersonSegmenter

SIZE = (640, 360)
TEAL = (20, 120, 130)


def plain(colour: tuple[int, int, int] = TEAL) -> U8:
    return np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)


def resting(identity: Identity, mode: Mode = "extend") -> U8:
    """The frame of the portrait at rest."""
    renderer = Renderer(identity, size=SIZE, mode=mode, generator="warp")
    frame: Frame = renderer(Retargeter(identity)(Observation(None, 0, 0)), 0, 0)
    return frame.rgb


def change(one: U8, other: U8) -> float:
    """Mean absolute difference, 0..255."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())


@pytest.fixture(scope="module")
def before_teal(astronaut_identity: Identity) -> Identity:
    with PersonSegmenter() as segment:
        return before_backdrop(astronaut_identity, plain(), mode="extend", segment=segment)


def test_the_person_stays_and_the_wall_is_gone(astronaut_identity: Identity, before_teal: Identity) -> None:
    old, new = resting(astronaut_identity), resting(before_teal)
    assert new.shape == (SIZE[1], SIZE[0], 3)
    face, suit = np.s_[70:150, 280:350], np.s_[270:330, 220:380]
    assert change(new[face], old[face]) < 3
    assert change(new[suit], old[suit]) < 3
    for wall in (np.s_[10:100, 150:240], np.s_[10:100, 400:550], np.s_[:, :100], np.s_[:, -60:]):
        assert (new[wall] == np.array(TEAL)).all(), "nothing of the old wall"


def test_seams_of_the_head_crop_are_not_seen(before_teal: Identity) -> None:
    assert change(resting(before_teal), before_teal.picture) < 2


def test_it_stands_still_while_the_person_moves(before_teal: Identity, carphone_faces: list[Face]) -> None:
    retarget = Retargeter(before_teal)
    renderer = Renderer(before_teal, size=SIZE, generator="warp")
    moved = False
    for number, face in enumerate(carphone_faces[::8]):
        time_ns = number * 266_000_000
        frame = renderer(retarget(Observation(face, number, time_ns)), number, time_ns).rgb
        assert (frame[:40, :200] == np.array(TEAL)).all()
        assert (frame[:40, 440:] == np.array(TEAL)).all()
        moved |= change(frame[60:160, 260:370], before_teal.picture[60:160, 260:370]) > 2
    assert moved


def test_what_was_made_up_past_the_border_of_the_picture_is_not_shown(astronaut: U8) -> None:
    # The crop of this one hangs over on the left: there the enrolment mirrors the picture.
    identity = enroll_picture(np.ascontiguousarray(astronaut[:, 160:420]), name="cut")
    assert identity.crop.left < 0
    with PersonSegmenter() as segment:
        changed = before_backdrop(identity, plain(), mode="extend", segment=segment)
    shown = np.flatnonzero((changed.picture != np.array(TEAL)).any(axis=(0, 2)))
    frame = resting(changed)
    assert (frame[:, : shown[0]] == np.array(TEAL)).all()
    assert (frame[:, shown[-1] + 1 :] == np.array(TEAL)).all()


def test_other_people_go_with_the_wall(astronaut: U8) -> None:
    between = np.full((512, 300, 3), (190, 185, 178), np.uint8)
    two = np.concatenate([astronaut[:, :500], between, astronaut], axis=1)
    identity = enroll_picture(two, name="left one", face=1)
    with PersonSegmenter() as segment:
        changed = before_backdrop(identity, plain(), mode="fit", segment=segment)
    frame = resting(changed, "fit")
    assert (frame[:, 400:] == np.array(TEAL)).all(), "where the second one was"


def test_of_several_views_each_has_its_matte(astronaut: U8, astronaut_identity: Identity) -> None:
    from avatar.pipeline import add_pictures

    several = add_pictures(astronaut_identity, [("mirrored", np.ascontiguousarray(astronaut[:, ::-1]))])
    with PersonSegmenter() as segment:
        changed = before_backdrop(several, plain(), mode="extend", segment=segment)
    assert len(changed.views) == 2
    frame = resting(changed)
    assert (frame[10:100, 150:240] == np.array(TEAL)).all()


def test_its_own_background_blurred_is_without_the_person(astronaut_identity: Identity) -> None:
    with PersonSegmenter() as segment:
        blurred = own_blurred(astronaut_identity, SIZE, mode="extend", segment=segment)
    assert blurred.shape == (SIZE[1], SIZE[0], 3)
    orange = (blurred[..., 0] > 180) & (blurred[..., 2] < 70)
    assert not orange.any(), "her suit"
    grain = np.abs(np.diff(blurred.astype(np.int16), axis=1)).max()
    assert grain < 16
    assert blurred.std() > 10, "but not plain"


@pytest.mark.parametrize("shape", [(100, 100), (720, 1280), (50, 900), (2000, 300)])
def test_a_picture_covers_the_canvas(shape: tuple[int, int]) -> None:
    height, width = shape
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width)
    covered = covering(picture, SIZE)
    assert covered.shape == (SIZE[1], SIZE[0], 3)
    assert covered[180, 320, 0] == pytest.approx(127, abs=3)
