"""Who judges the pictures: networks that none of ours was trained with, and the models that find faces.

The face of a made picture is found by MediaPipe itself and not by the loop of ours that drives the avatar:
what that one does wrong must not hide. MediaPipe sends figures about its use to Google; no user runs this.

No network here is a loss of the training (those are nsfwjs' MobileNet and MobileFace).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.records import F32, U8, Face
from bench.self_driving import Segment, Track

BATCH = 8
"""Pictures that a network sees at a time."""
CLOSE_UP = 96
"""Side at which mouth and eyes are looked at on their own [px]."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Everything that looks at pictures; pictures are (B, 3, H, W) RGB 0..1, landmarks (B, 478, 2) px."""

    track: Track
    segment: Segment
    find: Callable[[U8], list[Face]]
    """The face of a head crop by itself, if there is one."""
    search: Callable[[U8], list[Face]]
    """The faces of any picture, the biggest first."""
    features: Callable[[Tensor], Sequence[Tensor]]
    """Feature maps (B, C, h, w) of pictures, level by level."""
    embed: Callable[[Tensor, Tensor], Tensor]
    """(B, D), of the faces at these landmarks; close together if it is the same person."""
    points: Callable[[Tensor, Tensor], Tensor]
    """(B, 68, 2) px, found anew where these landmarks say that the face is."""


@contextmanager
def open_judges(threads: int) -> Iterator[Judges]:
    """Load all; raises ModelError if a file cannot be had.

    Args:
        threads: so many threads work at a network.
    """
    from avatar.track import FaceFinder, FaceTracker, PersonSegmenter
    from avatar.track.mediapipe_landmarker import MediaPipeLandmarker
    from avatar.train.pretrained import load_faceres, load_landmarks68, load_recognition

    torch.set_num_threads(threads)
    with ExitStack() as open_now:
        landmarker = open_now.enter_context(MediaPipeLandmarker(faces=1))
        recognition = load_recognition()
        yield Judges(
            track=FaceTracker,
            segment=open_now.enter_context(PersonSegmenter()),
            find=landmarker.find,
            search=open_now.enter_context(FaceFinder()),
            features=load_faceres(),
            embed=lambda pictures, landmarks: recognition(recognition.faces(pictures, landmarks)),
            points=load_landmarks68().points,
        )


def tensor_of(pictures: Sequence[U8]) -> Tensor:
    """Pictures (H, W, 3) as (B, 3, H, W), 0..1."""
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1).float().div_(255).contiguous()


def feature_distance(made: Sequence[Tensor], real: Sequence[Tensor]) -> F32:
    """(B,), 0 alike .. 2: how far feature maps point apart, the mean over places, then over levels.

    Source: R. Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR
    2018, equation 1, with all channels weighted alike, as nothing was learnt for this network.
    """
    levels = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1).mean(dim=(1, 2))
        for a, b in zip(made, real, strict=True)
    ]
    return np.asarray(torch.stack(levels).mean(dim=0).numpy(), np.float32)
