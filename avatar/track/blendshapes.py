"""MediaPipe's blendshape network: the expression of a face out of its landmarks.

The numbers are those of mediapipe/tasks/cc/vision/face_landmarker/face_blendshapes_graph.cc in
https://github.com/google-ai-edge/mediapipe.
"""

from __future__ import annotations

import numpy as np

from avatar.records import BLENDSHAPES, F32
from avatar.track.litert import Network

# fmt: off
LOOKED_AT = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70,
    78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149,
    150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195,
    197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300,
    308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375,
    377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454,
    466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])
# fmt: on
"""(146,): the landmarks that the network is shown."""


class ExpressionReader:
    """Reads the 52 scores."""

    def __init__(self, content: bytes) -> None:
        """Start the network of the .tflite `content`; raises ModelError."""
        # So small that a second thread costs more than it does.
        self._network = Network(content, "blendshape reader", threads=1)

    def __call__(self, landmarks: F32) -> F32:
        """(52,), 0..1, of landmarks (478, 2 or 3) in pixels."""
        (scores,) = self._network(landmarks[LOOKED_AT, :2])
        return scores.reshape(BLENDSHAPES)
