"""The measurement of the face tracker beside MediaPipe."""

from __future__ import annotations

import json

import numpy as np
import pytest

from avatar.errors import AvatarError
from avatar.records import LANDMARKS, U8
from bench import track

pytestmark = pytest.mark.usefixtures("face_landmarker_path")


def test_jitter_is_what_is_neither_rest_nor_steady_motion() -> None:
    face = np.random.default_rng(1).uniform(0, 100, (LANDMARKS, 3)).astype(np.float32)
    assert track.jitter([face + np.float32(3 * step) for step in range(6)]) == pytest.approx(0, abs=1e-3)
    shaken = [face + np.float32(step % 2) * np.array([1, 0, 0], np.float32) for step in range(6)]
    assert track.jitter(shaken) == pytest.approx(2000 / 100, rel=0.03)


def test_a_clip_is_compared(carphone_frames: list[U8]) -> None:
    figures = track.measure(carphone_frames[:12])
    assert tuple(figures) == track.FIGURES
    assert 0 < figures["find_px"] < 0.1
    assert figures["find_scores"] < 0.004
    assert figures["jitter"] == pytest.approx(figures["jitter_mediapipe"], rel=0.2)


def test_both_are_timed(carphone_frames: list[U8]) -> None:
    taken = track.times(carphone_frames[:10], 1)
    assert taken["ratio"] == pytest.approx(taken["ours_ms"] / taken["mediapipe_ms"])


def test_no_face_is_told() -> None:
    with pytest.raises(AvatarError, match="no face"):
        track.measure([np.zeros((64, 64, 3), np.uint8)] * 4)


def test_the_last_line_is_one_document(
    carphone_path: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "times", lambda frames, rounds: {"ratio": 0.5})
    assert track.main(["--frames", "8"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["times"]["640x480"] == {"ratio": 0.5}
