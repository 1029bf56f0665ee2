"""Telling the person from the background."""

from __future__ import annotations

import cv2
import numpy as np

from avatar import weights
from avatar.records import F32, U8
from avatar.track.closing import Closing
from avatar.track.litert import Network
from avatar.track.region import Region


class PersonSegmenter(Closing):
    """MediaPipe's selfie segmenter (it works at 256x256) on single pictures.

    Sampled and scaled as mediapipe/tasks/cc/vision/image_segmenter/image_segmenter_graph.cc in
    https://github.com/google-ai-edge/mediapipe does it.
    """

    def __init__(self) -> None:
        """Start the network; raises ModelError if its file or LiteRT is missing."""
        self._network = Network(weights.resolve("selfie_segmenter").read_bytes(), "person segmenter")

    def __call__(self, rgb: U8) -> F32:
        """(H, W) float32 probability 0..1 that a pixel of the (H, W, 3) uint8 picture is of a person."""
        height, width = rgb.shape[:2]
        sample = Region(width / 2, height / 2, width, height).sample(rgb, self._network.shape[1])
        (mask,) = self._network(sample, 1 / 255)
        whole = cv2.resize(mask[0, :, :, 0], (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole, np.float32).reshape(height, width)

    def close(self) -> None:
        """Nothing needs closing: the memory goes with the object."""
