"""MediaPipe's face mesh network: the landmarks of a face of which is known roughly where it is.

I. Grishchenko et al., "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020,
https://arxiv.org/abs/2006.10962. The numbers are those of
mediapipe/tasks/cc/vision/face_landmarker/face_landmarks_detector_graph.cc in
https://github.com/google-ai-edge/mediapipe.
"""

from __future__ import annotations

from math import atan2, exp

import numpy as np

from avatar.records import F32, LANDMARKS, U8
from avatar.track.litert import Network
from avatar.track.region import Region

SURE = 0.5
"""A face less sure than this is none."""
MARGIN = 1.5
"""The region to look in for the face of the last frame, in sizes of that face."""
OUTER_CORNERS = (33, 263)
"""Landmarks of the eyes' corners that show how the head is tilted."""


class FaceMesh:
    """Finds the 478 landmarks of the face in a region."""

    def __init__(self, content: bytes) -> None:
        """Start the network of the .tflite `content`; raises ModelError."""
        self._network = Network(content, "face landmarker")

    def __call__(self, rgb: U8, region: Region) -> F32 | None:
        """(478, 3) in pixels of the picture (H, W, 3), z in the same unit; None if no face is there."""
        side = self._network.shape[1]
        points, logit, *_ = self._network(region.sample(rgb, side), 1 / 255)
        if 1 / (1 + exp(-float(logit.reshape(())))) < SURE:
            return None
        return region.to_picture(points.reshape(LANDMARKS, 3) / np.float32(side))


def region_of(landmarks: F32) -> Region:
    """Where to look again for a face that was at these landmarks (478, 2..): a square, upright as it is."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    (x, y), side = (low + high) / 2, float((high - low).max())
    across, down = (landmarks[OUTER_CORNERS[1]] - landmarks[OUTER_CORNERS[0]])[:2]
    return Region(float(x), float(y), side, side, atan2(down, across)).scaled(MARGIN)
