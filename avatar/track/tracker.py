"""One face, followed through a video.

MediaPipe's video mode follows a face from its own last landmarks, cheaply and smoothly, but chooses the face
by itself, and after losing one it takes any other. So it sees no whole frame before it has the right face:

    searching   the wanted face is looked for in the frame as in a still picture: at first the biggest one,
                later only near its last place, until `GRACE_S` have passed without it
    taking up   the video model is shown that face alone, everything else black; a face too small for its
                detector is shown magnified first, then smaller and smaller down to its true size
    holding     the video model gets whole frames, as long as what it gives is a plausible next step

A hand, a cup or a phone before the mouth needs no rule of its own: painted over the mouth of four clips, they
moved the landmarks of eyes and nose by at most 2 % of the face's height, and the mouth kept to shapes that
mouths have. With the whole face covered the model gives nothing, and the same face is taken up again later.
What is not told apart: another person who takes the very place of the followed one.
"""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import U8, Face, Frame
from avatar.track.boxes import Place, Window
from avatar.track.closing import Closing
from avatar.track.finder import FaceFinder
from avatar.track.landmarker import Landmarker

GRACE_S = 1.5
"""So long a lost face is waited for near its last place; then the biggest one is taken."""

STEP = 0.5
"""A face moves at most this far between frames, in face sizes, ..."""
SPEED = 4.0
"""... and this much more in a second, ..."""
REACH = 1.5
"""... but never further than this: there may be the next face."""
GROWTH = 1.6
"""And it grows or shrinks at most so many times."""

VISIBLE = 0.2
"""Part of the frame's greater side from which on the video model's detector surely sees a face."""
MAGNIFY_STEP = 1.15
"""The video model loses a face that shrinks by more than about 1.2 times from frame to frame."""
SURROUNDINGS = (2.0, 1.4)
"""How much of the frame to show when a face is taken up, in face sizes; the second if a neighbour got in."""
SAME = 0.08
"""The video model has taken up the wanted face if its landmarks are this close; 0.017 was the most seen."""
INTERVAL_MS = 33
"""Time between the frames made up for taking up a face: the model smooths by time."""


class FaceTracker(Closing):
    """Follows one face: at first the biggest one, then the same as long as it stays."""

    def __init__(self) -> None:
        """Start the models; raises ModelError if their file or a system library is missing."""
        self._finder = FaceFinder()
        self._video = Landmarker(video=True, faces=1)
        self._video_ms = 0
        self._last_ns: int | None = None
        self._frame_shape: tuple[int, ...] | None = None
        self._place: Place | None = None
        self._seen_ns = 0
        self._holding = False

    def __call__(self, frame: Frame) -> Face | None:
        """The followed face in the next frame, or None while it is not seen.

        Args:
            frame: of any size; `captured_ns` must not decrease.
        """
        elapsed_ns = frame.captured_ns - self._last_ns if self._last_ns is not None else 0
        self._last_ns = frame.captured_ns
        if frame.rgb.shape != self._frame_shape:
            self._frame_shape = frame.rgb.shape
            self.reset()
        face = self._hold(frame, elapsed_ns) or self._search(frame)
        if face is not None:
            self._place, self._seen_ns = Place.of(face), frame.captured_ns
        return face

    def reset(self) -> None:
        """Forget the face: the next frame's biggest one is taken."""
        self._place = None
        self._holding = False

    def close(self) -> None:
        """Free the models."""
        self._video.close()
        self._finder.close()

    def _hold(self, frame: Frame, elapsed_ns: int) -> Face | None:
        if not self._holding:
            return None
        found = self._follow(frame.rgb, elapsed_ns // 1_000_000)
        face = found if found and self._is_next(found, frame.captured_ns) else None
        self._holding = face is not None
        return face

    def _search(self, frame: Frame) -> Face | None:
        face = self._find(frame)
        if face is not None:
            self._holding = self._take_up(frame.rgb, face)
        return face

    def _find(self, frame: Frame) -> Face | None:
        """The wanted face, found as in a still picture."""
        if self._place is None or frame.captured_ns - self._seen_ns > GRACE_S * 1e9:
            self._place = None
            return next(iter(self._finder(frame.rgb, depth=1)), None)
        last = self._place
        near = Window.around(last, 2 * REACH + 1, (frame.rgb.shape[1], frame.rgb.shape[0]))
        found = [f for f in self._finder.within(frame.rgb, near) if self._is_next(f, frame.captured_ns)]
        return min(found, key=lambda face: Place.of(face).distance(last), default=None)

    def _is_next(self, face: Face, now_ns: int) -> bool:
        """Whether `face` can be the last one, moved on."""
        assert self._place is not None
        place = Place.of(face)
        reach = min(STEP + SPEED * (now_ns - self._seen_ns) / 1e9, REACH)
        return place.distance(self._place) <= reach and place.growth(self._place) <= GROWTH

    def _take_up(self, rgb: U8, wanted: Face) -> bool:
        """Make the video model follow `wanted`; False if it does not see it there."""
        place = Place.of(wanted)
        for surroundings in SURROUNDINGS:
            self._follow(np.zeros_like(rgb), INTERVAL_MS)  # it drops whatever it followed
            face = None
            for factor in _magnifications(place, rgb):
                face = self._follow(_magnified(rgb, place, factor, surroundings), INTERVAL_MS)
                if face is None:
                    break
            if face is not None and _difference(face, wanted) < SAME:
                return True
        return False

    def _follow(self, rgb: U8, elapsed_ms: int) -> Face | None:
        self._video_ms += max(elapsed_ms, 1)
        return next(iter(self._video.follow(rgb, self._video_ms)), None)


def _difference(face: Face, wanted: Face) -> float:
    """Mean distance between the landmarks of two faces, in face sizes."""
    off = face.landmarks[:, :2] - wanted.landmarks[:, :2]
    return float(np.linalg.norm(off, axis=1).mean()) / Place.of(wanted).size


def _magnifications(place: Place, rgb: U8) -> list[float]:
    """Falling factors, the last one 1, the first one big enough for the detector."""
    first = VISIBLE * max(rgb.shape[:2]) / place.size
    steps = max(int(np.ceil(np.log(first) / np.log(MAGNIFY_STEP))), 0)
    return [MAGNIFY_STEP**step for step in range(steps, -1, -1)]


def _magnified(rgb: U8, place: Place, factor: float, surroundings: float) -> U8:
    """The frame magnified around the face's centre, which stays in place; black outside its surroundings."""
    height, width = rgb.shape[:2]
    shift = (1 - factor) * np.array([place.x, place.y])
    matrix = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]], np.float32)
    window = Window.around(Place(place.x, place.y, place.size * factor), surroundings, (width, height))
    shown: U8 = np.zeros_like(rgb)
    shown[window.slices] = cv2.warpAffine(rgb, matrix, (width, height))[window.slices]
    return shown
