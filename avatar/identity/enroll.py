"""Takes one picture of a person apart, once: into a `View`, or with all that belongs to it an `Identity`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.errors import NoFaceError, PictureError, SeveralFacesError
from avatar.identity.head import head_mask
from avatar.identity.layers import split_layers
from avatar.records import F32, U8, Crop, Face, Identity, View
from avatar.tools.facemesh import OVAL, face_height, without_expression

CROP_FACES = 2.8
"""Side of the crop in heights of the face: hair, neck and the tops of the shoulders, with room to move."""
CROP_MIDDLE = 0.49
"""Where the middle of the face lies in the crop, from its top."""
CROP_MIN, CROP_MAX = 256, 1024
PICTURE_MAX = 3840
"""Longest side of a stored picture [px]; a bigger one is scaled down."""
FACE_MIN = 24
"""A face lower than this [px] says too little about a person."""


@dataclass(frozen=True, slots=True, eq=False)
class TakenApart:
    """One picture taken apart: the person in it, and what was around and behind."""

    view: View
    crop: Crop
    """Where the view's crop lies in the picture."""
    plate: U8
    """(S, S, 3), the background of that crop with the person taken out."""
    inside: tuple[float, float, float, float]
    """Left, top, right and bottom of the part of the crop that the picture shows, crop units."""


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
    return enroll_face(picture, choose(find(picture), face), name=name, segment=segment)


def enroll_face(picture: U8, face: Face, *, name: str, segment: Callable[[U8], F32]) -> Identity:
    """Make an identity from the face at a known place (pixels) of a picture; the rest as of `enroll`."""
    front = take_apart(picture, face, segment=segment)
    view = front.view
    return Identity(
        name=name,
        picture=picture,
        crop=front.crop,
        plate=front.plate,
        neutral=without_expression(view.landmarks, view.blendshapes),
        views=(view,),
    )


def take_single(
    picture: U8, *, find: Callable[[U8], list[Face]], segment: Callable[[U8], F32], side_max: int = CROP_MAX
) -> TakenApart:
    """Take the only person out of a picture; arguments and errors as of `enroll`."""
    picture = _within(picture, PICTURE_MAX)
    return take_apart(picture, choose(find(picture), None), segment=segment, side_max=side_max)


def take_apart(
    picture: U8, face: Face, *, segment: Callable[[U8], F32], side_max: int = CROP_MAX
) -> TakenApart:
    """Take the person with that face out of a picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: in pixels of the picture.
        segment: gives a picture's person probability, (H, W) float32.
        side_max: longest side of the view's crop [px].

    Raises:
        PictureError: the face is too small.
    """
    height = face_height(face.landmarks)
    if height < FACE_MIN:
        raise PictureError(f"the face is only {height:.0f} pixels high; it takes at least {FACE_MIN}")
    crop = crop_around(face.landmarks)
    cut, inside = cut_out(picture, crop)
    side = int(np.clip(crop.side, CROP_MIN, side_max))
    cut = cv2.resize(cut, (side, side), interpolation=_filter(crop.side, side)).astype(np.uint8)
    landmarks = to_crop(face.landmarks, crop)
    layers = split_layers(cut, landmarks, segment(cut), inside=inside)
    head = head_mask(layers.alpha, landmarks)
    view = View(layers.texture, layers.alpha, head, landmarks, face.blendshapes, face.pose)
    return TakenApart(view, crop, layers.plate, inside)


def boxes(faces: Sequence[Face]) -> list[tuple[int, int, int, int]]:
    """(left, top, width, height) of each face in picture pixels, in the order of `faces`."""
    found = []
    for face in faces:
        low, high = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
        found.append((int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])))
    return found


def choose(faces: Sequence[Face], number: int | None) -> Face:
    """The face with that number from the left, counted from 1; errors as in `enroll`."""
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


def crop_around(landmarks: F32) -> Crop:
    """The head crop of landmarks (478, 3) in picture pixels."""
    middle = landmarks[list(OVAL), :2].mean(axis=0)
    side = round(CROP_FACES * face_height(landmarks))
    return Crop(round(middle[0] - side / 2), round(middle[1] - CROP_MIDDLE * side), side)


def cut_out(picture: U8, crop: Crop) -> tuple[U8, tuple[float, float, float, float]]:
    """The crop, mirrored where it hangs over, and its true part (left, top, right, bottom) in crop units."""
    height, width = picture.shape[:2]
    columns = _mirrored(np.arange(crop.left, crop.left + crop.side), width)
    rows = _mirrored(np.arange(crop.top, crop.top + crop.side), height)
    return np.ascontiguousarray(picture[rows][:, columns]), inside_of(crop, (width, height))


def inside_of(crop: Crop, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, crop units, of the part of a crop that a picture (width, height) shows."""
    edges = (-crop.left, -crop.top, size[0] - crop.left, size[1] - crop.top)
    left, top, right, bottom = (min(max(edge / crop.side, 0.0), 1.0) for edge in edges)
    return left, top, right, bottom


def _mirrored(
    index: np.ndarray[tuple[int], np.dtype[np.int_]], length: int
) -> np.ndarray[tuple[int], np.dtype[np.int_]]:
    wrapped = np.mod(index, 2 * length)
    return np.where(wrapped < length, wrapped, 2 * length - 1 - wrapped)


def _filter(before: int, after: int) -> int:
    return cv2.INTER_AREA if after < before else cv2.INTER_CUBIC


def to_crop(landmarks: F32, crop: Crop) -> F32:
    """Picture pixels to crop units: a pixel's middle (i) lies at (i + 0.5) / side."""
    offset = np.array([crop.left - 0.5, crop.top - 0.5, 0], np.float32)
    return ((landmarks - offset) / crop.side).astype(np.float32)
