"""Motion recordings: what a tracker saw in a clip, as numbers, without a pixel of it.

A .motion file is a safetensors file; its JSON header carries what the arrays do not say, all as text:

    format        "avatar-motion"
    version       "1"
    fps           frames a second
    frame_size    "640x480", of the camera or clip, in pixels
    unit          pixels per step of `landmarks`
    program       who wrote it

    landmarks     int16   (N, 478, 3)   pixels / unit
    blendshapes   float16 (N, 52)       0..1
    pose          float32 (N, 4, 4)     cm
    seen          uint8   (N,)          1 where a face was found; the other arrays are zero where it was not

Landmarks are stored in fixed point, because half floats have steps of 0.3 to 0.5 px at 640 px and would shake
the face, and full floats would double the size. One step is the largest coordinate / 32767: 0.02 px for a
640 px frame, and 12 s at 30 fps take 1.1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar import __version__
from avatar.errors import MotionFileError
from avatar.records import BLENDSHAPES, F32, LANDMARKS, Face
from avatar.tools.tensor_file import Header, TensorFormat, Tensors

FORMAT = TensorFormat(
    name="avatar-motion",
    version=1,
    called="a motion recording",
    bytes_max=256 * 2**20,
    error=MotionFileError,
)
MAX_FRAMES = 72_000
"""40 minutes at 30 fps."""

_LAYOUT: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
    "landmarks": (np.dtype(np.int16), (LANDMARKS, 3)),
    "blendshapes": (np.dtype(np.float16), (BLENDSHAPES,)),
    "pose": (np.dtype(np.float32), (4, 4)),
    "seen": (np.dtype(np.uint8), ()),
}
_MAX_POSE = 1e5
_MAX_OUTSIDE = 10.0
"""Landmarks may lie outside of the frame, but not by more than this many frame sizes."""


@dataclass(frozen=True, slots=True, eq=False)
class MotionRecording:
    """What `read_motion` gives."""

    faces: tuple[Face | None, ...]
    """One per frame, in order; None where no face was seen."""
    fps: float
    frame_size: tuple[int, int]
    """(width, height) of the recorded frames in pixels."""


def write_motion(path: str | Path, faces: Sequence[Face | None], fps: float) -> None:
    """Write one face per frame to `path`; an older file is replaced only when the new one is whole.

    Raises:
        MotionFileError: no frame has a face, there are too many, or the file cannot be written.
        ValueError: the faces come from frames of different sizes or hold numbers that are not finite.
    """
    seen = [face for face in faces if face is not None]
    if not seen:
        raise MotionFileError(f"{path}: no face was seen in any of {len(faces)} frames, nothing to record")
    if len(faces) > MAX_FRAMES:
        raise MotionFileError(f"{path}: {len(faces)} frames are too many, at most {MAX_FRAMES} are recorded")
    sizes = {face.frame_size for face in seen}
    if len(sizes) > 1:
        raise ValueError(f"faces of one recording come from one frame size, got {sorted(sizes)}")
    width, height = sizes.pop()
    unit = max(float(np.abs(face.landmarks).max()) for face in seen) / 32767 or 1.0
    header = {
        "fps": repr(float(fps)),
        "frame_size": f"{width}x{height}",
        "unit": repr(unit),
        "program": f"livehead {__version__}",
    }
    FORMAT.write(path, header, _pack(faces, unit))


def read_motion(path: str | Path) -> MotionRecording:
    """Read a recording and check all of it.

    Raises:
        MotionFileError: the file is missing, too large, not a recording, of a newer version, cut short, or
            holds values that no tracker gives.
    """
    return FORMAT.read(path, _LAYOUT, _assemble)


def _pack(faces: Sequence[Face | None], unit: float) -> dict[str, NDArray[Any]]:
    arrays = {name: np.zeros((len(faces), *shape), dtype) for name, (dtype, shape) in _LAYOUT.items()}
    for i, face in enumerate(faces):
        if face is None:
            continue
        values: tuple[F32, ...] = (face.landmarks, face.blendshapes, face.pose)
        if not all(np.isfinite(value).all() for value in values):
            raise ValueError(f"the face of frame {i} holds numbers that are not finite")
        arrays["landmarks"][i] = np.rint(face.landmarks / unit)
        arrays["blendshapes"][i] = np.clip(face.blendshapes, 0.0, 1.0)
        arrays["pose"][i] = face.pose
        arrays["seen"][i] = 1
    return arrays


def _assemble(header: Header, arrays: Tensors) -> MotionRecording:
    fps, frame_size, unit = _parse(header)
    _check(arrays)
    return MotionRecording(_unpack(arrays, frame_size, unit), fps, frame_size)


def _parse(header: Header) -> tuple[float, tuple[int, int], float]:
    try:
        fps, unit = float(header["fps"]), float(header["unit"])
        width, height = (int(side) for side in header["frame_size"].split("x"))
    except (KeyError, ValueError):
        raise ValueError("the header of the recording is damaged") from None
    if not 1 <= fps <= 1000:
        raise ValueError(f"a frame rate of {fps} makes no sense")
    if not (1 <= width <= 16384 and 1 <= height <= 16384):
        raise ValueError(f"a frame size of {width}x{height} makes no sense")
    if not 0 < unit * 32767 <= _MAX_OUTSIDE * max(width, height):
        raise ValueError("the landmarks lie far outside of the frame")
    return fps, (width, height), unit


def _check(arrays: Tensors) -> None:
    frames = len(arrays["seen"]) if arrays["seen"].ndim else 0
    if not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"the recording has {frames} frames, 1 to {MAX_FRAMES} are allowed")
    for name, (dtype, shape) in _LAYOUT.items():
        got = arrays[name]
        if got.dtype != dtype or got.shape != (frames, *shape):
            raise ValueError(f"{name} is {got.dtype}{got.shape} instead of {dtype}{(frames, *shape)}")
    if not np.isin(arrays["seen"], (0, 1)).all():
        raise ValueError("seen holds values other than 0 and 1")
    # the comparisons are false for NaN
    if not ((arrays["blendshapes"] >= 0) & (arrays["blendshapes"] <= 1)).all():
        raise ValueError("blendshapes are not all within 0..1")
    if not (np.abs(arrays["pose"]) <= _MAX_POSE).all():
        raise ValueError("a pose is not finite or beyond measure")


def _unpack(arrays: Tensors, size: tuple[int, int], unit: float) -> tuple[Face | None, ...]:
    landmarks: F32 = arrays["landmarks"].astype(np.float32) * np.float32(unit)
    blendshapes: F32 = arrays["blendshapes"].astype(np.float32)
    pose: F32 = arrays["pose"]
    return tuple(
        Face(landmarks[i], blendshapes[i], pose[i], size) if arrays["seen"][i] else None
        for i in range(len(landmarks))
    )
