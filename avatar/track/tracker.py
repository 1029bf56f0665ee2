"""One face, followed through a video.

    searching   the wanted face is looked for in the frame as in a still picture: at first the biggest one,
                later only near its last place, until `GRACE_S` have passed without it
    holding     the landmarks are looked for where they were in the last frame, as long as what comes out is
                a plausible next step

A hand, a cup or a phone before the mouth needs no rule of its own: painted over the mouth of four clips, they
moved the landmarks of eyes and nose by at most 2 % of the face's height, and the mouth kept to shapes that
mouths have. With the whole face covered the model gives nothing, and the same face is taken up again later.
What is not told apart: another person who takes the very place of the followed one.
"""

from __future__ import annotations

from avatar.records import F32, Face, Frame
from avatar.track.boxes import Place, Window
from avatar.track.closing import Closing
from avatar.track.finder import FaceFinder
from avatar.track.landmarker import Followed, Kind
from avatar.track.smoothing import Smoother

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


class FaceTracker(Closing):
    """Follows one face: at first the biggest one, then the same as long as it stays."""

    def __init__(self, kind: Kind = "litert") -> None:
        """Start the models.

        Args:
            kind: `litert`, or `mediapipe` for MediaPipe itself, which sends figures about its use to Google.

        Raises:
            ModelError: a model file, package or system library is missing.
        """
        self._finder = FaceFinder(kind)
        self._frame_shape: tuple[int, ...] | None = None
        self._held: F32 | None = None
        self._smooth = Smoother()
        self._place: Place | None = None
        self._seen_ns = 0
        self.searches = 0
        """How often the wanted face had to be looked for in the frame."""

    def __call__(self, frame: Frame) -> Face | None:
        """The followed face in the next frame, or None while it is not seen.

        Args:
            frame: of any size; `captured_ns` must not decrease.
        """
        if frame.rgb.shape != self._frame_shape:
            self._frame_shape = frame.rgb.shape
            self.reset()
        face = self._hold(frame) or self._search(frame)
        if face is not None:
            self._place, self._seen_ns = Place.of(face), frame.captured_ns
        return face

    def reset(self) -> None:
        """Forget the face: the next frame's biggest one is taken."""
        self._place = self._held = None

    def close(self) -> None:
        """Free the models."""
        self._finder.close()

    def _hold(self, frame: Frame) -> Face | None:
        """The face of the frame before, found again where it was."""
        if self._held is None:
            return None
        found = self._follow(frame, self._held)
        if found is None or not self._is_next(Place.at(found.landmarks), frame.captured_ns):
            self._held = None
            return None
        self._held = found.landmarks
        return found.face

    def _search(self, frame: Frame) -> Face | None:
        """The wanted face, found anew; measured as it will be in the next frame."""
        self.searches += 1
        face = self._find(frame)
        if face is None:
            return None
        self._smooth.reset()
        found = self._follow(frame, face.landmarks)
        self._held = found.landmarks if found else None
        return found.face if found else face

    def _follow(self, frame: Frame, last: F32) -> Followed | None:
        seconds = (frame.captured_ns - self._seen_ns) / 1e9
        return self._finder.landmarker.follow(frame.rgb, last, lambda now: self._smooth(now, seconds))

    def _find(self, frame: Frame) -> Face | None:
        """The wanted face, found as in a still picture."""
        if self._place is None or frame.captured_ns - self._seen_ns > GRACE_S * 1e9:
            self._place = None
            return next(iter(self._finder(frame.rgb, depth=1)), None)
        last = self._place
        near = Window.around(last, 2 * REACH + 1, (frame.rgb.shape[1], frame.rgb.shape[0]))
        found = [
            f for f in self._finder.within(frame.rgb, near) if self._is_next(Place.of(f), frame.captured_ns)
        ]
        return min(found, key=lambda face: Place.of(face).distance(last), default=None)

    def _is_next(self, place: Place, now_ns: int) -> bool:
        """Whether a face there can be the last one, moved on."""
        assert self._place is not None
        reach = min(STEP + SPEED * (now_ns - self._seen_ns) / 1e9, REACH)
        return place.distance(self._place) <= reach and place.growth(self._place) <= GROWTH
