"""Which frames of a clip show a person best: a calm one for the front, and the widest range of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.errors import NoFaceError
from avatar.identity.enroll import (
    CROP_MAX,
    CROP_MIN,
    FACE_MIN,
    TakenApart,
    crop_around,
    enroll_face,
    take_apart,
)
from avatar.identity.views import with_view
from avatar.records import F32, U8, Face, Frame, Identity
from avatar.tools.facemesh import MOUTH, OVAL, face_height, face_model
from avatar.tools.looks import looks
from avatar.tools.sharpness import sharpness

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many (None: not known)."""

FRAMES_MAX = 1800
"""At most about so many frames are looked at, evenly over the clip: a minute at 30 a second."""
SHARP = 0.8
"""A face less sharp than this part of the clip's median is not taken,"""
SPEED = 0.45
"""nor one that moves faster than this [face heights a second]: it is smeared even where it looks sharp."""
CUT = 0.02
"""Nor one nearer than this to the picture's border [face heights]."""
ALIKE = 0.12
"""Frames nearer to each other than this [as `looks` counts] are one and the same view."""
AS_GOOD = 0.85
"""Of frames that are almost as far from all views as the farthest, the sharpest is taken."""
LIDS_USUAL = 75
"""Percentile of a clip's lid openings that is taken for open eyes."""
SAME = 0.15
"""A face found in a frame is the one that was followed if its landmarks are this close [face heights]."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One frame of a clip, in numbers."""

    number: int
    """Of the frame, from 0."""
    seconds: float
    face: Face
    sharpness: float
    """Of the face, see `tools.sharpness`."""


def look_through(
    frames: Iterable[Frame],
    track: Callable[[Frame], Face | None],
    *,
    progress: Progress | None = None,
    total: int | None = None,
) -> list[Seen]:
    """What a clip shows; of the frames themselves nothing is kept.

    Args:
        frames: all of the clip, in order.
        track: follows the face.
        progress: told "track" and the number of frames so far.
        total: number of frames, if known.
    """
    seen: list[Seen] = []
    step, start_ns = 1, None
    for frame in frames:
        start_ns = frame.captured_ns if start_ns is None else start_ns
        face = track(frame) if frame.index % step == 0 else None
        if face is not None:
            sharp = sharpness(frame.rgb, face.landmarks)
            seen.append(Seen(frame.index, (frame.captured_ns - start_ns) / 1e9, face, sharp))
        if len(seen) >= 2 * FRAMES_MAX:
            step *= 2
            seen = [one for one in seen if one.number % step == 0]
        if progress:
            progress("track", frame.index + 1, total)
    return seen


def enroll_shots(
    frames: Iterable[Frame],
    shots: Sequence[Seen],
    *,
    name: str,
    find: Callable[[U8], list[Face]],
    segment: Callable[[U8], F32],
    progress: Progress | None = None,
) -> Identity:
    """Make an identity of some frames of a clip.

    Args:
        frames: all of the clip, in order; read up to the last of `shots`.
        shots: as `choose_shots` gives them, the front first.
        name: how the person is called.
        find: gives the faces of a picture: what follows a face through a clip smooths it a little.
        segment: gives a picture's person probability, (H, W) float32.
        progress: told "enroll" and the number of shots so far.
    """
    front, wanted = shots[0], {shot.number: shot for shot in shots}
    side_max = min(max(crop_around(front.face.landmarks).side, CROP_MIN), CROP_MAX)
    identity: Identity | None = None
    apart: dict[int, TakenApart] = {}
    for frame in frames:
        shot = wanted.pop(frame.index, None)
        if shot is None:
            continue
        face = _same_face(find(frame.rgb), shot.face)
        if shot is front:
            identity = enroll_face(frame.rgb, face, name=name, segment=segment)
        else:
            apart[shot.number] = take_apart(frame.rgb, face, segment=segment, side_max=side_max)
        if progress:
            progress("enroll", len(shots) - len(wanted), len(shots))
        if not wanted:
            break
    if identity is None:
        raise NoFaceError("the clip did not give the same frames again")
    for shot in shots[1:]:
        if shot.number in apart:
            identity = with_view(identity, apart[shot.number])
    return identity


def _same_face(found: Sequence[Face], followed: Face) -> Face:
    """The one of `found` that was followed, or `followed` itself."""

    def apart(face: Face) -> float:
        return float(np.linalg.norm(face.landmarks - followed.landmarks, axis=1).mean())

    near = min(found, key=apart, default=followed)
    return near if apart(near) < SAME * face_height(followed.landmarks) else followed


def choose_shots(seen: Sequence[Seen], count: int) -> list[Seen]:
    """The frames to enrol, the front first: `count` of them, or fewer if the clip shows no more that differ.

    Args:
        seen: frames with a face, in order of time.
        count: 1 at least.

    Raises:
        NoFaceError: there is none that would do.
    """
    good = [one for one, usable in zip(seen, _usable(seen), strict=True) if usable]
    if not good:
        raise NoFaceError("no frame of the clip shows a whole face, sharp and of some size")
    features = np.stack([looks(one.face.landmarks) for one in good])
    sharp = np.array([one.sharpness for one in good], np.float32)
    chosen = [_front(good, features)]
    while len(chosen) < count:
        far = np.linalg.norm(features[:, None] - features[chosen], axis=2).min(axis=1)
        if far.max() < ALIKE:
            break
        chosen.append(int(np.where(far >= AS_GOOD * far.max(), sharp, -1).argmax()))
    return [good[i] for i in chosen]


def _usable(seen: Sequence[Seen]) -> NDArray[np.bool_]:
    """(N,): faces that are whole, big and sharp enough and do not move fast."""
    if not seen:
        return np.zeros(0, bool)
    sharp = np.array([one.sharpness for one in seen])
    whole = np.array([_is_whole(one.face) for one in seen])
    calm = _speeds(seen) <= SPEED
    fit = whole & (sharp >= SHARP * np.median(sharp))
    # A clip that never rests, or of few frames, is better than none.
    return fit & calm if (fit & calm).any() else fit if fit.any() else whole


def _is_whole(face: Face) -> bool:
    outline, height = face.landmarks[list(OVAL), :2], face_height(face.landmarks)
    room = np.minimum(outline.min(axis=0), face.frame_size - outline.max(axis=0)).min()
    return height >= FACE_MIN and bool(room >= CUT * height)


def _speeds(seen: Sequence[Seen]) -> F32:
    """(N,), face heights a second: the faster of head and mouth, towards the frames before and after."""
    points = np.stack([one.face.landmarks[:, :2] for one in seen])
    heights = np.array([face_height(one.face.landmarks) for one in seen])
    times = np.array([one.seconds for one in seen])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2)
    paces = np.maximum(steps[:, list(OVAL)].mean(axis=1), steps[:, list(MOUTH.ring)].mean(axis=1))
    paces = paces / heights[1:] / np.maximum(np.diff(times), 1e-3)
    return np.asarray(np.maximum(np.append(paces, 0), np.insert(paces, 0, 0)), np.float32)


def _front(seen: Sequence[Seen], features: F32) -> int:
    """The frame that is nearest to a calm face: straight ahead, mouth shut, eyes open, and no smile."""
    turn, mouth, lids = slice(0, 2), 2, slice(4, 6)
    calm = np.median(features, axis=0)
    calm[turn], calm[mouth] = 0, 0
    calm[lids] = np.percentile(features[:, lids], LIDS_USUAL, axis=0)
    away = np.linalg.norm(features - calm, axis=1)
    model = face_model()
    acted = np.array([np.linalg.norm(model.expression(one.face.blendshapes)) for one in seen])
    blur = -np.log(np.maximum([one.sharpness for one in seen], 1e-3))
    small = -np.log([face_height(one.face.landmarks) for one in seen])
    return int(np.argmin(away + acted / np.sqrt(len(model.mean)) + 0.3 * (blur - blur.min()) + small))
