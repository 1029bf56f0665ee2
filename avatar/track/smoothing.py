"""The smoothing of landmarks in a video, as MediaPipe's video mode does it.

A One-Euro filter for each coordinate by itself, whose speeds are measured in face sizes, so that near and far
faces are smoothed alike. The numbers are those of
mediapipe/tasks/cc/vision/face_landmarker/face_landmarks_detector_graph.cc, the steps those of
mediapipe/util/filtering/one_euro_filter.cc in https://github.com/google-ai-edge/mediapipe; unlike
`tools.one_euro`, the speed is that of the measured values and not of the filtered ones.

Source: G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter", CHI 2012.
"""

from __future__ import annotations

from math import pi

import numpy as np

from avatar.records import F32

MIN_CUTOFF = 0.05
"""Of a face at rest [Hz]."""
BETA = 80.0
"""How much the cutoff rises with the speed [Hz per face size/s]."""
SPEED_CUTOFF = 1.0
"""Of the speed itself [Hz]."""


class Smoother:
    """Smooths the landmarks of one face."""

    def __init__(self) -> None:
        self._measured: F32 | None = None
        self._smooth: F32
        self._speed: F32

    def __call__(self, landmarks: F32, seconds: float) -> F32:
        """Landmarks (478, 3) px, `seconds` after the ones before; the first ones come back as they are."""
        if self._measured is None:
            self._smooth, self._speed = landmarks, np.zeros_like(landmarks)
        elif seconds > 0:
            size = float(np.ptp(landmarks[:, :2], axis=0).mean())
            speed = (landmarks - self._measured) / np.float32(max(size, 1e-6) * seconds)
            self._speed = self._speed + _share(np.float32(SPEED_CUTOFF), seconds) * (speed - self._speed)
            cutoff = np.float32(MIN_CUTOFF) + np.float32(BETA) * np.abs(self._speed)
            self._smooth = self._smooth + _share(cutoff, seconds) * (landmarks - self._smooth)
        else:
            return landmarks
        self._measured = landmarks
        return self._smooth

    def reset(self) -> None:
        """Forget the face."""
        self._measured = None


def _share(cutoff: F32 | np.float32, seconds: float) -> F32:
    """How much of a new value passes at `cutoff` [Hz]."""
    rate = cutoff * np.float32(2 * pi * seconds)
    return np.asarray(rate / (rate + 1), np.float32)
