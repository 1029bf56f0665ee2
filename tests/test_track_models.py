"""The parts around the networks of the face tracker: regions, guesses, poses, smoothing, files."""

from __future__ import annotations

import struct
import zipfile
from math import pi
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.errors import ModelError
from avatar.records import F32, LANDMARKS, U8
from avatar.track import detector
from avatar.track.geometry import METADATA, SKIN, VIEW_HEIGHT, Geometry
from avatar.track.litert import Network, read_bundle
from avatar.track.mesh import region_of
from avatar.track.region import Region
from avatar.track.smoothing import Smoother


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_a_point_of_a_sample_is_found_in_the_picture(angle: float) -> None:
    region = Region(130, 90, 80, 40, angle)
    places = np.array([[0.25, 0.25, 0.1], [0.75, 0.5, 0], [0.5, 0.875, 0]], np.float32)
    for place, (x, y) in zip(places, region.to_picture(places)[:, :2], strict=True):
        picture = np.zeros((200, 260, 3), np.uint8)
        cv2.circle(picture, (round(float(x) * 8), round(float(y) * 8)), 24, (255, 255, 255), -1, shift=3)
        sample = region.sample(picture, 128)[:, :, 0].astype(np.float64)
        rows, columns = np.indices(sample.shape)
        centre = np.array([(sample * columns).sum(), (sample * rows).sum()]) / sample.sum()
        np.testing.assert_allclose(centre / 128, place[:2], atol=0.006)
    assert region.to_picture(places)[0, 2] == pytest.approx(8)


def test_what_is_outside_of_the_picture_is_black_or_goes_on() -> None:
    picture = np.full((10, 10, 3), 200, np.uint8)
    region = Region(5, 5, 40, 40)
    assert region.sample(picture, 8).min() == 200
    assert region.sample(picture, 8, border=cv2.BORDER_CONSTANT)[0, 0].max() == 0


def test_a_face_is_looked_for_in_an_upright_square_half_as_big_again() -> None:
    landmarks = np.full((LANDMARKS, 3), 100, np.float32)
    landmarks[0, :2], landmarks[1, :2] = (60, 100), (140, 120)
    landmarks[33, :2], landmarks[263, :2] = (90, 105), (110, 125)
    region = region_of(landmarks)
    assert (region.width, region.height) == (120, 120)
    assert (region.x, region.y) == (100, 112.5)
    assert region.angle == pytest.approx(pi / 4)


def test_anchors_are_the_cells_of_two_grids() -> None:
    centres = detector.anchors()
    assert centres.shape == (896, 2)
    np.testing.assert_allclose(centres[[0, 1, 2, 32]], np.array([[1, 1], [1, 1], [3, 1], [1, 3]]) / 32)
    np.testing.assert_allclose(centres[[512, 517, 518]], np.array([[1, 1], [1, 1], [3, 1]]) / 16)
    np.testing.assert_allclose(centres[-1], [15 / 16, 15 / 16])


def guess(*sure: tuple[int, float, tuple[float, float, float, float]]) -> tuple[F32, F32]:
    """An output of the network that is sure at some anchors: which, the logit, x, y, width and height."""
    raw, logits = np.zeros((896, 16), np.float32), np.full(896, -9.0, np.float32)
    for index, logit, box in sure:
        raw[index, :4], logits[index] = box, logit
    return raw, logits


def test_guesses_are_measured_from_their_anchors() -> None:
    raw, logits = guess((2, 2.0, (8, -4, 64, 32)))
    raw[2, 4:6] = (-16, 16)
    ((box,), (score,)) = detector.decode(raw, logits, detector.anchors())
    x, y = 3 / 32 + 8 / 128, 1 / 32 - 4 / 128
    np.testing.assert_allclose(box[:4], [x - 1 / 4, y - 1 / 8, x + 1 / 4, y + 1 / 8], atol=1e-6)
    np.testing.assert_allclose(box[4:6], [3 / 32 - 1 / 8, 1 / 32 + 1 / 8], atol=1e-6)
    assert score == pytest.approx(1 / (1 + np.exp(-2)))


def test_unsure_and_impossible_guesses_are_dropped() -> None:
    raw, logits = guess((5, -0.01, (0, 0, 30, 30)), (9, 4.0, (0, 0, -3, 30)), (11, 0.01, (0, 0, 30, 30)))
    boxes, scores = detector.decode(raw, logits, detector.anchors())
    assert boxes.shape == (1, 16)
    assert scores.shape == (1,)
    assert detector.merge(*detector.decode(*guess(), detector.anchors())) == []


def test_guesses_of_one_face_become_their_weighted_mean() -> None:
    boxes = np.zeros((3, 16), np.float32)
    boxes[:, :4] = [(0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9), (0.12, 0.1, 0.32, 0.3)]
    boxes[:, 4] = (0.2, 0.7, 0.4)
    first, second = detector.merge(boxes, np.array([0.6, 0.8, 0.9], np.float32))
    np.testing.assert_allclose(first[:5], (boxes[2, :5] * 0.9 + boxes[0, :5] * 0.6) / 1.5, atol=1e-6)
    np.testing.assert_allclose(second, boxes[1], atol=1e-6)


def test_the_overlap_is_a_part_of_what_both_cover() -> None:
    boxes = np.array([(0, 0, 2, 2), (1, 0, 3, 2), (5, 5, 6, 6)], np.float32)
    np.testing.assert_allclose(detector.overlaps(boxes, boxes[0]), [1, 1 / 3, 0])


@pytest.fixture(scope="module")
def geometry(face_landmarker_path: Path) -> Geometry:
    return Geometry(read_bundle(face_landmarker_path))


def seen(geometry: Geometry, pose: F32, size: tuple[int, int]) -> F32:
    """Landmarks of the canonical face as the made-up camera sees it, z by MediaPipe's weak perspective."""
    points = geometry.canonical @ pose[:3, :3].T + pose[:3, 3]
    width, height = size
    pixel = VIEW_HEIGHT / height
    landmarks = np.zeros((LANDMARKS, 3), np.float32)
    landmarks[:SKIN, 0] = points[:, 0] / -points[:, 2] / pixel + width / 2
    landmarks[:SKIN, 1] = -points[:, 1] / -points[:, 2] / pixel + height / 2
    middle = points[:, 2].mean()
    landmarks[:SKIN, 2] = (points[:, 2] - middle) / middle / pixel
    return landmarks


@pytest.mark.parametrize("size", [(640, 480), (512, 512), (720, 1280)])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.1, 0.5, 0.0), (-0.3, -0.2, 0.6)])
def test_the_pose_of_the_canonical_face_is_found_again(
    geometry: Geometry, size: tuple[int, int], turn: tuple[float, float, float]
) -> None:
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = cv2.Rodrigues(np.array(turn))[0]
    pose[:3, 3] = (4, -3, -55)
    found = geometry.pose(seen(geometry, pose, size), size)
    assert found.shape == (4, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:3, :3], pose[:3, :3], atol=0.02)
    np.testing.assert_allclose(found[:3, 3], pose[:3, 3], rtol=0.03, atol=0.3)
    np.testing.assert_allclose(found[3], [0, 0, 0, 1])


def test_the_canonical_face_counts_in_centimetres(geometry: Geometry) -> None:
    assert geometry.canonical.shape == (SKIN, 3)
    assert np.ptp(geometry.canonical[:, 1]) == pytest.approx(17, abs=1.5)
    assert 20 < len(geometry.used) < 50


@pytest.mark.parametrize("content", [b"", b"\x0b", b"\x0a\x05\x1d", struct.pack("<Bf", 0x15, 1.0)])
def test_a_foreign_file_is_no_canonical_face(content: bytes) -> None:
    with pytest.raises(ModelError, match="canonical face"):
        Geometry({METADATA: content})
    with pytest.raises(ModelError, match="canonical face"):
        Geometry({})


def face(shift: float = 0.0) -> F32:
    points = np.random.default_rng(1).uniform(0, 100, (LANDMARKS, 3)).astype(np.float32)
    return points + np.float32(shift)


def test_smoothing_calms_a_still_face_and_lets_a_quick_one_pass() -> None:
    noise = np.random.default_rng(2).normal(0, 0.05, (40, LANDMARKS, 3)).astype(np.float32)
    still = Smoother()
    smooth = np.array([still(face() + step, 1 / 30) for step in noise])
    assert smooth[20:].std(axis=0).mean() < 0.3 * noise[20:].std(axis=0).mean()
    quick = Smoother()
    shown = [quick(face(10.0 * step), 1 / 30) for step in range(10)]
    assert np.abs(shown[-1] - face(90)).mean() < 2


def test_smoothing_starts_anew_after_a_reset_and_passes_what_takes_no_time() -> None:
    smoother = Smoother()
    assert smoother(face(), 5.0) is not None
    np.testing.assert_array_equal(smoother(face(3), 0.0), face(3))
    smoother.reset()
    np.testing.assert_array_equal(smoother(face(50), 1 / 30), face(50))


def test_what_is_no_network_is_one_clear_line() -> None:
    with pytest.raises(ModelError, match="cannot start the test") as error:
        Network(b"not a network", "test")
    assert "\n" not in str(error.value)


def test_a_network_takes_numbers_of_any_kind(face_landmarker_path: Path, astronaut: U8) -> None:
    network = Network(read_bundle(face_landmarker_path)["face_detector.tflite"], "face detector")
    assert network.shape == (1, 128, 128, 3)
    small = Region(225, 124, 300, 300).sample(astronaut, 128)
    whole, parts = network(small, 2 / 255, -1.0), network(small.astype(np.float32) * 2 / 255 - 1)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_bundle_that_lacks_a_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar.track import FaceTracker

    bundle = tmp_path / "empty.task"
    with zipfile.ZipFile(bundle, "w") as files:
        files.writestr("readme", "")
    monkeypatch.setattr("avatar.weights.resolve", lambda name: bundle)
    with pytest.raises(ModelError, match=r"cannot start the face landmarker: .*face_detector\.tflite"):
        FaceTracker()
