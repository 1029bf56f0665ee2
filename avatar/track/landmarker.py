"""MediaPipe's face landmarker, with our records on both sides. The only way to it from this package."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from avatar import weights
from avatar.errors import ModelError
from avatar.records import BLENDSHAPES, F32, LANDMARKS, U8, Face
from avatar.tools.system_libraries import install_line, missing_libraries
from avatar.track.closing import Closing


def libraries_hint() -> str:
    """How to install the system libraries that are missing, to be added to an error; or nothing."""
    missing = missing_libraries()
    return f"; on Debian and Ubuntu they come with: {install_line(missing)}" if missing else ""


def load_vision() -> Any:
    """MediaPipe's vision module; raises ModelError if it or a system library is missing."""
    try:
        from mediapipe.tasks.python import vision
    except ImportError as error:
        raise ModelError(f"MediaPipe cannot be imported ({error}){libraries_hint()}") from None
    return vision


_stderr_lock = threading.Lock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what native code writes to file descriptor 2 inside the block: MediaPipe has no setting for it.

    Only for the moment of starting a model: other threads' messages of that moment are dropped too.
    """
    with _stderr_lock, contextlib.ExitStack() as undo:
        # A program without a terminal (pythonw, some services) has no descriptor 2 to silence.
        with contextlib.suppress(OSError):
            kept = os.dup(2)
            undo.callback(os.close, kept)
            sink = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, sink)
            os.dup2(sink, 2)
            undo.callback(os.dup2, kept, 2)
        yield


@contextlib.contextmanager
def starting(what: str) -> Iterator[None]:
    """Around the creation of a MediaPipe task: keeps the terminal quiet, gives errors a clear line."""
    try:
        with quiet_stderr():
            yield
    except OSError as error:
        raise ModelError(f"MediaPipe cannot load a library ({error}){libraries_hint()}") from None
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"MediaPipe cannot start the {what}: {error}") from None


def base_options(name: str) -> Any:
    """MediaPipe's options for the model file called `name` in the manifest."""
    from mediapipe.tasks.python import BaseOptions

    # As bytes: MediaPipe cannot open paths with letters outside of the code page on Windows.
    return BaseOptions(model_asset_buffer=weights.resolve(name).read_bytes())


def to_image(rgb: U8) -> Any:
    """MediaPipe's view of (H, W, 3) uint8 RGB."""
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))


class Landmarker(Closing):
    """MediaPipe's FaceLandmarker: in pictures (`find`) or in a video (`follow`), as `video` says."""

    def __init__(self, *, video: bool, faces: int) -> None:
        """Start the model.

        Args:
            video: follow faces from frame to frame; else each picture stands alone.
            faces: the greatest number of faces wanted.

        Raises:
            ModelError: the model file or a system library is missing.
        """
        vision = load_vision()
        mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
        options = vision.FaceLandmarkerOptions(
            base_options=base_options("face_landmarker"),
            running_mode=mode,
            num_faces=faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with starting("face landmarker"):
            self._task = vision.FaceLandmarker.create_from_options(options)

    def find(self, rgb: U8) -> list[Face]:
        """The faces of one picture (H, W, 3) uint8, in MediaPipe's order."""
        return _faces(self._task.detect(to_image(rgb)), rgb)

    def follow(self, rgb: U8, timestamp_ms: int) -> list[Face]:
        """The faces of the next frame (H, W, 3) uint8; `timestamp_ms` must be greater than the last one."""
        return _faces(self._task.detect_for_video(to_image(rgb), timestamp_ms), rgb)

    def close(self) -> None:
        """Free the model; MediaPipe complains at the end of the program about one left open."""
        self._task.close()


def _faces(result: Any, rgb: U8) -> list[Face]:
    height, width = rgb.shape[:2]
    found = zip(
        result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
    )
    return [
        Face(
            landmarks=_landmarks(points, width, height),
            blendshapes=_scores(shapes),
            pose=np.array(pose, np.float32),
            frame_size=(width, height),
        )
        for points, shapes, pose in found
    ]


def _landmarks(points: Any, width: int, height: int) -> F32:
    landmarks: F32 = np.array([(p.x, p.y, p.z) for p in points], np.float32).reshape(LANDMARKS, 3)
    # No half pixel: scaled up pictures show that MediaPipe counts from the first pixel's centre, as we do.
    return landmarks * np.array([width, height, width], np.float32)


def _scores(shapes: Any) -> F32:
    return np.array([shape.score for shape in shapes], np.float32).reshape(BLENDSHAPES)
