"""What finds the landmarks of faces, whoever made it: the seam between models and the rest here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from avatar.records import F32, U8, Face
from avatar.track.closing import Closing

Kind = Literal["litert", "mediapipe"]
"""MediaPipe's models in a loop of ours, or MediaPipe itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """A face that was found again."""

    landmarks: F32
    """(478, 3) px, as they were measured: where to look in the next frame."""
    face: Face
    """The same, smoothed."""


class Landmarker(Closing):
    """Finds faces in pictures and finds a known one again."""

    @abstractmethod
    def find(self, rgb: U8) -> list[Face]:
        """The faces of one picture (H, W, 3) uint8, the surest one first."""

    @abstractmethod
    def follow(self, rgb: U8, last: F32, smooth: Callable[[F32], F32]) -> Followed | None:
        """The face in the next frame, if it is still there.

        Args:
            rgb: (H, W, 3) uint8.
            last: landmarks (478, 3) px, as measured in the frame before.
            smooth: called with the landmarks measured now; expression and pose are those of what it gives.
        """


def open_landmarker(kind: Kind, faces: int) -> Landmarker:
    """Start the models.

    Args:
        kind: whose loop.
        faces: the greatest number of faces wanted.

    Raises:
        ModelError: a model file, package or system library is missing.
    """
    if kind == "mediapipe":
        from avatar.track.mediapipe_landmarker import MediaPipeLandmarker

        return MediaPipeLandmarker(faces)
    from avatar.track.litert_landmarker import LiteRTLandmarker

    return LiteRTLandmarker(faces)
