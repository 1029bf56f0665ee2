"""What the bench of quality counts, on pictures and curves whose figures are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from made_people import made_face
from skimage.metrics import structural_similarity

from avatar.records import F32, U8, Face
from bench import cross_driving, measures, scores
from bench.judges import feature_distance

SIZE = 64
ALL = np.ones((SIZE, SIZE), bool)


@pytest.fixture
def picture() -> U8:
    """Soft blobs with some grain."""
    random = np.random.default_rng(3)
    blobs = cv2.resize(
        random.integers(0, 256, (8, 8, 3), np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(np.clip(blobs + random.normal(0, 6, blobs.shape), 0, 255), np.uint8)


def blurred(picture: U8, sigma: float) -> U8:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def test_a_picture_is_like_itself(picture: U8) -> None:
    assert measures.l1(picture, picture, ALL) == 0
    assert measures.psnr(picture, picture, ALL) == measures.PSNR_CAP
    assert measures.ssim(picture, picture, ALL) == pytest.approx(1, abs=1e-6)


def test_one_level_off_everywhere() -> None:
    real = np.full((SIZE, SIZE, 3), 100, np.uint8)
    made = real + np.uint8(1)
    assert measures.l1(made, real, ALL) == 1
    assert measures.psnr(made, real, ALL) == pytest.approx(20 * np.log10(255))
    assert measures.psnr(real + np.uint8(10), real, ALL) == pytest.approx(20 * np.log10(25.5))


def test_only_the_mask_counts(picture: U8) -> None:
    made, mask = picture.copy(), ALL.copy()
    made[:20] = 255 - made[:20]
    mask[:20] = False
    assert measures.l1(made, picture, mask) == 0 and measures.l1(made, picture, ALL) > 10
    assert measures.psnr(made, picture, mask) == measures.PSNR_CAP
    mask[:26] = False  # the window of the similarity reaches five pixels far
    assert measures.ssim(made, picture, mask) == pytest.approx(1, abs=1e-6)
    assert measures.ssim(made, picture, ALL) < 0.9


def test_structural_similarity_is_that_of_the_paper(picture: U8) -> None:
    made = blurred(picture, 1.2)
    _, local = structural_similarity(  # type: ignore[no-untyped-call]
        made,
        picture,
        full=True,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    inside = np.zeros((SIZE, SIZE), bool)
    inside[8:-8, 8:-8] = True  # borders are continued in other ways
    assert measures.ssim(made, picture, inside) == pytest.approx(local[inside].mean(), abs=1e-4)


def test_a_soft_picture_has_less_gradient(picture: U8) -> None:
    sharp, soft, softer = (
        measures.gradient_energy(one, ALL) for one in (picture, blurred(picture, 1), blurred(picture, 2))
    )
    assert sharp > soft > softer > 0
    ramp = np.repeat(np.arange(0, 4 * SIZE, 4, dtype=np.uint8)[None], SIZE, axis=0)
    inside = measures.shrunk(ALL & (np.arange(SIZE) > 2) & (np.arange(SIZE) < SIZE - 3), 1)
    assert measures.gradient_energy(np.dstack([ramp] * 3), inside) == pytest.approx(16, rel=0.01)


def test_the_margin_of_a_mask() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:30, 10:30] = True
    inner = measures.shrunk(mask, 3)
    assert inner.sum() == 14 * 14 and inner[13:27, 13:27].all()


def test_landmarks_that_are_shifted() -> None:
    face = made_face().landmarks
    assert measures.landmark_distance(face, face) == 0
    assert measures.landmark_distance(face + np.array([3, 4, 100], np.float32), face) == pytest.approx(5)


def test_boxes_hold_their_pixels() -> None:
    mask = measures.boxes_mask(np.array([[10, 20, 4], [40, 40, 0]], np.float32), SIZE)
    assert mask.sum() == 26
    assert mask[18:23, 8:13].all() and mask[40, 40]
    assert not measures.boxes_mask(np.array([[-50, 20, 4]], np.float32), SIZE).any()


def test_correlation_of_curves() -> None:
    curve = [0.0, 0.1, 0.3, 0.2, 0.0]
    assert measures.correlation([2 * value + 1 for value in curve], curve, 0.02) == pytest.approx(1)
    assert measures.correlation([-value for value in curve], curve, 0.02) == pytest.approx(-1)
    assert measures.correlation([0.2] * 5, curve, 0.02) is None
    assert measures.correlation(curve, [0.2] * 5, 0.0) is None
    assert measures.correlation(curve, [0.1 * value for value in curve], 0.02) is None
    assert measures.correlation([], [], 0.02) is None


def test_ratio_and_mean_of_nothing() -> None:
    assert measures.ratio([1, 2], [2, 4]) == 0.5
    assert measures.ratio([0, 0], [2, 4]) == 0
    assert measures.ratio([1], [0]) is None and measures.ratio([], []) is None
    assert measures.mean([1, None, 3]) == 2
    assert measures.mean([None]) is None and measures.mean([]) is None


def test_people_count_alike_and_not_clips() -> None:
    rows: list[tuple[str, dict[str, float | None]]] = [
        ("anna", {"l1": 1.0}), ("anna", {"l1": 3.0}), ("ben", {"l1": 8.0}), ("eve", {"l1": None}),
    ]  # fmt: skip
    assert scores.over_people(rows, ["l1"]) == {"l1": 5.0}
    assert scores.over_people(rows[3:], ["l1"]) == {"l1": None}


def test_a_correlation_of_few_people_is_not_told() -> None:
    rows: list[tuple[str, dict[str, float | None]]] = [
        (person, {"mouth_corr": value}) for person, value in (("a", 0.5), ("b", 0.7), ("c", None), ("a", 0.7))
    ]
    assert scores.over_people(rows, ["mouth_corr"]) == {"mouth_corr": None, "mouth_corr_people": 2}
    rows.append(("d", {"mouth_corr": 0.2}))
    assert scores.over_people(rows, ["mouth_corr"]) == {"mouth_corr": 0.5, "mouth_corr_people": 3}


def test_features_are_compared_by_their_direction() -> None:
    real = [torch.rand(2, 4, 6, 6), torch.rand(2, 8, 3, 3)]
    assert feature_distance([2 * level for level in real], real) == pytest.approx([0, 0], abs=1e-6)
    across = torch.zeros(1, 4, 6, 6)
    across[:, 0] = 1
    assert feature_distance([across], [across.roll(1, dims=1)]) == pytest.approx([2])
    # One picture stands for all, as of a still one.
    assert feature_distance([across], [across.roll(1, dims=1).expand(3, -1, -1, -1)]) == pytest.approx(
        [2] * 3
    )


def moved(faces: list[Face], turn: float) -> list[Face]:
    """The same faces of another person, who holds his head otherwise."""
    return [
        made_face(
            {"jawOpen": float(face.blendshapes[25]), "mouthSmileLeft": 0.3},
            turn=(0, turn + i * 0.1, 0),
            shift=(100, 120),
            scale=30,
        )
        for i, face in enumerate(faces)
    ]


def test_the_same_change_of_another_face_is_no_error() -> None:
    driver = [made_face({"jawOpen": 0.1 * i}, turn=(0, i * 0.1, 0)) for i in range(6)]
    pairs = list(zip(moved(driver, 0.2), driver, strict=True))
    assert cross_driving.expression_error(pairs) == pytest.approx(0, abs=1e-6)
    assert cross_driving.expression_alike(pairs) == pytest.approx(1)
    assert cross_driving.pose_error(pairs) == pytest.approx(0, abs=0.05)


def test_a_still_face_misses_all_change() -> None:
    driver = [made_face({"jawOpen": 0.1 * i}, turn=(0, i * 0.1, 0)) for i in range(6)]
    pairs = [(driver[0], face) for face in driver]
    calm = np.mean([0.0, 0.1, 0.2, 0.3])
    off = [abs(0.1 * i - calm) for i in range(6)]
    assert cross_driving.expression_error(pairs) == pytest.approx(np.mean(off) / 51, rel=1e-3)
    assert cross_driving.expression_alike(pairs) is None
    turns = [abs(0.1 * i - 0.15) for i in range(6)]
    assert cross_driving.pose_error(pairs) == pytest.approx(np.degrees(np.mean(turns)), rel=0.02)
    assert cross_driving.expression_error([]) is None and cross_driving.pose_error([]) is None


def test_openings_of_a_face() -> None:
    def of(expression: dict[str, float]) -> tuple[float, float]:
        face: F32 = made_face(expression).landmarks
        return scores.eyes_open(face), scores.mouth_open(face)

    eyes, mouth = of({})
    shut = of({"eyeBlinkLeft": 1, "eyeBlinkRight": 1})
    assert shut[0] < 0.5 * eyes and shut[1] == pytest.approx(mouth, abs=0.05)
    assert of({"jawOpen": 1})[1] > mouth + 0.2
