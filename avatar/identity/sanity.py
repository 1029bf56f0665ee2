"""Whether an identity can be rendered at all: sizes that fit into memory, and a face that is one."""

from __future__ import annotations

import re

import numpy as np

from avatar.records import F32, U8, Conditioning, Crop, Identity, View
from avatar.tools.facemesh import face_height, face_model
from avatar.tools.geometry import fit_similarity

PICTURE_MAX = 4096
"""Longest side of the picture [px]."""
SIDE_MIN, SIDE_MAX = 256, 1024
"""Side of the stored crop [px]."""
CROP_OF_LONGEST, CROP_OF_SHORTEST = 4, 8
"""The crop's side is at most so many times the picture's longest and shortest: it may hang over."""
HEIGHT_MIN, HEIGHT_MAX = 0.1, 0.9
"""Of the face [crop units]."""
PLACE_MIN, PLACE_MAX = -1.0, 2.0
"""Of landmarks in x and y [crop units]."""
DEPTH_MAX = 2.0
STRANGE = 0.4
"""No landmark lies farther from where the average face has it [face heights]; in the oddest painting that the
tracker took for a face it is 0.13."""
SCORE_SLACK = 0.01
POSE_MAX = 1e5
VIEWS_MAX = 32
TENSORS_MAX, NUMBERS_MAX = 256, 2**23
"""Of a conditioning: how many tensors, and how many numbers in all of them."""
_PRESET, _SHA256, _TENSOR = r"[a-z0-9_-]{1,40}", r"[0-9a-f]{64}", r"[A-Za-z0-9_.]{1,100}"


def check_identity(identity: Identity) -> None:
    """Check what the types do not say.

    Raises:
        ValueError: something makes no sense; the message says what.
    """
    _check_crop(identity.crop, identity.picture.shape)
    if not 1 <= len(identity.views) <= VIEWS_MAX:
        raise ValueError(f"{len(identity.views)} views, not 1 to {VIEWS_MAX}")
    for number, view in enumerate(identity.views):
        try:
            _check_view(view)
        except ValueError as error:
            raise ValueError(f"view {number + 1}: {error}" if number else str(error)) from None
    side = identity.front.texture.shape[0]
    _check_layer("plate", identity.plate, side)
    _check_numbers("neutral", identity.neutral)
    _check_face("neutral", identity.neutral)
    if identity.conditioning is not None:
        _check_conditioning(identity.conditioning)


def _check_conditioning(conditioning: Conditioning) -> None:
    named = (("preset", conditioning.preset, _PRESET), ("weights", conditioning.weights_sha256, _SHA256))
    for key, text, pattern in named:
        if not (isinstance(text, str) and re.fullmatch(pattern, text)):
            raise ValueError(f"the conditioning's {key} has no name that makes sense")
    tensors = conditioning.tensors
    if not 1 <= len(tensors) <= TENSORS_MAX:
        raise ValueError(f"a conditioning of {len(tensors)} tensors, not 1 to {TENSORS_MAX}")
    if sum(tensor.size for tensor in tensors.values()) > NUMBERS_MAX:
        raise ValueError(f"a conditioning of more than {NUMBERS_MAX} numbers")
    for name, tensor in tensors.items():
        if not re.fullmatch(_TENSOR, name):
            raise ValueError("a tensor of the conditioning has a name that makes no sense")
        if tensor.dtype not in (np.float16, np.float32) or not 1 <= tensor.ndim <= 4 or not tensor.size:
            raise ValueError(f"the conditioning's {name} is {tensor.dtype} {tensor.shape}")
        _check_numbers(f"the conditioning's {name}", tensor)


def _check_view(view: View) -> None:
    side = view.texture.shape[0]
    if not SIDE_MIN <= side <= SIDE_MAX:
        raise ValueError(f"the stored crop is {side} pixels wide, not {SIDE_MIN} to {SIDE_MAX}")
    for key in ("texture", "alpha", "head"):
        _check_layer(key, getattr(view, key), side)
    for key in ("landmarks", "blendshapes", "pose"):
        _check_numbers(key, getattr(view, key))
    _check_face("landmarks", view.landmarks)
    scores = view.blendshapes
    if scores.min() < -SCORE_SLACK or scores.max() > 1 + SCORE_SLACK:
        raise ValueError("blendshapes are not all within 0..1")
    if np.abs(view.pose).max() > POSE_MAX:
        raise ValueError("the pose is beyond measure")


def _check_layer(key: str, layer: U8, side: int) -> None:
    if layer.shape[:2] != (side, side):
        raise ValueError(f"{key} is {layer.shape[:2]}, not {(side, side)}")


def _check_numbers(key: str, numbers: F32) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError(f"{key} holds numbers that are not finite")


def _check_crop(crop: Crop, shape: tuple[int, ...]) -> None:
    height, width = shape[:2]
    longest, shortest = max(width, height), min(width, height)
    if longest > PICTURE_MAX:
        raise ValueError(f"the picture is {width}x{height}")
    if not 1 <= crop.side <= min(CROP_OF_LONGEST * longest, CROP_OF_SHORTEST * shortest):
        raise ValueError(f"a crop of {crop.side} pixels makes no sense in a picture of {width}x{height}")
    if not (-crop.side < crop.left < width and -crop.side < crop.top < height):
        raise ValueError(f"the crop at {crop.left}, {crop.top} lies outside of the picture")


def _check_face(key: str, landmarks: F32) -> None:
    flat = landmarks[:, :2]
    if flat.min() < PLACE_MIN or flat.max() > PLACE_MAX or np.abs(landmarks[:, 2]).max() > DEPTH_MAX:
        raise ValueError(f"{key} lie far outside of the crop")
    height = face_height(landmarks)
    if not HEIGHT_MIN <= height <= HEIGHT_MAX:
        raise ValueError(f"{key}: a face {height:.2f} crops high makes no sense")
    model = face_model()
    average = fit_similarity(model.mean, landmarks, model.rigid)(model.mean)
    if np.linalg.norm(landmarks - average, axis=1).max() > STRANGE * height:
        raise ValueError(f"{key} are not those of a face")
