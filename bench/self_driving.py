"""A person drives his own picture: the first half of a clip gives the pictures, the second the motion.

Everything is looked at through one square that stands still: the head window of the front picture.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import cv2
import numpy as np

from avatar.capture import VideoFile
from avatar.errors import NoFaceError
from avatar.generate import Generator
from avatar.identity import cut_out, take_apart, to_crop
from avatar.identity.enroll import CROP_FACES, enroll_face
from avatar.identity.views import with_view
from avatar.offline import track_clip
from avatar.pipeline import warper_for
from avatar.records import F32, U8, Crop, Face, Frame, Identity, Motion, Observation
from avatar.retarget import OwnMotion
from avatar.tools.facemesh import HEAD_FACES
from avatar.tools.looks import looks
from avatar.tools.scaling import resized
from avatar.tools.window import cut_window, head_window, in_pixels, to_window
from avatar.train.data.layout import Clip
from bench.measures import Mask

SIZE = 256
"""Side of the pictures that are compared [px]."""
SIDE = 2 * round(SIZE * CROP_FACES / HEAD_FACES / 2)
"""Side at which portraits are drawn, so that one of their pixels is one of the window [px]."""
GREY = 128
"""What lies outside of the clip's picture, which nobody knows, is of this level in every picture."""

Track = Callable[[], AbstractContextManager[Callable[[Frame], Face | None]]]
"""Opens a tracker for one clip."""
Segment = Callable[[U8], F32]
Open = Callable[[Identity], Generator]
"""Makes a generator ready for a person."""


class Window:
    """The square: 2.1 heights of the face of the front picture, upright as its head is."""

    def __init__(self, identity: Identity) -> None:
        self._crop: Crop = identity.crop
        self._window = head_window(identity.front.landmarks)
        self.known: Mask = self._known(identity.picture.shape[1], identity.picture.shape[0])
        """(SIZE, SIDE) pixels that lie inside the whole picture."""

    def of_portrait(self, portrait: U8) -> U8:
        """(SIZE, SIZE, 3) of a head crop (S, S, 3)."""
        cut = cut_window(portrait, self._window, SIZE)
        cut[~self.known] = GREY
        return cut

    def of_picture(self, picture: U8) -> U8:
        """(SIZE, SIZE, 3) of a whole picture (H, W, 3), by the same steps as a portrait of it."""
        return self.of_portrait(resized(cut_out(picture, self._crop)[0], SIDE))

    def points(self, landmarks: F32) -> F32:
        """Landmarks (478, 3) of the whole picture in pixels of the window."""
        return self.of_crop(to_crop(landmarks, self._crop))

    def of_crop(self, landmarks: F32) -> F32:
        """Landmarks (478, 3) in units of the identity's crop in pixels of the window."""
        scale = SIZE / float(np.hypot(*self._window[:, 0]))
        flat = to_window(landmarks[:, :2], self._window) * SIZE - 0.5
        return np.column_stack([flat, landmarks[:, 2] * scale]).astype(np.float32)

    def _known(self, width: int, height: int) -> Mask:
        at = (np.arange(SIDE) + 0.5) / SIDE * self._crop.side
        across, down = at + self._crop.left, at + self._crop.top
        inside = ((down > 0) & (down < height))[:, None] & (across > 0) & (across < width)
        matrix = in_pixels(self._window, SIZE, SIDE)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(inside.astype(np.uint8) * 255, matrix, (SIZE, SIZE), flags=flags)
        return np.asarray(seen == 255)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which frames of a clip are used, by number."""

    sources: list[int]
    """Of the first half; the front picture first."""
    moments: list[int]
    """Of the second half."""
    neighbours: dict[int, int]
    """The frame right after a moment, or before the last one, if a face was seen in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Driver:
    """What was seen in a clip, and which of it is used."""

    clip: Clip
    seen: list[Observation]
    choice: Choice

    def face(self, number: int) -> Face:
        """In a frame that shows one."""
        face = self.seen[number].face
        assert face is not None
        return face


@dataclass(frozen=True, slots=True, eq=False)
class Shots:
    """What one method, or the camera, shows at every moment: (SIZE, SIZE, 3) each."""

    pictures: list[U8]
    neighbours: list[U8 | None]
    """Of the moments' neighbours."""

    @staticmethod
    def of(shown: Mapping[int, U8], choice: Choice) -> Shots:
        """Out of pictures by number of the frame."""
        neighbours = [choice.neighbours.get(number) for number in choice.moments]
        return Shots(
            [shown[number] for number in choice.moments],
            [None if number is None else shown[number] for number in neighbours],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A clip's second half, as it was and as every method made it."""

    driver: Driver
    source: U8
    """(SIZE, SIZE, 3), the front picture."""
    source_landmarks: F32
    """(478, 3), pixels of that."""
    known: Mask
    landmarks: list[F32]
    """(478, 3) window pixels: the driver's at every moment, as he was followed."""
    real: Shots
    made: dict[str, Shots]


def choose(seen: Sequence[Observation], *, shots: int, frames: int) -> Choice:
    """The frames to use.

    Args:
        seen: of the whole clip.
        shots: how many pictures of the first half; fewer if it has fewer.
        frames: how many moments of the second half, evenly; fewer if it has fewer.

    Raises:
        NoFaceError: one of the halves shows no face.
    """
    shown = [number for number, one in enumerate(seen) if one.face is not None]
    first = [number for number in shown if number < len(seen) // 2]
    second = [number for number in shown if number >= len(seen) // 2]
    if not first or not second:
        raise NoFaceError(f"no face in the {'second' if first else 'first'} half")
    moments = evenly(second, frames)
    near = {number: (number + 1, number - 1) for number in moments}
    neighbours = {n: next(o for o in pair if o in second) for n, pair in near.items() if {*pair} & {*second}}
    faces = [face.landmarks for number in first if (face := seen[number].face) is not None]
    return Choice([first[i] for i in widest(faces, shots)], moments, neighbours)


def evenly(numbers: Sequence[int], most: int) -> list[int]:
    """At most so many of `numbers`, the first and the last one with them."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(i * (len(numbers) - 1) / max(most - 1, 1))] for i in range(most)]


def widest(faces: Sequence[F32], count: int) -> list[int]:
    """The first of faces (478, 3), then always the one most unlike all before, by pose, mouth, eyes, gaze."""
    if count == 1:
        return [0]
    features = np.stack([looks(face) for face in faces])
    far = np.linalg.norm(features - features[0], axis=1)
    taken = [0]
    while len(taken) < min(count, len(faces)):
        far[taken] = -1
        taken.append(int(far.argmax()))
        far = np.minimum(far, np.linalg.norm(features - features[taken[-1]], axis=1))
    return taken


def follow(clip: Clip, track: Track, *, shots: int, frames: int) -> Driver:
    """Track a clip and choose its frames.

    Raises:
        AvatarError: it cannot be read, or shows no face in one of its halves.
    """
    with closing(VideoFile(clip.path, paced=False, strict=False)) as source, track() as tracker:
        seen = track_clip(source, tracker)
    return Driver(clip, seen, choose(seen, shots=shots, frames=frames))


def play(driver: Driver, segment: Segment, methods: Mapping[str, Open]) -> Played:
    """Let the methods make the second half out of pictures of the first; `copy` shows the front picture.

    Raises:
        AvatarError: the clip cannot be read again, or its pictures are of no use.
    """
    choice = driver.choice
    frames = _frames(driver.clip, {*choice.sources, *choice.moments, *choice.neighbours.values()})
    # The front is the first frame that shows a face, so it comes before all others that are wanted.
    _, picture = next(frames)
    identity = enroll_face(picture, driver.face(choice.sources[0]), name=driver.clip.name, segment=segment)
    window = Window(identity)
    source = window.of_picture(picture)
    real = {}
    for number, rgb in frames:
        if number in choice.sources:
            identity = with_view(identity, take_apart(rgb, driver.face(number), segment=segment))
        else:
            real[number] = window.of_picture(rgb)
    opened = {name: open_it(identity) for name, open_it in methods.items()}
    made: dict[str, dict[int, U8]] = {name: {} for name in opened}
    warpers = {name: warper_for(generate, identity, SIDE) for name, generate in opened.items()}
    for number, motion, captured_ns in _motions(driver, identity):
        for name, generate in opened.items():
            # Frames that are not wanted, too: which view is shown may hang on what was shown before.
            warped = warpers[name](motion, captured_ns)
            if number in real:
                made[name][number] = window.of_portrait(generate(warped, motion).rgb)
    made["copy"] = dict.fromkeys(real, source)
    return Played(
        driver=driver,
        source=source,
        source_landmarks=window.of_crop(identity.front.landmarks),
        known=window.known,
        landmarks=[window.points(driver.face(number).landmarks) for number in choice.moments],
        real=Shots.of(real, choice),
        made={name: Shots.of(pictures, choice) for name, pictures in made.items()},
    )


def _motions(driver: Driver, identity: Identity) -> Iterator[tuple[int, Motion, int]]:
    """Number, motion and time stamp of the frames with a face, from the first that is compared."""
    crop = identity.crop
    faces = {n: to_crop(one.face.landmarks, crop) for n, one in enumerate(driver.seen) if one.face}
    own = OwnMotion(identity.front, list(faces.values()))
    for number in range(min(driver.choice.moments), len(driver.seen)):
        if number in faces:
            motion = own(faces[number], driver.seen[number].close_ups)
            yield number, motion, driver.seen[number].captured_ns


def _frames(clip: Clip, wanted: Container[int]) -> Iterator[tuple[int, U8]]:
    with closing(VideoFile(clip.path, paced=False, strict=False)) as source:
        number = 0
        while (frame := source()) is not None:
            if number in wanted:
                yield number, frame.rgb
            number += 1
