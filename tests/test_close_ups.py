"""Mouth and eyes cut out of a picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_people import made_face

from avatar.records import F32, U8, Frame
from avatar.tools.close_ups import CLOSE_UP, boxes_of, close_ups, cut_close_ups, observed
from avatar.tools.facemesh import EYES, OUTER_LIPS
from avatar.tools.window import head_window, to_window

Rings = dict[int, tuple[int, ...]]
RINGS: Rings = {0: OUTER_LIPS.ring, 1: EYES[0].ring, 2: EYES[1].ring}


def painted(landmarks: F32, size: tuple[int, int] = (640, 480)) -> U8:
    """Lips red, the right eye green, the left blue, each as bright as the others are not."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for part, colour in ((0, (255, 0, 0)), (1, (0, 160, 0)), (2, (0, 0, 255))):
        ring = np.round(landmarks[list(RINGS[part]), :2]).astype(np.int32)
        cv2.fillPoly(picture, [ring], colour)
    return picture


def middle(close_up: U8) -> tuple[float, float]:
    """Of what is bright."""
    rows, columns = np.nonzero(close_up > close_up.max() / 2)
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize("roll", [0.0, 0.5, -0.8])
@pytest.mark.parametrize("scale", [16.0, 60.0])
def test_each_part_lies_upright_in_the_middle_of_its_close_up(roll: float, scale: float) -> None:
    face = made_face({"jawOpen": 0.5}, turn=(0.0, 0.0, roll), shift=(320, 240), scale=scale)
    found = close_ups(painted(face.landmarks), face.landmarks)
    assert found.shape == (3, CLOSE_UP, CLOSE_UP) and found.dtype == np.uint8
    grey = (76, 94, 29)  # of the three colours
    for close_up, level in zip(found, grey, strict=True):
        assert abs(int(close_up[CLOSE_UP // 2, CLOSE_UP // 2]) - level) < 12
        column, row = middle(close_up)
        assert abs(column - 15.5) < 2 and abs(row - 15.5) < 2.5
        rows, columns = np.nonzero(close_up > close_up.max() / 2)
        assert np.ptp(columns) > np.ptp(rows)


def test_a_large_face_is_averaged_and_not_skipped_over() -> None:
    face = made_face(shift=(960, 540), scale=150)
    checked = np.indices((1080, 1920)).sum(axis=0) % 2 * 255
    found = close_ups(np.dstack([checked.astype(np.uint8)] * 3), face.landmarks)
    assert np.abs(found.astype(int) - 127).max() < 30


def test_a_face_at_the_border_is_cut_as_if_the_border_went_on() -> None:
    face = made_face(shift=(10, 10), scale=20)
    assert (close_ups(np.full((100, 100, 3), 90, np.uint8), face.landmarks) == 90).all()


def test_a_close_up_shows_what_its_box_holds() -> None:
    """Pixel by pixel against the definition: a ramp tells where each value comes from."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    window = np.array([[128.0, 0, 64], [0, 128, 64]], np.float32)
    boxes = np.array([[0.5, 0.5, 0.25]] * 3, np.float32)
    found = cut_close_ups(np.dstack([ramp] * 3), window, boxes)
    wanted = 64 + 128 * (0.375 + 0.25 * (np.arange(CLOSE_UP) + 0.5) / CLOSE_UP)
    assert np.abs(found[0].astype(float) - wanted).max() <= 0.75


def test_boxes_are_wider_than_what_they_hold_in_any_unit() -> None:
    face = made_face({"jawOpen": 1.0}, shift=(320, 240), scale=60)
    window = head_window(face.landmarks)
    boxes = boxes_of(to_window(face.landmarks[:, :2], window))
    for part, (x, y, side) in enumerate(boxes.tolist()):
        points = to_window(face.landmarks[list(RINGS[part]), :2], window)
        assert (np.abs(points[:, 0] - x) < side / 2).all() and (np.abs(points[:, 1] - y) < side / 2).all()


def test_a_frame_without_a_face_shows_nothing_of_it() -> None:
    frame = Frame(np.zeros((480, 640, 3), np.uint8), 7, 11)
    assert observed(None, frame).close_ups is None
    face = made_face(shift=(320, 240), scale=40)
    seen = observed(face, frame)
    assert (seen.face, seen.index, seen.captured_ns) == (face, 7, 11)
    assert seen.close_ups is not None and seen.close_ups.shape == (3, CLOSE_UP, CLOSE_UP)
