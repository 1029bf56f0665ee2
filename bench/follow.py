"""How closely the avatar's face follows a clip of the same person: self-reenactment from the first frame.

    python -m bench.follow --clips DIR [--limit N] [--sheet OUT.png]

For every clip, `avatar animate FIRST_FRAME CLIP --motion absolute` is run. MediaPipe then looks at each frame
of the video it wrote and of the clip, each by itself (image mode). `follow_px` is the mean distance over the
478 landmarks in x and y, scaled so that the head crop (2.1 heights of the face) is 256 px wide; `still_px` is
the same for a frozen picture. Clips count alike, whatever their length; the last line of stdout is one JSON
document.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from avatar.capture import VideoFile
from avatar.cli.main import main as avatar_command
from avatar.identity.enroll import face_height
from avatar.pipeline import HEAD_FACES
from avatar.records import F32, U8, Frame
from avatar.track import FaceFinder

CROP_PX = 256
EXAMPLES = 5
SUFFIXES = {".mp4", ".mov", ".mpg", ".mkv", ".webm", ".avi"}


@dataclass(frozen=True, slots=True)
class Row:
    """The result of one clip."""

    clip: str
    frames: int
    written: int
    status: int
    """Exit status of the command: 1 for a clip that is cut short, whose frames count all the same."""
    lost: int
    """Frames in which no face was found in the clip or in the result."""
    follow_px: float
    still_px: float


def measure(clip: Path, find: FaceFinder, every: int) -> tuple[Row, U8]:
    """Drive one clip; gives its row and a strip of examples (clip above, result below)."""
    frames = _frames(clip)
    with tempfile.TemporaryDirectory() as folder:
        picture, video = Path(folder, "first.png"), Path(folder, "out.mp4")
        cv2.imwrite(str(picture), cv2.cvtColor(frames[0], cv2.COLOR_RGB2BGR))
        face = _biggest(frames[0], find)
        command = ["animate", str(picture), str(clip), "-o", str(video), "--motion", "absolute"]
        status = avatar_command([*command, *(["--face", str(face)] if face else [])])
        made = _frames(video)
    first = _landmarks(frames[0], find)
    assert first is not None, "the first frame was enrolled"
    scale = CROP_PX / (HEAD_FACES * face_height(first))
    errors, still, lost = [], [], 0
    for truth, result in list(zip(frames, made, strict=True))[::every]:
        wanted, got = _landmarks(truth, find), _landmarks(result[: truth.shape[0], : truth.shape[1]], find)
        if wanted is None or got is None:
            lost += 1
            continue
        errors.append(_distance(wanted, got) * scale)
        still.append(_distance(wanted, first) * scale)
    row = Row(clip.name, len(frames), len(made), status, lost, float(np.mean(errors)), float(np.mean(still)))
    return row, _strip(frames, made)


def _frames(clip: Path) -> list[U8]:
    source = VideoFile(clip, paced=False, strict=False)
    frames = []
    try:
        while (frame := source()) is not None:
            assert isinstance(frame, Frame)
            frames.append(frame.rgb)
    finally:
        source.close()
    return frames


def _biggest(picture: U8, find: FaceFinder) -> int | None:
    """The number, from the left, of the biggest face; None if there is one face only."""
    middles = [float(face.landmarks[:, 0].mean()) for face in find(picture)]
    return sorted(middles).index(middles[0]) + 1 if len(middles) > 1 else None


def _landmarks(picture: U8, find: FaceFinder) -> F32 | None:
    faces = find(picture)
    return faces[0].landmarks if faces else None


def _distance(one: F32, other: F32) -> float:
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean())


def _strip(frames: list[U8], made: list[U8]) -> U8:
    picks = np.linspace(0, len(frames) - 1, EXAMPLES).astype(int)
    rows = [np.hstack([_small(pictures[i]) for i in picks]) for pictures in (frames, made)]
    return np.vstack(rows)


def _small(picture: U8) -> U8:
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.resize(picture, (round(width * 256 / height), 256), interpolation=cv2.INTER_AREA), np.uint8
    )


def _sheet(strips: list[U8]) -> U8:
    width = max(strip.shape[1] for strip in strips)
    return np.vstack([np.pad(strip, ((0, 6), (0, width - strip.shape[1]), (0, 0))) for strip in strips])


def main(argv: list[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(prog="python -m bench.follow", description=__doc__.split("\n\n")[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips, one person each")
    parser.add_argument("--limit", type=int, help="only the first N clips")
    parser.add_argument("--every", type=int, default=3, help="measure every Nth frame (default 3)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG) here")
    options = parser.parse_args(argv)
    clips = sorted(path for path in options.clips.iterdir() if path.suffix.lower() in SUFFIXES)
    rows, strips = [], []
    with FaceFinder() as find:
        for clip in clips[: options.limit]:
            row, strip = measure(clip, find, options.every)
            rows.append(row)
            strips.append(strip)
            print(
                f"{row.clip:16} {row.frames:5} frames, {row.written:5} written, {row.lost:3} lost, "
                f"follow {row.follow_px:5.2f} px, still {row.still_px:6.2f} px",
                flush=True,
            )
    if not rows:
        print(f"no clips in {options.clips}", file=sys.stderr)
        return 1
    if options.sheet:
        cv2.imwrite(str(options.sheet), cv2.cvtColor(_sheet(strips), cv2.COLOR_RGB2BGR))
    print(
        json.dumps(
            {
                "clips": len(rows),
                "follow_px": round(float(np.mean([row.follow_px for row in rows])), 3),
                "still_px": round(float(np.mean([row.still_px for row in rows])), 3),
                "rows": [asdict(row) for row in rows],
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
