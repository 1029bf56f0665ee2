"""MediaPipe's face models in a loop of ours: nothing of MediaPipe itself is loaded, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable

from avatar import weights
from avatar.errors import ModelError
from avatar.records import F32, U8, Face
from avatar.track.blendshapes import ExpressionReader
from avatar.track.detector import FaceDetector
from avatar.track.geometry import Geometry
from avatar.track.landmarker import Followed, Landmarker
from avatar.track.litert import read_bundle
from avatar.track.mesh import FaceMesh, region_of


class LiteRTLandmarker(Landmarker):
    """Gives what MediaPipe's Face Landmarker gives: `find` in its image mode, `follow` in its video mode.

    Only z differs, and the pose a little: in pictures that are not square, MediaPipe makes a face deeper the
    more it is tilted (in 4:3, 7 % at 25 degrees). Here the tilt makes no difference.
    """

    def __init__(self, faces: int) -> None:
        """Start the models; raises ModelError. `faces` is the greatest number of faces wanted."""
        files = read_bundle(weights.resolve("face_landmarker"))
        self._faces = faces
        try:
            self._detect = FaceDetector(files["face_detector.tflite"])
            self._mesh = FaceMesh(files["face_landmarks_detector.tflite"])
            self._express = ExpressionReader(files["face_blendshapes.tflite"])
            self._geometry = Geometry(files)
        except KeyError as error:
            raise ModelError(f"cannot start the face landmarker: its bundle has no {error}") from None

    def find(self, rgb: U8) -> list[Face]:
        """As the base says."""
        found = (self._mesh(rgb, region) for region in self._detect(rgb, self._faces))
        return [self._measured(landmarks, rgb) for landmarks in found if landmarks is not None]

    def follow(self, rgb: U8, last: F32, smooth: Callable[[F32], F32]) -> Followed | None:
        """As the base says; the detector has no part in it."""
        landmarks = self._mesh(rgb, region_of(last))
        return None if landmarks is None else Followed(landmarks, self._measured(smooth(landmarks), rgb))

    def close(self) -> None:
        """Nothing needs closing: the memory goes with the object."""

    def _measured(self, landmarks: F32, rgb: U8) -> Face:
        size = (rgb.shape[1], rgb.shape[0])
        return Face(landmarks, self._express(landmarks), self._geometry.pose(landmarks, size), size)
