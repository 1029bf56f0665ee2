"""The order of the stages: from a picture to an identity, and from a motion to a finished frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from avatar.card import CardRenderer
from avatar.composite import Compositor
from avatar.errors import PictureError, SeveralFacesError
from avatar.generate import Generator, NetworkGenerator, condition, open_generator, open_networks
from avatar.identity.clip import choose_shots, enroll_shots, look_through
from avatar.identity.enroll import enroll, take_single
from avatar.identity.views import with_view
from avatar.records import U8, Frame, Identity, Motion
from avatar.runtime import PLAIN, Wanted, on_card
from avatar.tools.facemesh import HEAD_FACES, face_height
from avatar.tools.placement import EVEN, Mode
from avatar.tools.stats import StageTimes
from avatar.warp import Warper

CROP_MAX = 1536
"""Longest side of the crop that is ever rendered [px]."""
SHOTS = 8
"""Views that are taken of a clip."""


def enroll_picture(picture: U8, *, name: str, face: int | None = None) -> Identity:
    """Make an identity from one picture (H, W, 3); errors as in `identity.enroll.enroll`."""
    from avatar.track import FaceFinder, PersonSegmenter

    with FaceFinder() as find, PersonSegmenter() as segment:
        return enroll(picture, name=name, find=find, segment=segment, face=face)


def add_pictures(identity: Identity, pictures: Iterable[tuple[str, U8]]) -> Identity:
    """Give an identity more views.

    Args:
        identity: who.
        pictures: what each is called, and the picture (H, W, 3); one is held at a time. Whether they show the
            same person is not looked at.

    Raises:
        NoFaceError, SeveralFacesError, PictureError: one cannot be used; the message says which.
    """
    from avatar.track import FaceFinder, PersonSegmenter

    with FaceFinder() as find, PersonSegmenter() as segment:
        for called, picture in pictures:
            try:
                identity = with_view(identity, take_single(picture, find=find, segment=segment))
            except SeveralFacesError as error:
                alone = "further pictures have to show the person alone"
                raise SeveralFacesError(f"{called}: {error}; {alone}", error.boxes) from None
            except PictureError as error:
                raise type(error)(f"{called}: {error}") from error
    return identity


@dataclass(frozen=True, slots=True)
class OfClip:
    """What became of a clip."""

    identity: Identity
    front: int
    """Number of the frame that is the front, from 0."""
    front_seconds: float
    """When it is shown."""
    flaw: str | None
    """Why the clip ended before its time, if it did."""


def enroll_clip(
    clip: Path,
    *,
    name: str,
    shots: int = SHOTS,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> OfClip:
    """Make an identity of the frames of a clip that show a person best.

    Args:
        clip: a video file, which is read twice.
        name: how the person is called.
        shots: how many views to make, 1..32; fewer if the clip does not show so many that differ.
        progress: told what is being done, how many frames of it are done, and of how many.

    Raises:
        VideoError: it cannot be read.
        NoFaceError: no frame of it shows a face that would do.
    """
    from avatar.capture import VideoFile
    from avatar.track import FaceFinder, FaceTracker, PersonSegmenter

    try:
        with closing(VideoFile(clip, paced=False, strict=False)) as source, FaceTracker() as track:
            total = round(source.duration * source.fps) if source.duration else None
            seen = look_through(_frames(source), track, progress=progress, total=total)
            flaw = source.flaw
        chosen = choose_shots(seen, shots)
        with (
            closing(VideoFile(clip, paced=False, strict=False)) as source,
            FaceFinder() as find,
            PersonSegmenter() as segment,
        ):
            identity = enroll_shots(
                _frames(source), chosen, name=name, find=find, segment=segment, progress=progress
            )
    except PictureError as error:
        raise type(error)(f"{clip}: {error}") from error
    return OfClip(identity, chosen[0].number, chosen[0].seconds, flaw)


def _frames(source: Callable[[], Frame | None]) -> Iterator[Frame]:
    while (frame := source()) is not None:
        yield frame


def with_conditioning(identity: Identity, preset: str = "live", weights: Path | None = None) -> Identity:
    """The identity with what the networks of a preset need of it, worked out once.

    Raises:
        ModelError: as `generate.open_networks`.
    """
    return replace(identity, conditioning=condition(identity, open_networks(preset, weights)))


class Renderer:
    """Motions of one identity to finished frames: warp, generate, composite.

    Args:
        identity: who.
        head_size: longest side in pixels of the head crop (2.1 heights of the face). It is drawn at the size
            that it has on the canvas, if that is smaller: more pixels would be made to be thrown away. None
            for what the picture itself has, whatever the canvas.
        share: draw it at so much of that size.
        size: (width, height) of the canvas; None for the picture's own.
        mode: how the picture is fitted to the canvas, see `composite.Compositor`.
        generator: what draws, see `generate.open_generator`.
        weights: a file of networks instead of those that come with the program.
        wanted: what runs these networks.
        times: collects the time of each stage.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        head_size: int | None = 512,
        size: tuple[int, int] | None = None,
        mode: Mode = "extend",
        generator: str = "live",
        weights: Path | None = None,
        wanted: Wanted = PLAIN,
        times: StageTimes | None = None,
        share: float = 1.0,
    ) -> None:
        self.times = times
        self._composite = Compositor(identity, size=size, mode=mode)
        if head_size is None:
            side = identity.front.texture.shape[0]
        else:
            side = round(head_size * crop_faces(identity) / HEAD_FACES)
            side = EVEN * math.ceil(share * min(side, self._composite.placement.head.width) / EVEN)
        side = min(side, CROP_MAX)
        self.head_size = round(side * HEAD_FACES / crop_faces(identity))
        """At which it is drawn."""
        self._generate = open_generator(generator, identity, side, weights=weights, wanted=wanted)
        self._warp = warper_for(self._generate, identity, side)
        self._card = _card_of(self._warp, self._generate, self._composite)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames."""
        return self._composite.size

    @property
    def runtime(self) -> str | None:
        """What runs the generator's network, in words; None if it has none."""
        return self._generate.runtime

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        """Render one frame."""
        return self.begin(motion, index, captured_ns)()

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Callable[[], Frame]:
        """Warp now; what comes back generates and composites, in any thread, one frame after the other.

        On a graphics card all pixels are handled in the second step, and its time is that of `generate`.
        """
        if self._card is not None:
            return self._begin_on(self._card, motion, index, captured_ns)
        with self._measure("warp"):
            warped = self._warp(motion, captured_ns)

        def finish() -> Frame:
            with self._measure("generate"):
                portrait = self._generate(warped, motion)
            with self._measure("composite"):
                return self._composite(portrait, index, captured_ns)

        return finish

    def _begin_on(
        self, card: CardRenderer, motion: Motion, index: int, captured_ns: int
    ) -> Callable[[], Frame]:
        with self._measure("warp"):
            draw = card.begin(motion, captured_ns)

        def finish() -> Frame:
            with self._measure("generate"):
                return Frame(rgb=draw(), index=index, captured_ns=captured_ns)

        return finish

    def _measure(self, stage: str) -> AbstractContextManager[None]:
        return nullcontext() if self.times is None else self.times.measure(stage)


def _card_of(warp: Warper, generate: Generator, composite: Compositor) -> CardRenderer | None:
    """The stages on a graphics card, if the generator's network runs on one."""
    if not isinstance(generate, NetworkGenerator) or (network := on_card(generate.network)) is None:
        return None
    return CardRenderer(warp, generate, composite, network)


def warper_for(generate: Generator, identity: Identity, side: int) -> Warper:
    """The warp stage as a generator wants it; both of one identity and one side S of portraits in pixels."""
    return Warper(identity, side, with_other=generate.looks_at_other, crispness=generate.crispness)


def crop_faces(identity: Identity) -> float:
    """Side of the identity's crop in heights of the face."""
    return 1.0 / face_height(identity.front.landmarks)
