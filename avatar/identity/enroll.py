"""Takes one picture of a person apart into an `Identity`, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from avatar.errors import NoFaceError, PictureError, SeveralFacesError
from avatar.identity.head import head_mask
from avatar.identity.layers import split_layers
from avatar.records import F32, U8, Crop, Face, Identity
from avatar.tools.facemesh import OVAL, face_height, face_model
from avatar.tools.geometry import fit_similarity

CROP_FACES = 2.8
"""Side of the crop in heights of the face: hair, neck and the tops of the shoulders, with room to move."""
CROP_MIDDLE = 0.49
"""Where the middle of the face lies in the crop, from its top."""
CROP_MIN, CROP_MAX = 256, 1024
PICTURE_MAX = 3840
"""Longest side of a stored picture [px]; a bigger one is scaled down."""
FACE_MIN = 24
"""A face lower than this [px] says too little about a person."""


def enroll(
    picture: U8,
    *,
    name: str,
    find: Callable[[U8], list[Face]],
    segment: Callable[[U8], F32],
    face: int | None = None,
) -> Identity:
    """Make an identity from one picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        name: how the person is called.
        find: gives the faces of a picture.
        segment: gives a picture's person probability, (H, W) float32.
        face: which face, counted from 1 from left to right; None when there is only one.

    Raises:
        NoFaceError: no face in it.
        SeveralFacesError: several, and `face` does not say which.
        PictureError: `face` names none of them, or the face is too small.
    """
    picture = _within(picture, PICTURE_MAX)
    chosen = _choose(find(picture), face)
    height = face_height(chosen.landmarks)
    if height < FACE_MIN:
        raise PictureError(f"the face is only {height:.0f} pixels high; it takes at least {FACE_MIN}")
    crop = _crop_around(chosen.landmarks, height)
    cut, inside = _cut(picture, crop)
    side = int(np.clip(crop.side, CROP_MIN, CROP_MAX))
    cut = cv2.resize(cut, (side, side), interpolation=_filter(crop.side, side)).astype(np.uint8)
    landmarks = _to_crop(chosen.landmarks, crop)
    layers = split_layers(cut, landmarks, segment(cut), inside=inside)
    return Identity(
        name=name,
        picture=picture,
        crop=crop,
        texture=layers.texture,
        alpha=layers.alpha,
        head=head_mask(layers.alpha, landmarks),
        plate=layers.plate,
        landmarks=landmarks,
        neutral=_without_expression(landmarks, chosen.blendshapes),
        blendshapes=chosen.blendshapes,
        pose=chosen.pose,
    )


def boxes(faces: Sequence[Face]) -> list[tuple[int, int, int, int]]:
    """(left, top, width, height) of each face in picture pixels, in the order of `faces`."""
    found = []
    for face in faces:
        low, high = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
        found.append((int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])))
    return found


def _choose(faces: list[Face], number: int | None) -> Face:
    if not faces:
        raise NoFaceError("no face found in the picture; it takes one that looks more or less at the camera")
    ordered = sorted(faces, key=lambda face: float(face.landmarks[:, 0].mean()))
    if number is not None:
        if not 1 <= number <= len(ordered):
            raise PictureError(f"there is no face {number}: the picture has {len(ordered)}")
        return ordered[number - 1]
    if len(ordered) > 1:
        raise SeveralFacesError(f"the picture has {len(ordered)} faces", boxes(ordered))
    return ordered[0]


def _within(picture: U8, longest: int) -> U8:
    height, width = picture.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _crop_around(landmarks: F32, height: float) -> Crop:
    middle = landmarks[list(OVAL), :2].mean(axis=0)
    side = round(CROP_FACES * height)
    return Crop(round(middle[0] - side / 2), round(middle[1] - CROP_MIDDLE * side), side)


def _cut(picture: U8, crop: Crop) -> tuple[U8, tuple[float, float, float, float]]:
    """The crop, mirrored where it hangs over, and its true part (left, top, right, bottom) in crop units."""
    height, width = picture.shape[:2]
    columns = _mirrored(np.arange(crop.left, crop.left + crop.side), width)
    rows = _mirrored(np.arange(crop.top, crop.top + crop.side), height)
    edges = (-crop.left, -crop.top, width - crop.left, height - crop.top)
    left, top, right, bottom = (min(max(edge / crop.side, 0.0), 1.0) for edge in edges)
    return np.ascontiguousarray(picture[rows][:, columns]), (left, top, right, bottom)


def _mirrored(
    index: np.ndarray[tuple[int], np.dtype[np.int_]], length: int
) -> np.ndarray[tuple[int], np.dtype[np.int_]]:
    wrapped = np.mod(index, 2 * length)
    return np.where(wrapped < length, wrapped, 2 * length - 1 - wrapped)


def _filter(before: int, after: int) -> int:
    return cv2.INTER_AREA if after < before else cv2.INTER_CUBIC


def _to_crop(landmarks: F32, crop: Crop) -> F32:
    """Picture pixels to crop units: a pixel's middle (i) lies at (i + 0.5) / side."""
    offset = np.array([crop.left - 0.5, crop.top - 0.5, 0], np.float32)
    return ((landmarks - offset) / crop.side).astype(np.float32)


def _without_expression(landmarks: F32, blendshapes: F32) -> F32:
    """The same face at rest, in the same pose."""
    model = face_model()
    pose = fit_similarity(model.mean, landmarks, model.rigid)
    shape = pose.undo(landmarks) - model.expression(blendshapes)
    return pose(shape)
