"""The order of the stages: from a picture to an identity, and from a motion to a finished frame."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from avatar.composite import Compositor
from avatar.generate import WarpGenerator
from avatar.identity.enroll import enroll
from avatar.records import U8, Frame, Identity, Motion
from avatar.tools.facemesh import HEAD_FACES, face_height
from avatar.tools.placement import Mode
from avatar.tools.stats import StageTimes
from avatar.warp import Warper

CROP_MAX = 1536
"""Longest side of the crop that is ever rendered [px]."""


def enroll_picture(picture: U8, *, name: str, face: int | None = None) -> Identity:
    """Make an identity from one picture (H, W, 3); errors as in `identity.enroll.enroll`."""
    from avatar.track import FaceFinder, PersonSegmenter

    with FaceFinder() as find, PersonSegmenter() as segment:
        return enroll(picture, name=name, find=find, segment=segment, face=face)


class Renderer:
    """Motions of one identity to finished frames: warp, generate, composite.

    Args:
        identity: who.
        head_size: side in pixels of the head crop (2.1 heights of the face) that is rendered, whatever size
            it has on the canvas; None for what the picture itself has.
        size: (width, height) of the canvas; None for the picture's own.
        mode: how the picture is fitted to the canvas, see `composite.Compositor`.
        times: collects the time of each stage.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        head_size: int | None = 512,
        size: tuple[int, int] | None = None,
        mode: Mode = "extend",
        times: StageTimes | None = None,
    ) -> None:
        self.times = times
        self._composite = Compositor(identity, size=size, mode=mode)
        side = (
            identity.front.texture.shape[0]
            if head_size is None
            else round(head_size * crop_faces(identity) / HEAD_FACES)
        )
        side = min(side, CROP_MAX)
        self._warp = Warper(identity, side)
        self._generate = WarpGenerator(identity, side)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        return self._composite.size

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        """Render one frame."""
        with self._measure("warp"):
            warped = self._warp(motion, captured_ns)
        with self._measure("generate"):
            portrait = self._generate(warped, motion)
        with self._measure("composite"):
            return self._composite(portrait, index, captured_ns)

    def _measure(self, stage: str) -> AbstractContextManager[None]:
        return nullcontext() if self.times is None else self.times.measure(stage)


def crop_faces(identity: Identity) -> float:
    """Side of the identity's crop in heights of the face."""
    return 1.0 / face_height(identity.front.landmarks)
