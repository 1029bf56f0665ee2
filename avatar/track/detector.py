"""MediaPipe's short range face detector: where in a picture faces are, roughly.

V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019,
https://arxiv.org/abs/1907.05047. The numbers are those of
mediapipe/tasks/cc/vision/face_detector/face_detector_graph.cc in https://github.com/google-ai-edge/mediapipe.
"""

from __future__ import annotations

from math import atan2

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8
from avatar.track.litert import Network
from avatar.track.region import Region

SIDE = 128
"""Of the network's input, in pixels."""
GRIDS = ((SIDE // 8, 2), (SIDE // 16, 6))
"""Cells a side, and guesses a cell: one layer with steps of 8 pixels, three with steps of 16."""
SURE = 0.5
"""A guess less sure than this is none."""
SAME = 0.5
"""Guesses whose boxes overlap by more than this part of what both cover are of one face."""
MARGIN = 1.5
"""The region to look for landmarks in, in sizes of the box."""


class FaceDetector:
    """Finds faces in a picture seen at 128 pixels a side."""

    def __init__(self, content: bytes) -> None:
        """Start the network of the .tflite `content`; raises ModelError."""
        self._network = Network(content, "face detector")
        self._anchors = anchors()

    def __call__(self, rgb: U8, most: int) -> list[Region]:
        """Where to look for the landmarks of up to `most` faces of (H, W, 3), the surest face first."""
        height, width = rgb.shape[:2]
        seen = Region(width / 2, height / 2, max(width, height), max(width, height))
        sample = seen.sample(rgb, SIDE, border=cv2.BORDER_CONSTANT)
        raw, logits = self._network(sample, 2 / 255, -1.0)
        boxes, scores = decode(raw[0], logits[0, :, 0], self._anchors)
        return [_around(seen.to_picture(box.reshape(-1, 2))) for box in merge(boxes, scores)[:most]]


def anchors() -> F32:
    """(896, 2): the centres that the guesses are measured from, 0..1 across the input, x and y."""
    centres = []
    for cells, guesses in GRIDS:
        steps = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(steps, steps, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), guesses, axis=0))
    return np.concatenate(centres)


def decode(raw: F32, logits: F32, anchors: F32) -> tuple[F32, F32]:
    """The sure guesses of the network's output.

    Args:
        raw: (896, 16), pixels from the anchors: centre x, y, width, height, then x, y of six points.
        logits: (896,), how sure it is.
        anchors: (896, 2).

    Returns:
        (N, 16), 0..1 across the input: left, top, right, bottom, then the points; and (N,) their scores.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    sure = (scores >= SURE) & (raw[:, 2] >= 0) & (raw[:, 3] >= 0)
    guesses, centres = raw[sure] / np.float32(SIDE), anchors[sure]
    boxes = guesses + np.tile(centres, 8)
    half = guesses[:, 2:4] / 2
    middle = boxes[:, :2].copy()
    boxes[:, :2], boxes[:, 2:4] = middle - half, middle + half
    return boxes.astype(np.float32), scores[sure].astype(np.float32)


def merge(boxes: F32, scores: F32) -> list[F32]:
    """One box for each face: the mean of all guesses that overlap the surest one, weighted by their scores.

    The paper's "blending" (section 5); (N, 16) and (N,) as `decode` gives them, the surest face first.
    """
    left = np.argsort(-scores, kind="stable")
    faces = []
    while len(left):
        alike = overlaps(boxes[left], boxes[left[0]]) > SAME
        alike[0] = True
        weights = scores[left[alike], None]
        faces.append(np.asarray((boxes[left[alike]] * weights).sum(axis=0) / weights.sum(), np.float32))
        left = left[~alike]
    return faces


def overlaps(boxes: F32, box: F32) -> NDArray[np.float32]:
    """(N,): the area that each of the (N, 4..) and the one box share, as a part of what both cover."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:4], box[2:4])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1) + (box[2:4] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-12), np.float32)


def _around(points: F32) -> Region:
    """The region of a face; (8, 2) px: upper left and lower right corner, then right eye, left eye, ..."""
    (x, y), (width, height) = (points[0] + points[1]) / 2, points[1] - points[0]
    across, down = points[3] - points[2]
    return Region(float(x), float(y), float(width), float(height), atan2(down, across)).scaled(MARGIN)
