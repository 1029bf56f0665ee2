"""What is kept of one clip: its faces as small pictures with their landmarks, and some of them taken apart.

A safetensors file for each clip. Pictures lie one after the other as JPEG or PNG bytes in one tensor, with
their starts in another; only what a sample needs is unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.errors import VideoError
from avatar.records import F32, U8, View
from avatar.tools.tensor_file import Header, TensorFormat, Tensors

FORMAT = TensorFormat(
    name="livehead-clip",
    version=1,
    called="a cached clip",
    bytes_max=2**31,
    error=VideoError,
)
JPEG_QUALITY = 95
PACKED = ("frames", "mattes", "textures", "alphas", "heads")
NUMBERS = ("landmarks", "blendshapes", "poses", "crops", "numbers", "sharpness", "sources")


@dataclass(frozen=True, slots=True, eq=False)
class PackedPictures:
    """Pictures as they lie in the file."""

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    """(N + 1,), the last is the end."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> U8:
        """(S, S, 3) RGB or (S, S), unpacked."""
        coded = self.data[self.starts[index] : self.starts[index + 1]]
        picture = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise ValueError(f"picture {index} is damaged")
        if picture.ndim == 3:
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture)
        return np.asarray(picture, np.uint8)

    @staticmethod
    def pack(pictures: Sequence[U8], suffix: str) -> PackedPictures:
        """`suffix` is ".jpg" or ".png"."""
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
        if suffix == ".jpg":
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        coded = [
            cv2.imencode(suffix, cv2.cvtColor(p, cv2.COLOR_RGB2BGR) if p.ndim == 3 else p, options)[1].ravel()
            for p in pictures
        ]
        starts = np.concatenate([[0], np.cumsum([len(code) for code in coded])]).astype(np.int64)
        return PackedPictures(np.concatenate(coded) if coded else np.zeros(0, np.uint8), starts)


@dataclass(frozen=True, slots=True, eq=False)
class ClipCache:
    """One clip, N faces and S of them taken apart. Crop units are those of each frame's own crop."""

    person: str
    clip: str
    """Path below the data folder."""
    size: tuple[int, int]
    """(width, height) of the clip's frames [px]."""
    frames: PackedPictures
    """N head crops as the camera saw them, JPEG."""
    mattes: PackedPictures
    """N mattes of the person, half the side of the frames, PNG."""
    landmarks: F32
    """(N, 478, 3), crop units."""
    blendshapes: F32
    """(N, 52)."""
    poses: F32
    """(N, 4, 4)."""
    crops: NDArray[np.int32]
    """(N, 3): left, top and side of each crop in pixels of the clip."""
    numbers: NDArray[np.int32]
    """(N,), which frame of the clip it is."""
    sharpness: F32
    """(N,), see `tools.sharpness`."""
    sources: NDArray[np.int32]
    """(S,), which of the N frames are taken apart."""
    textures: PackedPictures
    alphas: PackedPictures
    heads: PackedPictures

    def __len__(self) -> int:
        return len(self.landmarks)

    def view(self, source: int) -> View:
        """One of the S frames, taken apart."""
        frame = int(self.sources[source])
        return View(
            texture=self.textures[source],
            alpha=self.alphas[source],
            head=self.heads[source],
            landmarks=self.landmarks[frame],
            blendshapes=self.blendshapes[frame],
            pose=self.poses[frame],
        )

    def save(self, path: Path, made_of: str) -> None:
        """Write it; `made_of` tells later whether the file is still what would be made now."""
        tensors: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in NUMBERS}
        for name in PACKED:
            packed: PackedPictures = getattr(self, name)
            tensors |= {name: packed.data, f"{name}_starts": packed.starts}
        header = {
            "person": self.person,
            "clip": self.clip,
            "size": json.dumps(self.size),
            "made_of": made_of,
        }
        FORMAT.write(path, header, tensors)


def load_clip(path: Path, made_of: str | None = None) -> ClipCache:
    """Read one clip; raises VideoError if it is missing, damaged, or made of something else."""

    def parse(header: Header, tensors: Tensors) -> ClipCache:
        if made_of is not None and header["made_of"] != made_of:
            raise ValueError("it was made of something else")
        packed: dict[str, Any] = {
            name: PackedPictures(tensors[name], tensors[f"{name}_starts"]) for name in PACKED
        }
        numbers: dict[str, Any] = {name: tensors[name] for name in NUMBERS}
        width, height = json.loads(header["size"])
        return ClipCache(
            person=header["person"], clip=header["clip"], size=(int(width), int(height)), **packed, **numbers
        )

    return FORMAT.read(path, [*NUMBERS, *PACKED, *(f"{name}_starts" for name in PACKED)], parse)
