"""Makes the shipped face model out of a folder of clips of people who talk.

    python -m avatar.train.face_model --clips DIR -o weights/face_model.safetensors

A safetensors file; metadata, all as text:

    format        "livehead-face-model"
    version       "1"
    people, frames, clips    how many it is made of

    mean          float32 (478, 3)        face frame, see `tools.facemesh.FaceModel`
    basis         float16 (52, 478, 3)    its `expressions`
    rigid         float32 (478,)
    mirror        int16   (478,)
    triangles     int16   (852, 3)

The quality is printed and stands in no file: every fifth person is held back, a model is fitted to the
others, and the table tells how far the held-back people's landmarks are from their own mean face before and
after the model's expression is taken off. The file that is written is then fitted to all. From the same
tracks it comes out the same, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from avatar.errors import AvatarError, ModelError, OutputError
from avatar.tools.facemesh import FaceModel
from avatar.tools.tensor_file import replace_file
from avatar.track import FaceFinder
from avatar.train.face_fit import fit_model
from avatar.train.face_quality import CROP, as_table, measure
from avatar.train.tracks import Find, Say, Track, clips_in, read_people

FORMAT = "livehead-face-model"
VERSION = 1

FOLD = 5
"""Each so many-th person is held back."""

CACHE = Path("cache/face_model")
"""Where the tracks are kept unless told otherwise; git ignores it in a checkout."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 done, 1 an error in one line on stderr, 2 a command line that makes no sense, 130 Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        clips = clips_in(arguments.clips)
        _check_output(arguments.output)
        with FaceFinder() as finder:
            make(clips, _shallow(finder), arguments.output, arguments.every, arguments.cache, _print)
    except KeyboardInterrupt:
        print("face_model: stopped; the tracks so far are kept", file=sys.stderr)
        return 130
    except (AvatarError, OSError) as error:
        print(f"face_model: error: {error}", file=sys.stderr)
        return 1
    return 0


def make(clips: Sequence[Path], find: Find, output: Path, every: int, cache: Path, say: Say) -> None:
    """Track the clips, tell the quality, write the model; arguments as in `tracks.read_people`.

    Raises:
        AvatarError: too few people, or their faces do not make a model.
        OSError: cache or output cannot be written.
    """
    people = read_people(clips, find, every, cache, say)
    if len(people) < FOLD:
        raise AvatarError(f"the clips show faces of {len(people)} people, at least {FOLD} are needed")
    triangles = tesselation()
    tracks = list(people.values())
    say(_held_back(tracks, triangles))
    made_of = {
        "people": len(tracks),
        "frames": sum(len(track) for track in tracks),
        "clips": sum(track.clips for track in tracks),
    }
    data = pack(fit_model(tracks, triangles), made_of)
    replace_file(output, data)
    say(f"{output}: {len(data)} bytes, of " + ", ".join(f"{n} {what}" for what, n in made_of.items()))


def tesselation() -> NDArray[np.int32]:
    """(852, 3): MediaPipe's triangles of the skin.

    Raises:
        ModelError: MediaPipe cannot be loaded, or its mesh is another one.
    """
    try:
        from mediapipe.tasks.python.vision import FaceLandmarksConnections
    except ImportError as error:
        raise ModelError(f"MediaPipe cannot be imported ({error})") from None
    lines = [(line.start, line.end) for line in FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION]
    # Each triangle is three lines one after the other: a-b, b-c, c-a.
    sides = np.array(lines, np.int32).reshape(-1, 3, 2)
    if not np.array_equal(sides[:, :, 1], np.roll(sides[:, :, 0], -1, axis=1)):
        raise ModelError("MediaPipe's face mesh is not listed triangle by triangle; take version 1.2")
    return sides[:, :, 0]


def pack(model: FaceModel, made_of: dict[str, int]) -> bytes:
    """The file's content; `made_of` is added to the metadata."""
    arrays = {
        "mean": model.mean.astype(np.float32),
        "basis": model.expressions.astype(np.float16),
        "rigid": model.rigid.astype(np.float32),
        "mirror": model.mirror.astype(np.int16),
        "triangles": model.triangles.astype(np.int16),
    }
    header = {"format": FORMAT, "version": str(VERSION)} | {name: str(n) for name, n in made_of.items()}
    return _sorted(
        save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=header)
    )


def _sorted(data: bytes) -> bytes:
    """The same safetensors file with its header in order of the alphabet: `save` shuffles the metadata."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def _held_back(tracks: Sequence[Track], triangles: NDArray[np.int32]) -> str:
    held = tracks[FOLD - 1 :: FOLD]
    model = fit_model([track for i, track in enumerate(tracks) if i % FOLD != FOLD - 1], triangles)
    frames = sum(len(track) for track in held)
    return (
        f"{len(held)} people held back of {len(tracks)}, {frames} frames; mean landmark error before and "
        f"after the expression is taken off, px of a {CROP} px head crop\n{as_table(measure(model, held))}"
    )


def _shallow(finder: FaceFinder) -> Find:
    """Faces of a clip to learn from are large: no search for small ones in tiles."""
    return lambda rgb: finder(rgb, depth=0)


def _check_output(output: Path) -> None:
    """Before minutes of work, not after."""
    if output.is_dir():
        raise OutputError(f"{output}: is a folder; name the file to write")
    if not os.access(output.parent, os.W_OK):
        raise OutputError(f"{output.parent}: there is no such folder, or nothing may be written into it")


def _print(line: str) -> None:
    print(line, flush=True)


def _step(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="face_model", description="Make the face model out of clips of people who talk."
    )
    parser.add_argument(
        "--clips",
        type=Path,
        required=True,
        metavar="DIR",
        help='videos that show one face each; the file name up to the first "-" tells who it is',
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.safetensors", help="the model to write"
    )
    parser.add_argument(
        "--every", type=_step, default=4, metavar="N", help="look at each N-th frame (default: 4)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        metavar="DIR",
        help=f"where tracks are kept, so that a second run goes on from there (default: {CACHE})",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
