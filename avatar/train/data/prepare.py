"""Makes the cache of a folder of clips: tracks the faces, cuts them out, takes some of them apart.

A clip whose cache is there and made of the same file with the same numbers is not made again, so that a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from avatar.capture import VideoFile
from avatar.errors import PictureError, VideoError
from avatar.identity import TakenApart, crop_around, cut_out, take_apart, to_crop
from avatar.records import F32, U8, Crop, Face
from avatar.tools.facemesh import face_height
from avatar.tools.looks import looks
from avatar.tools.scaling import resized
from avatar.tools.sharpness import sharpness
from avatar.track import FaceTracker, PersonSegmenter
from avatar.train.data.clip_cache import ClipCache, PackedPictures, load_clip
from avatar.train.data.layout import Clip

MAKER = 2
"""Of the code below; raised when it makes other things of the same clip."""

Progress = Callable[[int, int, str], None]
"""Told how many clips are done, of how many, and a line about the last one."""


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """What is kept of a clip."""

    frames: int = 160
    """At most so many faces, evenly spread over the clip,"""
    sources: int = 12
    """and so many of them taken apart: half spread over time, half as different as can be."""
    side: int = 352
    """Longest side of a kept crop [px]; 2.8 face heights: 264 px for the network's window of 2.1."""
    face_min: int = 40
    """A face lower than this [px] teaches nothing."""


class BadClipError(VideoError):
    """Nothing of use in a clip; the message says why."""


def prepare(
    clips: Sequence[Clip], cache: Path, options: PrepareOptions, *, workers: int, progress: Progress
) -> tuple[list[Path], dict[str, str]]:
    """Make what is missing of the cache of `clips`.

    Args:
        clips: what to make ready.
        cache: folder of the cache, made if it is not there.
        options: what is kept.
        workers: processes at work; 1 works in this one.
        progress: told after each clip.

    Returns:
        The files of the good clips in the order of `clips`, and why each bad clip was left out, by name.
    """
    cache.mkdir(parents=True, exist_ok=True)
    jobs = [(clip, cache, options) for clip in clips]
    outcomes: dict[str, str | None] = {}
    for clip, flaw in _at_work(jobs, workers):
        outcomes[clip.name] = flaw
        progress(len(outcomes), len(clips), f"{clip.name}: {flaw or 'ready'}")
    good = [cache_file(cache, clip) for clip in clips if outcomes[clip.name] is None]
    return good, {name: flaw for name, flaw in sorted(outcomes.items()) if flaw is not None}


def cache_file(cache: Path, clip: Clip) -> Path:
    """Where the cache keeps a clip."""
    return cache / (quote(clip.name, safe="") + ".clip")


_Job = tuple[Clip, Path, PrepareOptions]


def _at_work(jobs: Sequence[_Job], workers: int) -> Iterator[tuple[Clip, str | None]]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(_do, jobs)
        return
    # "spawn": the tracker's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap_unordered(_do, jobs)


def _do(job: _Job) -> tuple[Clip, str | None]:
    """Make one clip if it is missing; returns what is wrong with it."""
    clip, cache, options = job
    file = cache_file(cache, clip)
    try:
        found = clip.path.stat()
        made_of = json.dumps(
            {"bytes": found.st_size, "changed": found.st_mtime_ns, "by": MAKER, **asdict(options)}
        )
        try:
            load_clip(file, made_of)
        except VideoError:
            read_clip(clip, options).save(file, made_of)
    except (VideoError, PictureError) as error:  # whatever else goes wrong is not the clip's fault
        return clip, str(error)
    return clip, None


def read_clip(clip: Clip, options: PrepareOptions) -> ClipCache:
    """Track a clip and keep of it what `options` say.

    Raises:
        BadClipError: fewer than two usable faces.
        VideoError: it cannot be read.
        ModelError: a model file is missing.
    """
    faces, size = _track(clip.path, options.face_min)
    if len(faces) < 2:
        raise BadClipError(f"only {len(faces)} frames show a face of {options.face_min} pixels or more")
    chosen = _evenly(sorted(faces), options.frames)
    crops: list[Crop] = []
    frames: list[U8] = []
    mattes: list[U8] = []
    apart: list[TakenApart] = []
    landmarks = np.zeros((len(chosen), 478, 3), np.float32)
    wanted = spread([faces[number] for number in chosen], options.sources)
    with ExitStack() as open_now:
        segment = open_now.enter_context(PersonSegmenter())
        for row, (number, rgb) in enumerate(_frames(clip.path, chosen)):
            face = faces[number]
            crop = crop_around(face.landmarks)
            cut, _ = cut_out(rgb, crop)
            side = min(crop.side, options.side)
            frame = _shrunk(cut, side)
            landmarks[row] = to_crop(face.landmarks, crop)
            frames.append(frame)
            mattes.append(soft_matte(frame, segment(frame)))
            crops.append(crop)
            if row in wanted:
                apart.append(take_apart(rgb, face, segment=segment, side_max=options.side))
    kept = chosen[: len(frames)]
    return ClipCache(
        person=clip.person,
        clip=clip.name,
        size=size,
        frames=PackedPictures.pack(frames, ".jpg"),
        mattes=PackedPictures.pack(mattes, ".png"),
        landmarks=landmarks[: len(kept)],
        blendshapes=np.stack([faces[number].blendshapes for number in kept]),
        poses=np.stack([faces[number].pose for number in kept]),
        crops=np.array([(crop.left, crop.top, crop.side) for crop in crops], np.int32),
        numbers=np.array(kept, np.int32),
        sharpness=np.array(
            [sharpness(f, f.shape[0] * m) for f, m in zip(frames, landmarks, strict=False)], np.float32
        ),
        sources=np.array(sorted(wanted)[: len(apart)], np.int32),
        textures=PackedPictures.pack([one.view.texture for one in apart], ".png"),
        alphas=PackedPictures.pack([one.view.alpha for one in apart], ".png"),
        heads=PackedPictures.pack([one.view.head for one in apart], ".png"),
    )


def _track(path: Path, face_min: int) -> tuple[dict[int, Face], tuple[int, int]]:
    """The followed face by number of the frame, where it is big enough, and the (width, height)."""
    faces: dict[int, Face] = {}
    size = (0, 0)
    with closing(VideoFile(path, paced=False, strict=False)) as source, FaceTracker() as tracker:
        count = 0
        while (frame := source()) is not None:
            face = tracker(frame)
            if face is not None and face_height(face.landmarks) >= face_min:
                faces[count] = face
                size = face.frame_size
            count += 1
    return faces, size


def _frames(path: Path, chosen: Iterable[int]) -> Iterator[tuple[int, U8]]:
    wanted = set(chosen)
    with closing(VideoFile(path, paced=False, strict=False)) as source:
        count = 0
        while (frame := source()) is not None:
            if count in wanted:
                yield count, frame.rgb
            count += 1


def _evenly(numbers: list[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return numbers
    return [numbers[round(i * (len(numbers) - 1) / (most - 1))] for i in range(most)]


def spread(faces: Sequence[Face], count: int) -> set[int]:
    """Which faces to take apart: half evenly over time, then always the one most unlike all before."""
    count = min(count, len(faces))
    taken = [round(i * (len(faces) - 1) / max(count // 2 - 1, 1)) for i in range(max(count // 2, 1))]
    features = np.stack([looks(face.landmarks) for face in faces])
    while len(set(taken)) < count:
        far = np.linalg.norm(features[:, None] - features[taken], axis=2).min(axis=1)
        far[taken] = -1
        taken.append(int(far.argmax()))
    return set(taken)


def soft_matte(frame: U8, person: F32) -> U8:
    """(S/2, S/2): a segmenter's answer (S, S) drawn to the edges of the picture (S, S, 3).

    Source: K. He et al., "Guided image filtering", IEEE PAMI 35(6), 2013.
    """
    side = frame.shape[0] // 2
    small = resized(frame, side)
    rough = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
    fine = cv2.ximgproc.guidedFilter(small, rough, max(2, side // 40), (0.02 * 255) ** 2)
    return np.asarray(np.clip(fine * 255 + 0.5, 0, 255), np.uint8)


def _shrunk(picture: U8, side: int) -> U8:
    return resized(picture, side) if picture.shape[0] > side else np.ascontiguousarray(picture)
