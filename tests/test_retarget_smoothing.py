"""Smoothing: a still noisy face stands, a talking one hardly lags."""

from __future__ import annotations

import numpy as np
import pytest
from made_drivers import PERIOD_NS, SMILE, Driver
from made_people import made_face, made_identity

from avatar.records import Face, Identity
from avatar.retarget.retarget import MotionMode
from avatar.tools.lag import MotionLag


@pytest.fixture(scope="module")
def laughing() -> Identity:
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


def test_smoothing_calms_a_still_noisy_face(laughing: Identity) -> None:
    """A tracker's noise: each landmark a little, the whole head a little."""
    random = np.random.default_rng(5)
    noisy = [
        made_face(
            noise=random.normal(0, 0.3, (478, 3)).astype(np.float32),
            turn=(0, float(random.normal(0, 0.01)), 0),
            shift=(320 + float(random.normal(0, 0.7)), 240),
        )
        for _ in range(90)
    ]
    jitter = {}
    for smoothing in (0.0, 1.0, 2.0):
        drive = Driver(laughing, smoothing=smoothing)
        drive.retarget.prepare(noisy)
        jitter[smoothing] = np.array([drive(face).landmarks for face in noisy])[30:].std(axis=0).mean()
    assert jitter[1.0] < 0.6 * jitter[0.0]
    assert jitter[2.0] < 0.8 * jitter[1.0]


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_smoothing_hardly_lags_on_a_talking_face(
    laughing: Identity, carphone_faces: list[Face], mode: MotionMode
) -> None:
    found = {}
    for smoothing in (0.0, 1.0, 8.0):
        drive, lag = Driver(laughing, mode, smoothing), MotionLag()
        drive.retarget.prepare(carphone_faces)
        for index, face in enumerate(carphone_faces):
            lag.record(index * PERIOD_NS, face.landmarks, drive(face).landmarks)
        found[smoothing] = lag.lag_ms()
    assert found[0.0] == pytest.approx(0, abs=4)
    assert found[1.0] is not None and found[1.0] < 15
    assert found[8.0] is not None and found[8.0] > 15, "the measure sees a lag where there is one"
