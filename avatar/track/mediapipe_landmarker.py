"""MediaPipe itself, with our records on both sides. The only way to it from this package."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from avatar import weights
from avatar.errors import ModelError
from avatar.records import BLENDSHAPES, F32, LANDMARKS, U8, Face
from avatar.tools.system_libraries import install_line, missing_libraries
from avatar.track.boxes import Place, Window, moved
from avatar.track.geometry import Geometry
from avatar.track.landmarker import Followed, Landmarker
from avatar.track.litert import read_bundle
from avatar.track.quiet import quiet_stderr

SURROUNDINGS = 3.0
"""How much of the frame to look at for the face of the last one, in face sizes."""


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


class MediaPipeLandmarker(Landmarker):
    """MediaPipe's FaceLandmarker in its image mode, which lets us say which face to follow."""

    def __init__(self, faces: int) -> None:
        """Start the model; raises ModelError. `faces` is the greatest number of faces wanted."""
        vision = load_vision()
        self._geometry = Geometry(read_bundle(weights.resolve("face_landmarker")))
        options = vision.FaceLandmarkerOptions(
            base_options=base_options("face_landmarker"),
            running_mode=vision.RunningMode.IMAGE,
            num_faces=faces,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with starting("face landmarker"):
            self._task = vision.FaceLandmarker.create_from_options(options)

    def find(self, rgb: U8) -> list[Face]:
        """As the base says."""
        return read_faces(self._task.detect(to_image(rgb)), rgb)

    def follow(self, rgb: U8, last: F32, smooth: Callable[[F32], F32]) -> Followed | None:
        """As the base says, but with the expression as measured: found anew in the surroundings of `last`."""
        place = Place.at(last)
        window = Window.around(place, SURROUNDINGS, (rgb.shape[1], rgb.shape[0]))
        size = (rgb.shape[1], rgb.shape[0])
        near = [moved(face, window.left, window.top, size) for face in self.find(rgb[window.slices])]
        face = min(near, key=lambda face: Place.of(face).distance(place), default=None)
        if face is None:
            return None
        landmarks = smooth(face.landmarks)
        pose = self._geometry.pose(landmarks, size)
        return Followed(face.landmarks, replace(face, landmarks=landmarks, pose=pose))

    def close(self) -> None:
        """Free the model; MediaPipe complains at the end of the program about one left open."""
        self._task.close()


def read_faces(result: Any, rgb: U8) -> list[Face]:
    """The faces of what MediaPipe's FaceLandmarker gave for (H, W, 3), with expression and pose."""
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
