"""How closely the avatar's face follows a clip of the same person: self-reenactment from the first frame.

    python -m bench.follow --clips DIR [--limit N] [--sheet OUT.png]

For every clip, `avatar animate FIRST_FRAME CLIP --motion absolute` is run. MediaPipe then looks at each frame
of the video it wrote and of the clip, each by itself (image mode). `follow_px` is the mean distance over the
478 landmarks in x and y, scaled so that the head crop (2.1 heights of the face) is 256 px wide; `still_px` is
the same for a frozen picture. Clips count alike, whatever their length; the last line of stdout is one JSON
document. The exit status is 1 when a clip failed, or a video has another number of frames than its clip.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np

from avatar.capture import VideoFile
from avatar.cli.arguments import GENERATORS
from avatar.cli.main import main as avatar_command
from avatar.errors import AvatarError, OutputError
from avatar.records import F32, U8, Face, Frame
from avatar.tools.facemesh import HEAD_FACES, face_height
from avatar.track import FaceFinder

CROP_PX = 256
EXAMPLES = 5
EXAMPLE_PX = 256
"""Height of an example on the contact sheet."""
SUFFIXES = {".mp4", ".mov", ".mpg", ".mkv", ".webm", ".avi"}

Find = Callable[[U8], list[Face]]


@dataclass(slots=True)
class Row:
    """The result of one clip."""

    clip: str
    frames: int = 0
    written: int = 0
    status: int = 0
    """Exit status of the command: 1 also for a clip that is cut short, whose frames count all the same."""
    lost: int = 0
    """Frames in which no face was found in the clip or in the result."""
    follow_px: float | None = None
    still_px: float | None = None
    error: str | None = None
    """What went wrong, if anything."""


@dataclass(slots=True)
class Examples:
    """A few pairs of small pictures (clip, result), evenly out of a stream whose length is not known."""

    kept: list[tuple[U8, U8]] = field(default_factory=list)
    _step: int = 1
    _count: int = 0

    def offer(self, truth: U8, result: U8) -> None:
        """Keep the next pair, if it is its turn; there are never more than twice `EXAMPLES`."""
        if self._count % self._step == 0:
            self.kept.append((_small(truth), _small(result)))
            if len(self.kept) > 2 * EXAMPLES:
                self.kept, self._step = self.kept[::2], 2 * self._step
        self._count += 1

    def strip(self) -> U8:
        """Clip above, result below."""
        picks = np.linspace(0, len(self.kept) - 1, EXAMPLES).astype(int)
        return np.vstack([np.hstack([self.kept[i][row] for i in picks]) for row in (0, 1)])


def measure(clip: Path, find: Find, every: int, generator: str) -> tuple[Row, Examples]:
    """Drive one clip; gives its row and examples. What goes wrong stands in the row."""
    row, examples = Row(clip.name), Examples()
    try:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder, "out.mp4")
            first = _drive(clip, video, find, row, generator)
            _compare(clip, video, first, find, every, row, examples)
    except (AvatarError, OSError) as error:
        row.error = str(error)
    else:
        if row.written != row.frames:
            row.error = f"{row.written} frames were written for {row.frames}"
        elif row.follow_px is None:
            row.error = "no frame could be compared"
    return row, examples


def _drive(clip: Path, video: Path, find: Find, row: Row, generator: str) -> F32:
    """Have the clip's first frame animated; gives its landmarks."""
    picture = video.with_name("first.png")
    with contextlib.closing(_frames(clip)) as frames:
        rgb = next(frames)
    if not cv2.imwrite(str(picture), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)):
        raise OutputError(f"{picture} cannot be written")
    faces = find(rgb)
    more = ["--generator", generator, *(["--face", str(_number(faces))] if len(faces) > 1 else [])]
    row.status = avatar_command(
        ["animate", str(picture), str(clip), "-o", str(video), "--motion", "absolute", *more]
    )
    if not faces or not video.exists():
        raise OutputError(f"avatar animate gave no video, its exit status was {row.status}")
    return faces[0].landmarks


def _number(faces: list[Face]) -> int:
    """The number, from the left, of the biggest face, which comes first."""
    middles = [float(face.landmarks[:, 0].mean()) for face in faces]
    return sorted(middles).index(middles[0]) + 1


def _compare(
    clip: Path, video: Path, first: F32, find: Find, every: int, row: Row, examples: Examples
) -> None:
    """Go through clip and video in step; both are counted to their own end."""
    scale = CROP_PX / (HEAD_FACES * face_height(first))
    errors, still = [], []
    with contextlib.closing(_frames(clip)) as truths, contextlib.closing(_frames(video)) as results:
        for index, (truth, result) in enumerate(zip_longest(truths, results)):
            row.frames += truth is not None
            row.written += result is not None
            if truth is None or result is None or index % every:
                continue
            result = result[: truth.shape[0], : truth.shape[1]]  # without what made the sides even
            examples.offer(truth, result)
            wanted, got = find(truth), find(result)
            if not wanted or not got:
                row.lost += 1
                continue
            errors.append(_distance(wanted[0].landmarks, got[0].landmarks) * scale)
            still.append(_distance(wanted[0].landmarks, first) * scale)
    if errors:
        row.follow_px, row.still_px = fmean(errors), fmean(still)


def _frames(clip: Path) -> Generator[U8]:
    with contextlib.closing(VideoFile(clip, paced=False, strict=False)) as source:
        while (frame := source()) is not None:
            assert isinstance(frame, Frame)
            yield frame.rgb


def _distance(one: F32, other: F32) -> float:
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean())


def _small(picture: U8) -> U8:
    height, width = picture.shape[:2]
    size = max(1, round(width * EXAMPLE_PX / height)), EXAMPLE_PX
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _sheet(strips: list[U8]) -> U8:
    width = max(strip.shape[1] for strip in strips)
    return np.vstack([np.pad(strip, ((0, 6), (0, width - strip.shape[1]), (0, 0))) for strip in strips])


def as_line(row: Row) -> str:
    """The row for people."""
    follow, still = ("-" if value is None else f"{value:.2f}" for value in (row.follow_px, row.still_px))
    line = (
        f"{row.clip:16} {row.frames:5} frames, {row.written:5} written, {row.lost:3} lost, "
        f"follow {follow:>5} px, still {still:>6} px"
    )
    return f"{line}  FAILED: {row.error}" if row.error else line


def report(rows: list[Row]) -> dict[str, object]:
    """The JSON document; the means are over the clips that could be measured, null if there is none."""
    return {
        "clips": len(rows),
        "failed": sum(row.error is not None for row in rows),
        "follow_px": _mean([row.follow_px for row in rows]),
        "still_px": _mean([row.still_px for row in rows]),
        "rows": [asdict(row) for row in rows],
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 3) if known else None


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m bench.follow", description=__doc__.split("\n\n")[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips, one person each")
    parser.add_argument("--limit", type=int, help="only the first N clips")
    parser.add_argument("--every", type=int, default=3, help="measure every Nth frame (default 3)")
    parser.add_argument("--generator", choices=GENERATORS, default="live", help="what draws (default live)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG) here")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the bench; 0, or 1 when there are no clips or one of them failed."""
    options = build_parser().parse_args(argv)
    if not options.clips.is_dir():
        print(f"bench.follow: error: {options.clips} is no folder", file=sys.stderr)
        return 1
    clips = sorted(path for path in options.clips.iterdir() if path.suffix.lower() in SUFFIXES)
    if not clips:
        print(f"bench.follow: error: no clips in {options.clips}", file=sys.stderr)
        return 1
    rows, strips = [], []
    try:
        with FaceFinder() as find:
            for clip in clips[: options.limit]:
                row, examples = measure(clip, find, options.every, options.generator)
                rows.append(row)
                if examples.kept:
                    strips.append(examples.strip())
                print(as_line(row), flush=True)
    except AvatarError as error:
        print(f"bench.follow: error: {error}", file=sys.stderr)
        return 1
    if options.sheet and strips:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(_sheet(strips), cv2.COLOR_RGB2BGR))
    print(json.dumps(report(rows)))
    return 1 if any(row.error for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
