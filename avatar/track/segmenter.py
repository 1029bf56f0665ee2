"""Telling the person from the background."""

from __future__ import annotations

import numpy as np

from avatar.records import F32, U8
from avatar.track.closing import Closing
from avatar.track.landmarker import base_options, load_vision, starting, to_image


class PersonSegmenter(Closing):
    """MediaPipe's selfie segmenter (it works at 256x256) on single pictures."""

    def __init__(self) -> None:
        """Start the model; raises ModelError if its file or a system library is missing."""
        vision = load_vision()
        options = vision.ImageSegmenterOptions(
            base_options=base_options("selfie_segmenter"),
            running_mode=vision.RunningMode.IMAGE,
            output_confidence_masks=True,
            output_category_mask=False,
        )
        with starting("person segmenter"):
            self._task = vision.ImageSegmenter.create_from_options(options)

    def __call__(self, rgb: U8) -> F32:
        """(H, W) float32 probability 0..1 that a pixel of the (H, W, 3) uint8 picture is of a person."""
        mask: F32 = self._task.segment(to_image(rgb)).confidence_masks[0].numpy_view()
        return np.array(mask, np.float32).reshape(rgb.shape[:2])

    def close(self) -> None:
        """Free the model."""
        self._task.close()
