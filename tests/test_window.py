"""The window that follows the head, and the drawing of landmarks in it."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.records import F32
from avatar.tools.drawing import CHANNELS, Style, draw_landmarks
from avatar.tools.facemesh import HEAD_FACES, MOUTH, OVAL, face_height, face_model
from avatar.tools.geometry import Similarity, rotation_from_vector
from avatar.tools.window import cut_window, head_window, in_pixels, to_window


def face_at(turn: tuple[float, float, float], scale: float = 0.12, x: float = 0.5, y: float = 0.49) -> F32:
    """The average face, turned (pitch, yaw, roll) [rad], crop units."""
    pose = Similarity(
        scale, rotation_from_vector(np.array(turn, np.float32)), np.array([x, y, 0], np.float32)
    )
    return pose(face_model().mean)


def test_an_upright_face_lies_in_the_middle_at_its_size() -> None:
    face = face_at((0, 0, 0))
    window = head_window(face)
    seen = to_window(face[:, :2], window)
    assert seen[list(OVAL)].mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.01)
    assert face_height(np.column_stack([seen, face[:, 2] / window[0, 0]])) == pytest.approx(
        1 / HEAD_FACES, rel=0.01
    )


@pytest.mark.parametrize("roll", [-0.6, 0.3, 1.2])
def test_a_rolled_head_is_seen_upright_and_a_moved_one_in_the_middle(roll: float) -> None:
    still = face_at((0, 0, 0))
    moved = face_at((0, 0, roll), scale=0.2, x=0.3, y=0.7)
    seen = [to_window(face[:, :2], head_window(face)) for face in (still, moved)]
    assert seen[1] == pytest.approx(seen[0], abs=2e-3)


def test_an_opening_mouth_does_not_move_the_window() -> None:
    face = face_at((0, 0, 0))
    open_wide = face.copy()
    open_wide[list(MOUTH.lower[1:-1]), 1] += 0.05
    assert head_window(open_wide) == pytest.approx(head_window(face), abs=2e-3)


def test_the_window_cuts_what_it_says() -> None:
    x = np.linspace(0, 255, 300)
    picture = np.stack(np.meshgrid(x, x), axis=-1).astype(np.uint8)
    window = np.array([[0.5, 0, 0.2], [0, 0.5, 0.3]], np.float32)
    cut = cut_window(picture, window, 100)
    middle = (np.array([49.5, 49.5]) + 0.5) / 100 @ window[:, :2].T + window[:, 2]
    assert cut[49:51, 49:51].mean(axis=(0, 1)) == pytest.approx(middle * 300 / 299 * 255, abs=2)


def test_pixels_of_window_and_crop_agree_at_their_middles() -> None:
    window = np.array([[0.5, -0.1, 0.2], [0.1, 0.5, 0.3]], np.float32)
    matrix = in_pixels(window, 256, 683)
    at = np.array([10.0, 200.0])
    crop = ((at + 0.5) / 256) @ window[:, :2].T + window[:, 2]
    assert matrix[:, :2] @ at + matrix[:, 2] == pytest.approx(crop * 683 - 0.5, abs=1e-3)


@pytest.mark.parametrize("style", ["layers", "coloured"])
def test_the_drawing_has_its_channels_and_shows_the_face(style: Style) -> None:
    face = face_at((0, 0.3, 0))
    drawing = draw_landmarks(face, head_window(face), 128, style)
    assert drawing.shape == (128, 128, CHANNELS[style]) and drawing.dtype == np.uint8
    paper = drawing[0, 0]
    rows, columns = np.nonzero((drawing != paper).any(axis=-1))
    assert abs(rows.mean() - 60) < 12 and abs(columns.mean() - 64) < 8
    assert np.ptp(rows) == pytest.approx(128 / HEAD_FACES, rel=0.1)


def test_an_open_mouth_is_a_filled_shape() -> None:
    face = face_at((0, 0, 0))
    wide = face.copy()
    wide[list(MOUTH.lower[1:-1]), 1] += 0.04
    shut, opened = (draw_landmarks(f, head_window(f), 256)[..., 1].sum() / 255 for f in (face, wide))
    assert opened > 3 * shut
