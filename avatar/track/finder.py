"""The faces of a still picture.

MediaPipe's face detector looks at the whole picture at 128 pixels a side and sees a face from about an eighth
of the greater side on (measured: 80 px of 640, 156 px of 1280). Smaller faces are looked for in overlapping
tiles, faces cut by the border in a copy with grey around it (of ten portraits cropped a fifth inside the
face's own box, MediaPipe found two as they were, two with the border's colours continued, nine with grey).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avatar.records import U8, Face
from avatar.track.boxes import Place, Window, moved
from avatar.track.closing import Closing
from avatar.track.landmarker import Kind, open_landmarker

MAX_FACES = 8
DEPTH = 2
"""Tiles of half and of a quarter of the picture's greater side: faces from 1/32 of it on, 40 px of 1280."""

PADDING = 0.5
"""Of the picture's greater side, added on each side when no face was found in the picture as it is."""

GREY = 128

CLOSE = 3.0
"""A face is looked at again in a window of so many times its size."""

SAME = 0.5
"""Faces whose centres are less than this many sizes apart are one."""

BACKGROUND = 0.25
"""A face smaller than this part of the biggest one belongs to the background."""


class FaceFinder(Closing):
    """Finds up to 8 faces in a picture, the biggest first."""

    def __init__(self, kind: Kind = "litert") -> None:
        """Start the models.

        Args:
            kind: `litert`, or `mediapipe` for MediaPipe itself, which sends figures about its use to Google.

        Raises:
            ModelError: a model file, package or system library is missing.
        """
        self.landmarker = open_landmarker(kind, MAX_FACES)
        """What finds the faces, to follow one with."""

    def __call__(self, rgb: U8, *, depth: int = DEPTH) -> list[Face]:
        """The faces of a picture, biggest first; empty when there is none.

        A face's `pose` belongs to a camera that sees just the part of the picture the face was found in.

        Args:
            rgb: (H, W, 3) uint8.
            depth: how often to halve the tiles for smaller faces; each time takes four times as long. Tiles
                smaller than half of the picture are looked at only while no face was found.
        """
        faces = self.landmarker.find(rgb) or self._find_padded(rgb)
        for level in range(1, depth + 1):
            if level > 1 and faces:
                break
            for window in _tiles(rgb.shape[1], rgb.shape[0], level):
                faces += [face for face in self.within(rgb, window) if not _known(face, faces)]
        return _biggest([self._looked_at_closely(face, rgb) for face in faces])

    def within(self, rgb: U8, window: Window) -> list[Face]:
        """The faces that lie in one window of the picture and are not cut by it, in picture pixels."""
        height, width = rgb.shape[:2]
        found = self.landmarker.find(rgb[window.slices])
        whole = (moved(face, window.left, window.top, (width, height)) for face in found)
        return [face for face in whole if not _is_cut(face, window)]

    def close(self) -> None:
        """Free the model."""
        self.landmarker.close()

    def _looked_at_closely(self, face: Face, rgb: U8) -> Face:
        """The same face found once more among its surroundings.

        Near the detector's limit it may be so far off that the landmarks come out quite wrong.
        """
        place = Place.of(face)
        window = Window.around(place, CLOSE, face.frame_size)
        if (window.right - window.left, window.bottom - window.top) == face.frame_size:
            return face
        again = [near for near in self.within(rgb, window) if place.distance(Place.of(near)) < SAME]
        return min(again, key=lambda near: place.distance(Place.of(near)), default=face)

    def _find_padded(self, rgb: U8) -> list[Face]:
        height, width = rgb.shape[:2]
        pad = round(PADDING * max(width, height))
        padded = np.full((height + 2 * pad, width + 2 * pad, 3), GREY, np.uint8)
        padded[pad : pad + height, pad : pad + width] = rgb
        return [moved(face, -pad, -pad, (width, height)) for face in self.landmarker.find(padded)]


def _tiles(width: int, height: int, level: int) -> Iterator[Window]:
    """Squares of 1/2**level of the greater side, overlapping by half, that cover the picture."""
    side = -(-max(width, height) // 2**level)
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield Window(left, top, min(left + side, width), min(top + side, height))


def _starts(length: int, side: int) -> list[int]:
    room = max(length - side, 0)
    steps = -(-room * 2 // side)
    return [round(room * step / max(steps, 1)) for step in range(steps + 1)]


def _is_cut(face: Face, window: Window) -> bool:
    """Whether the face sticks out of the window where the picture goes on."""
    width, height = face.frame_size
    (left, top), (right, bottom) = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
    return bool(
        (left < window.left and window.left > 0)
        or (top < window.top and window.top > 0)
        or (right > window.right and window.right < width)
        or (bottom > window.bottom and window.bottom < height)
    )


def _known(face: Face, faces: list[Face]) -> bool:
    place = Place.of(face)
    return any(place.distance(Place.of(other)) < SAME for other in faces)


def _biggest(faces: list[Face]) -> list[Face]:
    ordered = sorted(faces, key=lambda face: Place.of(face).size, reverse=True)
    return [face for face in ordered if Place.of(face).size >= BACKGROUND * Place.of(ordered[0]).size][
        :MAX_FACES
    ]
