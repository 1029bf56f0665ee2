"""The faces of a still picture."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from avatar.records import U8, Face
from avatar.track.landmarker import Landmarker, box_of, size_of

MAX_FACES = 8


class FaceFinder:
    """Finds up to 8 faces in a picture, the biggest first."""

    def __init__(self) -> None:
        """Start the model; raises ModelError if its file or a system library is missing."""
        self._landmarker = Landmarker(video=False, faces=MAX_FACES)

    def __call__(self, rgb: U8) -> list[Face]:
        """The faces of the (H, W, 3) uint8 picture, biggest first; empty when there is none."""
        faces = self._landmarker.find(rgb)
        return sorted(faces, key=lambda face: size_of(box_of(face)), reverse=True)

    def close(self) -> None:
        """Free the model."""
        self._landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
