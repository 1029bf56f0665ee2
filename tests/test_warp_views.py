"""The warp of several views: which is taken when, and that the change of one for another is not seen."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from made_motions import rigid
from made_people import FACE_SCALE, Vector, made_face, made_identity, made_view

from avatar.records import F32, U8, Identity, Motion, View, Warped
from avatar.tools.looks import looks
from avatar.warp import ViewWarper, Warper
from avatar.warp.choice import FADE_NS, JUMP_NS, MARGIN, Choice, ViewChooser
from avatar.warp.warp import OTHER_SIDE

FRAME_NS = 33_333_333
SIDE = 200


def landmarks(turn: float = 0.0, **expression: float) -> F32:
    return made_face(expression, turn=(0, turn, 0), shift=(0.5, 0.5), scale=FACE_SCALE).landmarks


def view(turn: float = 0.0, shade: int | None = None, **expression: float) -> View:
    """A person of one grey, whose face is like that."""
    face = made_face(expression, turn=(0, turn, 0), shift=(0.5, 0.5), scale=FACE_SCALE)
    made = made_view(face)
    if shade is None:
        return made
    solid = np.full_like(made.alpha, 255)
    return replace(made, texture=np.full_like(made.texture, shade), alpha=solid, head=solid)


def chosen(chooser: ViewChooser, faces: list[F32], step_ns: int = FRAME_NS) -> list[tuple[Choice, Choice]]:
    return [chooser(face, number * step_ns) for number, face in enumerate(faces)]


# Which view


@pytest.mark.parametrize("wanted", range(4))
def test_the_view_that_is_most_like_the_wanted_face_is_taken(wanted: int) -> None:
    faces = [landmarks(), landmarks(0.5), landmarks(jawOpen=0.8), landmarks(eyeBlinkLeft=1, eyeBlinkRight=1)]
    views = [view(), view(0.5), view(jawOpen=0.8), view(eyeBlinkLeft=1, eyeBlinkRight=1)]
    best, second = ViewChooser(views)(faces[wanted], 0)
    assert best == Choice(wanted)
    far = [float(np.linalg.norm(looks(face) - looks(faces[wanted]))) for face in faces]
    assert second == Choice(int(np.argsort(far)[1]))


def test_place_size_and_roll_of_the_head_change_nothing() -> None:
    views = [view(), view(0.5), view(jawOpen=0.8)]
    moved = made_face({"jawOpen": 0.8}, turn=(0, 0, 0.4), shift=(0.7, 0.3), scale=2 * FACE_SCALE).landmarks
    assert ViewChooser(views)(moved, 0)[0].view == 2


def test_a_face_that_trembles_between_two_views_keeps_its_view() -> None:
    chooser = ViewChooser([view(-0.2), view(0.2)])
    random = np.random.default_rng(1)
    faces = [landmarks(turn) for turn in random.uniform(-0.2, 0.2, 60) * MARGIN]
    choices = chosen(chooser, faces)
    assert len({best.view for best, _ in choices}) == 1
    assert all(best.before is None for best, _ in choices)


def test_a_face_that_goes_over_changes_its_view_once() -> None:
    chooser = ViewChooser([view(-0.2), view(0.2)])
    choices = chosen(chooser, [landmarks(turn) for turn in np.linspace(-0.2, 0.2, 40)])
    views = [best.view for best, _ in choices]
    assert views == sorted(views) and set(views) == {0, 1}
    assert [second.view for _, second in choices] == [1 - best.view for best, _ in choices]


# The change


def test_a_change_takes_a_tenth_of_a_second_and_rises_at_once() -> None:
    chooser = ViewChooser([view(-0.3), view(0.3)])
    choices = chosen(chooser, [landmarks(-0.3)] * 3 + [landmarks(0.3)] * 10, step_ns=FADE_NS // 5)
    shares = [best.share for best, _ in choices[3:]]
    assert choices[2][0] == Choice(0)
    assert [best.before for best, _ in choices[3:7]] == [0] * 4
    assert 0 < shares[0] < 0.2 and all(a < b for a, b in pairwise(shares[:5]))
    assert all(best == Choice(1) for best, _ in choices[7:])


def test_during_a_change_there_is_no_other() -> None:
    chooser = ViewChooser([view(-0.5), view(), view(0.5)])
    faces = [landmarks(-0.5), landmarks(), landmarks(0.5), landmarks(-0.5), landmarks(), landmarks(0.5)]
    for best, second in chosen(chooser, faces * 4, step_ns=FADE_NS // 4):
        assert best.view != second.view
        assert best.before != best.view and second.before != second.view


def test_the_same_sequence_gives_the_same_views() -> None:
    random = np.random.default_rng(4)
    faces = [landmarks(turn, jawOpen=jaw) for turn, jaw in random.uniform(0, 0.6, (50, 2))]
    runs = [chosen(ViewChooser([view(), view(0.4), view(jawOpen=0.6)]), faces) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("jump", [JUMP_NS, -1, -(10**12)])
def test_when_time_jumps_the_nearest_view_is_taken_at_once(jump: int) -> None:
    chooser = ViewChooser([view(-0.02), view(0.02), view(0.6)])
    start = 10**13
    assert chooser(landmarks(-0.02), start)[0] == Choice(0)
    assert chooser(landmarks(0.02), start + FRAME_NS)[0] == Choice(0), "nearer, but not by enough"
    assert chooser(landmarks(0.02), start + FRAME_NS + jump)[0] == Choice(1)


def test_frames_far_apart_change_at_once() -> None:
    chooser = ViewChooser([view(-0.3), view(0.3)])
    choices = chosen(chooser, [landmarks(-0.3), landmarks(0.3), landmarks(-0.3)], step_ns=2 * FADE_NS)
    assert [best for best, _ in choices] == [Choice(0), Choice(1), Choice(0)]


# The pixels


def identity_of(*views: View) -> Identity:
    return replace(made_identity(), views=views)


def motion(identity: Identity, turn: Vector = (0, 0, 0)) -> Motion:
    return rigid(identity, turn=turn)


def test_one_view_is_moved_as_ever(astronaut_identity: Identity) -> None:
    warped = Warper(astronaut_identity, 300)(motion(astronaut_identity), 0)
    plain = ViewWarper(astronaut_identity.front, 300)(motion(astronaut_identity))
    assert warped.other is None
    for layer in ("person", "alpha", "confidence"):
        np.testing.assert_array_equal(getattr(warped, layer), getattr(plain, layer))


def test_the_second_view_comes_small_beside_the_first() -> None:
    identity = identity_of(view(-0.3, 100), view(0.3, 200))
    warped = Warper(identity, SIDE)(motion(identity), 0)
    assert warped.person.shape == (SIDE, SIDE, 3)
    other = warped.other
    assert other is not None and other.other is None
    assert other.person.shape == (OTHER_SIDE, OTHER_SIDE, 3) and other.alpha.shape == (OTHER_SIDE, OTHER_SIDE)
    assert middle(warped.person) == pytest.approx(100, abs=1)
    assert middle(other.person) == pytest.approx(200, abs=1)


def middle(picture: U8) -> float:
    """The grey of the cheeks."""
    side = picture.shape[0]
    return float(np.median(picture[side * 5 // 10 : side * 6 // 10, side * 4 // 10 : side * 6 // 10]))


def test_a_change_mixes_the_pixels_and_ends() -> None:
    identity = identity_of(view(-0.3, 100), view(0.3, 200))
    warper = Warper(identity, SIDE)
    turns = [0.0] * 2 + [0.6] * 8
    frames: list[Warped] = [
        warper(motion(identity, (0, turn, 0)), number * FADE_NS // 4) for number, turn in enumerate(turns)
    ]
    greys = [middle(frame.person) for frame in frames]
    others = [middle(frame.other.person) for frame in frames if frame.other is not None]
    assert greys[:2] == pytest.approx([100, 100], abs=1)
    assert all(a <= b for a, b in pairwise(greys)) and len({round(grey / 10) for grey in greys[2:5]}) == 3
    assert greys[6:] == pytest.approx([200] * 4, abs=1)
    both = [grey + other for grey, other in zip(greys, others, strict=True)]
    assert both == pytest.approx([300] * 10, abs=3)
    for frame in frames:
        assert frame.person.dtype == frame.alpha.dtype == np.uint8 and frame.confidence.dtype == np.float32
        assert 0 <= frame.confidence.min() and frame.confidence.max() <= 1


def test_views_of_one_head_are_moved_onto_each_other(astronaut_identity: Identity) -> None:
    """The second view is the first, smaller and elsewhere in its crop: going over moves nothing."""
    front = astronaut_identity.front
    side = front.texture.shape[0]
    shrunk = np.array([[0.8, 0, 0.13 * side], [0, 0.8, 0.06 * side]], np.float32)
    layers = [
        np.asarray(cv2.warpAffine(layer, shrunk, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8)
        for layer in (front.texture, front.alpha, front.head)
    ]
    points = front.landmarks * np.float32(0.8)
    points[:, :2] += np.array([0.13, 0.06], np.float32) + np.float32(0.2 * 0.5 / side)
    second = View(layers[0], layers[1], layers[2], points, front.blendshapes, front.pose)
    still = motion(replace(astronaut_identity, views=(front, second)))
    own, other = ViewWarper(front, 300)(still), ViewWarper(second, 300, front)(still)
    face = np.s_[60:200, 90:210]
    assert np.abs(own.person[face].astype(int) - other.person[face]).mean() < 4


def test_thirty_two_views_are_ready_in_seconds(astronaut_identity: Identity) -> None:
    identity = replace(astronaut_identity, views=(astronaut_identity.front,) * 32)
    begin = time.process_time()
    Warper(identity, 512)
    assert time.process_time() - begin < 8
