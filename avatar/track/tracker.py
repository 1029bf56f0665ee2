"""One face, followed through a video."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from avatar.records import Face, Frame
from avatar.track.landmarker import Landmarker


class FaceTracker:
    """Follows one face from frame to frame."""

    def __init__(self) -> None:
        """Start the model; raises ModelError if its file or a system library is missing."""
        self._video = Landmarker(video=True, faces=1)
        self._timestamp_ms = -1

    def __call__(self, frame: Frame) -> Face | None:
        """The face of the next frame, or None."""
        self._timestamp_ms = max(self._timestamp_ms + 1, frame.captured_ns // 1_000_000)
        faces = self._video.follow(frame.rgb, self._timestamp_ms)
        return faces[0] if faces else None

    def reset(self) -> None:
        """Forget the face: the next frame's biggest one is taken."""

    def close(self) -> None:
        """Free the model."""
        self._video.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
