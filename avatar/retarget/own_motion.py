"""A person who drives his own picture: nothing is carried over, the face goes where it was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avatar.records import F32, U8, Motion, View
from avatar.retarget.proportions import opening_of, touch
from avatar.retarget.retarget import JAW_WIDE
from avatar.tools.facemesh import EYES, MOUTH, face_model
from avatar.tools.geometry import fit_similarity

REST_LIDS = 70
"""Percentile of a person's lid openings that is taken for his eyes at rest: above blinks, below surprise."""


class OwnMotion:
    """Landmarks of a person in the crop of his own picture to the motion of that picture.

    Args:
        front: the picture.
        faces_in_crop: (478, 3) each, that person at other moments, in crop units of `front`: what his
            lids are like at rest is learnt from them and from the picture.
    """

    def __init__(self, front: View, faces_in_crop: Sequence[F32]) -> None:
        model = face_model()
        self._model = model
        self._front = fit_similarity(model.mean, front.landmarks, model.rigid).inverse()
        self._rest = self._rest_shape([front.landmarks, *faces_in_crop])

    def __call__(self, landmarks: F32, close_ups: U8 | None = None) -> Motion:
        """The motion for landmarks (478, 3) in crop units of the picture, and the close-ups of that moment.

        They are left as they are, but lids and lips that all but touch do touch.
        """
        pose = fit_similarity(self._model.mean, landmarks, self._model.rigid)
        seen = pose.undo(landmarks)
        shape, blink = touch(seen, seen, self._rest)
        moved = np.abs(shape - seen).max(axis=1) > 0
        wanted = landmarks.copy()
        wanted[moved] = pose(shape[moved])
        return Motion(
            landmarks=wanted,
            head=pose.after(self._front).matrix,
            blink=np.array(blink, np.float32),
            jaw_open=float(np.clip(opening_of(shape, MOUTH) / JAW_WIDE, 0, 1)),
            close_ups=close_ups,
            trust=float(close_ups is not None),
        )

    def _rest_shape(self, faces: Sequence[F32]) -> F32:
        """(478, 3), face frame: the face whose lids are open as usual; the mean of the two eyes decides."""
        shapes = [fit_similarity(self._model.mean, face, self._model.rigid).undo(face) for face in faces]
        lids = [sum(opening_of(shape, eye) for eye in EYES) for shape in shapes]
        usual = np.percentile(lids, REST_LIDS)
        return shapes[int(np.argmin(np.abs(np.array(lids) - usual)))]
