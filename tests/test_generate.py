"""The generate stage without a network: layers laid over each other, and the inner mouth."""

from __future__ import annotations

import numpy as np
import pytest
from made_motions import driven, inside, rigid, rings
from made_people import blink

from avatar.generate import WarpGenerator
from avatar.pipeline import CROP_MAX, Renderer, crop_faces
from avatar.records import Identity, Warped
from avatar.tools.scaling import resized
from avatar.tools.stats import StageTimes
from avatar.warp import ViewWarper

SIDES = (256, 512, 683)


def flat_warped(side: int, alpha: int, tone: int = 200) -> Warped:
    """A person of one colour and one opacity."""
    return Warped(
        np.full((side, side, 3), tone, np.uint8),
        np.full((side, side), alpha, np.uint8),
        np.ones((8, 8), np.float32),
    )


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
    rgb = WarpGenerator(astronaut_identity, side)(
        ViewWarper(astronaut_identity.front, side)(motion), motion
    ).rgb
    alpha = resized(astronaut_identity.front.alpha, side)[..., None] / np.float32(255)
    texture, plate = (
        resized(layer, side) for layer in (astronaut_identity.front.texture, astronaut_identity.plate)
    )
    wanted = plate + alpha * (texture.astype(np.float32) - plate)
    outlines = rings(astronaut_identity.front.landmarks, side)
    room = max(2, side // 25)
    touched = np.any(
        [inside(outlines[k], side, grown=room) for k in ("right eye", "left eye", "mouth")], axis=0
    )
    touched[[0, -1]] = touched[:, [0, -1]] = True
    assert np.abs(rgb - wanted)[~touched].mean() < 0.6


def test_nothing_is_shared_between_calls(astronaut_identity: Identity) -> None:
    warper, generate = ViewWarper(astronaut_identity.front, 256), WarpGenerator(astronaut_identity, 256)
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
    warper, generate = ViewWarper(astronaut_identity.front, side), WarpGenerator(astronaut_identity, side)
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
    assert difference.mean() < 0.6  # 0.55 with the shipped networks, 0.09 of which are the warp's


def test_the_head_size_counts_the_face_not_the_crop(
    astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crop_faces(astronaut_identity) == pytest.approx(2.8, rel=0.05)
    asked: list[int] = []
    monkeypatch.setattr("avatar.pipeline.Warper", lambda identity, side, **_: asked.append(side))
    for size in (256, 512, 5000):
        Renderer(astronaut_identity, head_size=size, size=(4000, 3000), generator="warp")
    assert asked == pytest.approx([256 * 2.8 / 2.1, 512 * 2.8 / 2.1, CROP_MAX], rel=0.05)


def test_no_head_is_drawn_bigger_than_it_is_shown(astronaut_identity: Identity) -> None:
    def drawn(head: int, canvas: tuple[int, int], share: float = 1.0) -> int:
        renderer = Renderer(astronaut_identity, head_size=head, size=canvas, generator="warp", share=share)
        size: int = renderer.head_size
        return size

    shown = round(309 * 2.1 / crop_faces(astronaut_identity))
    assert drawn(512, (512, 512)) == pytest.approx(shown, abs=4)
    assert drawn(512, (1024, 1024)) == pytest.approx(2 * shown, abs=4)
    assert drawn(128, (1024, 1024)) == pytest.approx(128, abs=4)
    assert drawn(512, (512, 512), 0.5) == pytest.approx(shown / 2, abs=4)
    assert drawn(128, (1024, 1024), 0.5) == pytest.approx(64, abs=4)
