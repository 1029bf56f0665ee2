"""Where a face is in the picture, as a square: enough to tell one face from another."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np

from avatar.records import F32, Face


@dataclass(frozen=True, slots=True)
class Place:
    """Centre and size of a face in picture pixels."""

    x: float
    y: float
    size: float
    """The greater side of the box around the landmarks."""

    @staticmethod
    def of(face: Face) -> Place:
        """The place of a face that was found."""
        return Place.at(face.landmarks)

    @staticmethod
    def at(landmarks: F32) -> Place:
        """The place of landmarks (478, 2..) px."""
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        x, y = (low + high) / 2
        return Place(float(x), float(y), float((high - low).max()))

    def distance(self, other: Place) -> float:
        """How far the centres are apart, in sizes of the bigger one."""
        return hypot(self.x - other.x, self.y - other.y) / max(self.size, other.size)

    def growth(self, other: Place) -> float:
        """How many times bigger the bigger of the two is, 1 or more."""
        return max(self.size, other.size) / min(self.size, other.size)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels inside a picture; `right` and `bottom` lie just outside."""

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def around(place: Place, factor: float, frame_size: tuple[int, int]) -> Window:
        """A square of `factor` times the face's size around it, as far as the picture goes."""
        width, height = frame_size
        half = factor * place.size / 2
        return Window(
            left=min(max(int(place.x - half), 0), width - 1),
            top=min(max(int(place.y - half), 0), height - 1),
            right=max(min(int(place.x + half) + 1, width), 1),
            bottom=max(min(int(place.y + half) + 1, height), 1),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing a picture array: rows, columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def moved(face: Face, left: int, top: int, frame_size: tuple[int, int]) -> Face:
    """A face found in a window of a picture, in pixels of the picture; its pose stays the window's.

    Args:
        face: in pixels of the window,
        left: which begins here
        top: and here.
        frame_size: (width, height) of the picture.
    """
    shift = np.array([left, top, 0], np.float32)
    return Face(face.landmarks + shift, face.blendshapes, face.pose, frame_size)
