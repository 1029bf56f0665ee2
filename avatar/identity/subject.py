"""Who the picture is of, roughly: a segmenter's answer made sane with the help of the face's landmarks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8
from avatar.tools.facemesh import CHIN, FOREHEAD

_SMALL_HOLE = 0.01
"""Holes in the person up to this part of the crop are the segmenter's mistakes."""
_CUT_SIDE = 256
"""Side at which the stand-in shape is fitted to the picture."""
_SOFT = 0.022
"""Farther from the outline than this part of the crop nothing is half transparent: no hair is, so the
segmenter was only unsure."""


def subject(rgb: U8, person: F32, landmarks: F32) -> F32:
    """The probability of the one person with the face: others removed, holes filled, face and neck forced.

    Where the segmenter has not seen this person at all, a head-and-shoulders shape round the face stands in.
    """
    side = person.shape[0]
    face = face_shape(side, landmarks, 0.95)
    inside = person[face > 0.5]
    seen = float(inside.mean()) if inside.size else 0.0
    if seen < 0.5 or float(person.mean()) > 0.97:
        person = _cut_out(rgb, _bust(side, landmarks), face)
    person = np.maximum(person, np.maximum(face, _neck(side, landmarks)))
    solid = (person > 0.5).astype(np.uint8)
    _, labels = cv2.connectedComponents(solid, connectivity=4)
    of_face = np.asarray(labels, np.int64)[(face > 0.5) & (solid > 0)]
    own = labels == np.bincount(of_face, minlength=1).argmax()
    own = _closed(own)
    within = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, 3)
    away = np.maximum(within, cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, 3))
    hole = own & (solid == 0)
    decided = hole | (away > _SOFT * side)
    return np.where(decided, own, person).astype(np.float32)


def _closed(own: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~own).astype(np.uint8), connectivity=4)
    limit = _SMALL_HOLE * own.size
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        at_border = left == 0 or top == 0 or left + width == own.shape[1] or top + height == own.shape[0]
        if area <= limit and not at_border:
            own = own | (labels == label)
    return own


def _points(side: int, landmarks: F32) -> F32:
    return landmarks[:, :2] * np.float32(side) - np.float32(0.5)


def face_shape(side: int, landmarks: F32, scale: float) -> F32:
    """The face's hull, shrunk about its middle; 0 or 1."""
    points = _points(side, landmarks)
    middle = points.mean(0)
    hull = cv2.convexHull(np.round(middle + scale * (points - middle)).astype(np.int32))
    return _filled(side, np.asarray(hull, np.int32))


def _frame(landmarks: F32, side: int) -> tuple[F32, F32, F32, float]:
    """Chin, unit vectors right and down of the face in the picture, and half its width, pixels."""
    points = _points(side, landmarks)
    brow, chin = points[FOREHEAD], points[CHIN]
    down = (chin - brow) / max(float(np.linalg.norm(chin - brow)), 1e-6)
    across = np.array([down[1], -down[0]], np.float32)
    along = (points[:468] - chin) @ across
    return chin, across, down, float(np.ptp(along)) / 2


def _neck(side: int, landmarks: F32) -> F32:
    """A narrow strip from inside the face to a little below the chin."""
    chin, across, down, half = _frame(landmarks, side)
    wide = 0.3 * half * across
    ends = [chin - half * down, chin + 0.25 * half * down]
    return _filled(
        side, np.array([ends[0] - wide, ends[0] + wide, ends[1] + wide, ends[1] - wide]).astype(np.int32)
    )


def _bust(side: int, landmarks: F32) -> F32:
    """A soft head-and-shoulders shape."""
    chin, across, down, half = _frame(landmarks, side)
    points = _points(side, landmarks)
    height = float(np.linalg.norm(points[10] - chin))
    middle = chin - 0.62 * height * down + (points[:468].mean(0) - chin) @ across * across
    angle = float(np.degrees(np.arctan2(down[1], down[0])))
    shape = np.zeros((side, side), np.uint8)
    axes = round(0.85 * height), round(max(1.25 * half, 0.6 * height))
    cv2.ellipse(shape, (round(float(middle[0])), round(float(middle[1]))), axes, angle, 0, 360, 1, -1)
    body = [
        (-0.7, -0.6),
        (-0.7, 0.35),
        (-2.4, 0.95),
        (-3.2, 6),
        (3.2, 6),
        (2.4, 0.95),
        (0.7, 0.35),
        (0.7, -0.6),
    ]
    upright = np.array([0, 1], np.float32)
    corners = np.array([chin + x * half * np.array([1, 0], np.float32) + y * half * upright for x, y in body])
    shape = np.maximum(shape, _filled(side, corners.astype(np.int32)).astype(np.uint8))
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), max(0.8, 0.012 * side))
    return np.asarray(soft, np.float32)


def _cut_out(rgb: U8, bust: F32, face: F32) -> F32:
    """The bust, fitted to the picture's colours (GrabCut) as far as the result stays near it; soft."""
    side, small = rgb.shape[0], (_CUT_SIDE, _CUT_SIDE)
    shape = cv2.resize(bust, small, interpolation=cv2.INTER_AREA)
    wide = cv2.dilate((shape > 0.5).astype(np.uint8), disc(0.1 * _CUT_SIDE))
    core = cv2.erode((shape > 0.5).astype(np.uint8), disc(0.12 * _CUT_SIDE))
    small_face = cv2.resize(face, small, interpolation=cv2.INTER_AREA)
    labels = np.where(shape > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[wide == 0] = cv2.GC_BGD
    labels[(core > 0) | (small_face > 0.5)] = cv2.GC_FGD
    if not (labels == cv2.GC_BGD).any():
        return bust
    picture = np.asarray(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    own = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    own = np.asarray(cv2.medianBlur(own * 255, 7), np.float32) / np.float32(255)
    soft = cv2.GaussianBlur(own, (0, 0), 0.01 * _CUT_SIDE)
    return np.asarray(cv2.resize(soft, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _filled(side: int, polygon: NDArray[np.int32]) -> F32:
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [polygon], 1)
    return mask.astype(np.float32)


def disc(radius: float) -> U8:
    """A round structuring element of at least one pixel's radius."""
    reach = max(1, round(radius))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)), np.uint8)
