"""The motion lag of curves whose delay is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from avatar.records import F32
from avatar.tools.lag import MotionLag, head_yaw, lag_ms, mouth_opening

F64 = NDArray[np.float64]


def speech(times: F64) -> F64:
    """A talking mouth and a turning head, (N, 2), smooth but without a period."""
    mouth = 0.04 * np.sin(2 * np.pi * 2.3 * times) + 0.03 * np.sin(2 * np.pi * 3.7 * times + 1)
    head = 0.1 * np.sin(2 * np.pi * 0.31 * times) + 0.05 * np.sin(2 * np.pi * 0.77 * times + 2)
    return np.stack([mouth, head], 1)


def ragged(seconds: float, fps: float, seed: int = 3) -> F64:
    jitter = np.random.default_rng(seed).uniform(-0.3, 0.3, int(seconds * fps)) / fps
    times: F64 = np.arange(int(seconds * fps)) / fps + jitter
    return times


@pytest.mark.parametrize("delay_ms", [0, 7, 20, 33.3, 51, 120, -15])
def test_a_known_delay_is_found_within_a_fraction_of_a_frame(delay_ms: float) -> None:
    times = ragged(12, 30)
    found = lag_ms(times, speech(times), 2.5 * speech(times - delay_ms / 1000) + 1)
    assert found == pytest.approx(delay_ms, abs=1.5)


def test_noise_moves_it_little() -> None:
    times = ragged(20, 30)
    noise = np.random.default_rng(4).normal(scale=0.01, size=(2, len(times), 2))
    found = lag_ms(times, speech(times) + noise[0], speech(times - 0.04) + noise[1])
    assert found == pytest.approx(40, abs=4)


def test_a_low_pass_lags_by_its_group_delay() -> None:
    times = np.arange(0, 20, 1 / 30)
    curve = speech(times)
    smooth = curve.copy()
    for i in range(1, len(smooth)):
        smooth[i] = smooth[i - 1] + 0.5 * (curve[i] - smooth[i - 1])
    found = lag_ms(times, curve, smooth)
    assert found is not None and 20 < found < 34  # (1 - a) / a = one frame at rest, less at speed


def test_holes_without_a_face_do_not_pull_it_to_zero() -> None:
    times = ragged(30, 30)
    times = times[(times % 3) < 1.5]
    found = lag_ms(times, speech(times), speech(times - 0.06))
    assert found == pytest.approx(60, abs=3)


def test_one_still_signal_is_no_hindrance() -> None:
    times = ragged(12, 30)
    driver, avatar = speech(times), speech(times - 0.03)
    driver[:, 1] = avatar[:, 1] = 0.2
    assert lag_ms(times, driver, avatar) == pytest.approx(30, abs=1.5)


def test_too_little_to_tell_is_none() -> None:
    times = np.arange(0, 5, 1 / 30)
    still = np.full((len(times), 2), 0.1)
    assert lag_ms(times, still, still) is None
    assert lag_ms(times[:20], speech(times[:20]), speech(times[:20])) is None
    assert lag_ms(times[:0], still[:0], still[:0]) is None
    assert lag_ms(times, speech(times), -speech(times) * 0 + 0.5) is None


def face(*, gap: float = 0.0, turn: float = 0.0, roll: float = 0.0, scale: float = 100.0) -> F32:
    points = np.zeros((478, 3))
    points[10], points[152] = (0, -1, 0), (0, 1, 0)
    points[13], points[14] = (0, 0.5 - gap / 2, 0), (0, 0.5 + gap / 2, 0)
    points[234], points[454], points[1] = (-0.7, 0, 0), (0.7, 0, 0), (turn, 0.1, -0.3)
    rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    points[:, :2] = points[:, :2] @ rotation.T * scale + 320
    return points.astype(np.float32)


def test_signals_are_free_of_scale_place_and_roll() -> None:
    assert mouth_opening(face(gap=0.2)) == pytest.approx(0.1, abs=1e-5)
    assert head_yaw(face(turn=0.35)) == pytest.approx(0.25, abs=1e-5)
    turned = face(gap=0.2, turn=0.35, roll=0.5, scale=31)
    assert mouth_opening(turned) == pytest.approx(0.1, abs=1e-5)
    assert head_yaw(turned) == pytest.approx(0.25, abs=1e-5)


def test_the_recorder_takes_faces_and_keeps_the_newest() -> None:
    recorder = MotionLag(capacity=300)
    assert recorder.lag_ms() is None
    for number in range(700):
        time = number / 30
        delay = 0.1 if number < 400 else 0.03
        driver, avatar = speech(np.array([time]))[0], speech(np.array([time - delay]))[0]
        ours = face(gap=0.2 + 2 * driver[0], turn=driver[1])
        recorder.record(round(time * 1e9), ours, face(gap=0.2 + 2 * avatar[0], turn=avatar[1], scale=0.3))
    assert recorder.lag_ms() == pytest.approx(30, abs=1.5)
