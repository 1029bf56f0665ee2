"""Which frames of a clip are enrolled, and how."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made_clips import write_clip
from made_people import blink, made_face

from avatar.errors import NoFaceError, VideoError
from avatar.identity import clip as clips
from avatar.identity.clip import Seen, choose_shots, enroll_shots, look_through
from avatar.pipeline import enroll_clip
from avatar.records import F32, U8, Face, Frame, Identity, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import face_height
from avatar.warp import Warper

FPS = 25.0


def seen(number: int, face: Face, sharp: float = 10.0) -> Seen:
    return Seen(number, number / FPS, face, sharp)


def held(*faces: Face, frames: int = 6) -> list[Seen]:
    """Each face is held for some frames, so that nothing moves fast while it is."""
    return [seen(i * frames + j, face) for i, face in enumerate(faces) for j in range(frames)]


CALM = made_face()
OPEN = made_face({"jawOpen": 0.8})
SMILE = made_face({"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8})
SHUT = made_face(blink(1.0))
LEFT, RIGHT = made_face(turn=(0, 0.5, 0)), made_face(turn=(0, -0.5, 0))


def faces_of(shots: list[Seen]) -> list[Face]:
    return [shot.face for shot in shots]


# Which frames


@pytest.mark.parametrize("faces", [(OPEN, CALM, LEFT), (SMILE, SHUT, CALM), (LEFT, RIGHT, OPEN, CALM)])
def test_the_front_is_a_calm_face(faces: tuple[Face, ...]) -> None:
    assert choose_shots(held(*faces), 3)[0].face is CALM


def test_the_widest_range_is_kept() -> None:
    tired = made_face({"jawOpen": 0.1, **blink(0.1)})
    clip = held(CALM, tired, OPEN, tired, SHUT, LEFT, tired, RIGHT)
    found = faces_of(choose_shots(clip, 5))
    assert found[0] is CALM
    assert all(any(face is wanted for face in found) for wanted in (OPEN, SHUT, LEFT, RIGHT))
    assert len(choose_shots(clip, 3)) == 3


def test_a_clip_that_shows_one_face_gives_one_view() -> None:
    assert len(choose_shots(held(CALM, frames=50), 8)) == 1


def test_blurred_frames_are_left_out() -> None:
    clip = held(CALM, LEFT, OPEN)
    clip = [Seen(s.number, s.seconds, s.face, 5.0 if s.face is OPEN else 10.0) for s in clip]
    assert OPEN not in faces_of(choose_shots(clip, 8))
    assert LEFT in faces_of(choose_shots(clip, 8))


def test_frames_of_fast_motion_are_left_out() -> None:
    """The face jumps and comes back within a frame."""
    clip = held(CALM, LEFT)
    passing = made_face({"jawOpen": 0.8}, shift=(380, 240))
    clip[3] = seen(3, passing)
    assert passing not in faces_of(choose_shots(clip, 8))


def test_of_frames_alike_the_sharpest_is_taken() -> None:
    clip = [seen(s.number, s.face, 10.0 + (s.number == 8)) for s in held(CALM, LEFT)]
    assert [shot.number for shot in choose_shots(clip, 2)][1] == 8


def test_faces_cut_by_the_border_or_too_small_are_left_out() -> None:
    cut = made_face({"jawOpen": 0.8}, shift=(20, 240))
    tiny = made_face({"jawOpen": 0.8}, scale=5)
    assert {shot.face for shot in choose_shots(held(CALM, cut, tiny), 8)} == {CALM}
    for faces in ([cut], [tiny], []):
        with pytest.raises(NoFaceError, match="no frame of the clip"):
            choose_shots(held(*faces), 8)


def test_a_clip_that_never_rests_is_better_than_none() -> None:
    moving = [made_face(shift=(200 + 15 * i, 240)) for i in range(12)]
    assert choose_shots([seen(i, face) for i, face in enumerate(moving)], 4)


def test_a_single_frame_does() -> None:
    assert faces_of(choose_shots([seen(4, SMILE)], 8)) == [SMILE]


# Looking through


def frames(count: int) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(np.full((480, 640, 3), number % 256, np.uint8), number, 10**9 + number * 40_000_000)


def test_frames_without_a_face_are_passed_over() -> None:
    told: list[tuple[str, int, int | None]] = []
    found = look_through(
        frames(6),
        lambda frame: CALM if frame.index % 2 else None,
        progress=lambda *line: told.append(line),
        total=6,
    )
    assert [one.number for one in found] == [1, 3, 5]
    assert [one.seconds for one in found] == pytest.approx([0.04, 0.12, 0.2])
    assert told == [("track", number + 1, 6) for number in range(6)]


def test_a_long_clip_is_looked_at_here_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "FRAMES_MAX", 10)
    asked: list[int] = []

    def track(frame: Frame) -> Face:
        asked.append(frame.index)
        return CALM

    found = look_through(frames(95), track)
    assert 10 <= len(found) < 20
    assert len({later.number - one.number for one, later in pairwise(found)}) == 1
    assert found[-1].number > 80 and len(asked) < 50


# Into an identity


def ellipse(rgb: U8) -> F32:
    side = rgb.shape[0]
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    return np.asarray(np.clip((0.35 - np.hypot(x, y * 0.8)) * 20 + 0.5, 0, 1), np.float32)


def enrolled(shots: list[Seen], found: list[Face]) -> Identity:
    return enroll_shots(frames(60), shots, name="someone", find=lambda rgb: found, segment=ellipse)


def test_the_front_may_come_last() -> None:
    shots = [seen(40, CALM), seen(3, LEFT), seen(20, OPEN)]
    told: list[tuple[str, int, int | None]] = []

    def tell(what: str, done: int, total: int | None) -> None:
        told.append((what, done, total))

    identity = enroll_shots(frames(60), shots, name="x", find=lambda rgb: [], segment=ellipse, progress=tell)
    assert (identity.picture == 40).all(), "the picture is the front's frame"
    assert len(identity.views) == 3
    for view, shot in zip(identity.views, shots, strict=True):
        scale = face_height(view.landmarks) / face_height(shot.face.landmarks)
        moved = view.landmarks - view.landmarks.mean(axis=0)
        wanted = (shot.face.landmarks - shot.face.landmarks.mean(axis=0)) * scale
        np.testing.assert_allclose(moved, wanted, atol=0.01)
    assert max(view.texture.shape[0] for view in identity.views) == identity.front.texture.shape[0]
    assert told == [("enroll", 1, 3), ("enroll", 2, 3), ("enroll", 3, 3)]


def test_a_face_found_in_the_frame_is_more_exact_than_the_followed_one() -> None:
    near = made_face({"jawOpen": 0.05}, shift=(322, 240))
    stranger = made_face(shift=(120, 200))
    assert enrolled([seen(5, CALM)], [stranger, near]).front.blendshapes is near.blendshapes
    assert enrolled([seen(5, CALM)], [stranger]).front.blendshapes is CALM.blendshapes
    assert enrolled([seen(5, CALM)], []).front.blendshapes is CALM.blendshapes


def test_a_clip_that_does_not_give_its_frames_again_is_refused() -> None:
    with pytest.raises(NoFaceError, match="same frames again"):
        enrolled([seen(99, CALM)], [])


# A real clip


def test_the_man_in_the_car(
    carphone_path: Path, carphone_faces: list[Face], selfie_segmenter_path: Path
) -> None:
    made = enroll_clip(carphone_path, name="man", shots=4)
    identity = made.identity
    assert 2 <= len(identity.views) <= 4 and made.flaw is None
    assert identity.picture.shape == (144, 176, 3)
    assert made.front_seconds == pytest.approx(made.front / 30, abs=0.05)
    warp = Warper(identity, 200)
    retarget = Retargeter(identity, mode="absolute", smoothing=0)
    for number in range(0, 120, 20):
        stamp = number * 33_333_333
        warped = warp(retarget(Observation(carphone_faces[number], number, stamp)), stamp)
        assert warped.person.shape == (200, 200, 3) and warped.other is not None


def test_clips_that_cannot_be_read_are_named(tmp_path: Path, face_landmarker_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        enroll_clip(tmp_path / "text.mp4", name="x")


def test_a_clip_without_a_face_is_named(tmp_path: Path, face_landmarker_path: Path) -> None:
    path = write_clip(tmp_path / "cells.mp4", 5)
    with pytest.raises(NoFaceError, match=r"cells\.mp4: no frame of the clip"):
        enroll_clip(path, name="x")
