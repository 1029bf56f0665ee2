"""How near the face tracker is to MediaPipe, and how fast beside it: `python -m bench.track --clips DIR`.

Both look at the same frames in one process, turn about, frame by frame or in blocks, so that what else the
machine does falls on both. MediaPipe sends figures about its use to Google; only developers run this.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from avatar.records import F32, U8, Face, Frame
from avatar.track import FaceTracker
from avatar.track.boxes import Place
from avatar.track.landmarker import open_landmarker
from avatar.track.mediapipe_landmarker import base_options, load_vision, read_faces, starting, to_image
from avatar.weights import resolve
from bench import machine

HEAD = 256 / 2.1
"""Pixels of a face in a head crop of 256 pixels a side."""
FRAME_MS = 33
BLOCK = 30
"""Frames that one of the two takes before the other has its turn."""
STILLS = 4
"""Each so many-th frame is looked at as a picture by itself, too."""
FIGURES = (
    *("find_px", "find_scores", "find_degrees"),
    *("follow_px", "follow_scores", "follow_degrees"),
    *("jitter", "jitter_mediapipe"),
)
SIZES = ((640, 480), (1280, 720))

Watch = Callable[[U8], Face | None]


def measure(frames: Sequence[U8]) -> dict[str, float]:
    """One clip; `find` is our picture mode beside MediaPipe's, `follow` our tracker beside its video mode."""
    found, followed = [], []
    landmarks: tuple[list[F32], list[F32]] = ([], [])
    with (
        open_landmarker("litert", 1) as ours,
        open_landmarker("mediapipe", 1) as theirs,
        FaceTracker() as tracker,
        closing(VideoMode()) as video,
    ):
        track = _tracking(tracker)
        for index, frame in enumerate(frames):
            one, other = track(frame), video(frame)
            if one is None or other is None:
                continue
            followed.append(_apart(one, other))
            landmarks[0].append(one.landmarks)
            landmarks[1].append(other.landmarks)
            if index % STILLS == 0:
                found += [_apart(*pair) for pair in zip(ours.find(frame), theirs.find(frame), strict=False)]
    if len(followed) < 3 or not found:
        raise AvatarError("no face was seen")
    figures = [*np.mean(found, axis=0), *np.mean(followed, axis=0), *map(jitter, landmarks)]
    return dict(zip(FIGURES, map(float, figures), strict=True))


def jitter(landmarks: Sequence[F32]) -> float:
    """Mean second difference in time of all landmarks, in thousandths of the face's size."""
    points = np.stack(landmarks)[:, :, :2]
    size = np.mean([Place.at(now).size for now in landmarks])
    return float(np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean() / size * 1000)


class VideoMode:
    """MediaPipe's Face Landmarker in its video mode, with all that we take of it."""

    def __init__(self) -> None:
        """Start it; raises ModelError."""
        vision = load_vision()
        options = vision.FaceLandmarkerOptions(
            base_options=base_options("face_landmarker"),
            running_mode=vision.RunningMode.VIDEO,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with starting("face landmarker"):
            self._task = vision.FaceLandmarker.create_from_options(options)
        self._milliseconds = 0

    def __call__(self, rgb: U8) -> Face | None:
        """The face of the next frame (H, W, 3)."""
        self._milliseconds += FRAME_MS
        found = read_faces(self._task.detect_for_video(to_image(rgb), self._milliseconds), rgb)
        return next(iter(found), None)

    def close(self) -> None:
        """Free it."""
        self._task.close()


def times(frames: Sequence[U8], rounds: int) -> dict[str, float]:
    """p50 of a frame [ms], of both, and their ratio."""
    taken: dict[str, list[float]] = {"ours": [], "mediapipe": []}
    with FaceTracker() as tracker, closing(VideoMode()) as video:
        watchers: dict[str, Watch] = {"ours": _tracking(tracker), "mediapipe": video}
        for _, start in itertools.product(range(rounds), range(0, len(frames), BLOCK)):
            for name, watch in watchers.items():
                for frame in frames[start : start + BLOCK]:
                    began = time.perf_counter()
                    watch(frame)
                    taken[name].append(time.perf_counter() - began)
    ours, theirs = (float(np.median(taken[name]) * 1000) for name in ("ours", "mediapipe"))
    return {"ours_ms": ours, "mediapipe_ms": theirs, "ratio": ours / theirs}


def read(clip: Path, most: int) -> list[U8]:
    """The first frames of a clip, (H, W, 3)."""
    with av.open(str(clip)) as container:
        frames = itertools.islice(container.decode(video=0), most)
        return [np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def _tracking(tracker: FaceTracker) -> Watch:
    numbers = itertools.count()

    def watch(rgb: U8) -> Face | None:
        number = next(numbers)
        return tracker(Frame(rgb, number, number * FRAME_MS * 1_000_000))

    return watch


def _apart(one: Face, other: Face) -> tuple[float, float, float]:
    """Landmarks [px of a head crop of 256], scores, angle of the poses [degrees]."""
    off = np.linalg.norm(one.landmarks[:, :2] - other.landmarks[:, :2], axis=1).mean()
    turns = [pose[:3, :3] / np.cbrt(np.linalg.det(pose[:3, :3])) for pose in (one.pose, other.pose)]
    angle = 2 * np.arcsin(min(np.linalg.norm(turns[0] - turns[1]) / np.sqrt(8), 1))
    scores = np.abs(one.blendshapes - other.blendshapes).mean()
    return float(off / Place.of(other).size * HEAD), float(scores), float(np.degrees(angle))


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 done, 1 an error in one line."""
    parser = argparse.ArgumentParser(prog="python -m bench.track", description="Compare with MediaPipe.")
    parser.add_argument("--clips", type=Path, metavar="DIR", help="videos (default: the carphone clip)")
    parser.add_argument("--frames", type=shared.whole_number_in(8, 10_000), default=60, metavar="N")
    parser.add_argument("--rounds", type=shared.whole_number_in(1, 100), default=3, metavar="N")
    arguments = parser.parse_args(argv)
    try:
        clips = [resolve("carphone_clip")] if arguments.clips is None else sorted(arguments.clips.iterdir())
        print(json.dumps(report(clips, arguments.frames, arguments.rounds)))
    except (AvatarError, OSError) as error:
        print(f"bench.track: error: {error}", file=sys.stderr)
        return 1
    return 0


def report(clips: Iterable[Path], frames: int, rounds: int) -> dict[str, object]:
    """All figures; a line for each clip is printed on the way."""
    figures = {}
    for clip in clips:
        figures[clip.name] = measure(read(clip, frames))
        print(clip.name, " ".join(f"{name} {value:.4f}" for name, value in figures[clip.name].items()))
    timed = read(resolve("carphone_clip"), 4 * BLOCK)
    taken = {
        f"{width}x{height}": times(
            [np.asarray(cv2.resize(f, (width, height)), np.uint8) for f in timed], rounds
        )
        for width, height in SIZES
    }
    mean = {
        name: float(np.mean([row[name] for row in figures.values()])) for name in next(iter(figures.values()))
    }
    return {"mean": mean, "clips": figures, "times": taken, "machine": machine.describe()}


if __name__ == "__main__":
    sys.exit(main())
