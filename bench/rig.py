"""The whole program, put together for measuring: a clip for a camera, an output that keeps nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from avatar.capture import Recording, VideoFile, open_source
from avatar.capture import Source as CaptureSource
from avatar.cli.portrait import open_portrait
from avatar.demo import demo_portrait
from avatar.live import Status, Summary, run_live
from avatar.live.workers import Source, Tracker
from avatar.pipeline import Renderer, enroll_picture
from avatar.records import Frame, Identity
from avatar.retarget import Retargeter
from avatar.runtime import Wanted
from avatar.tools.placement import Mode
from avatar.tools.stats import StageTimes
from avatar.track import FaceTracker
from avatar.weights import resolve

CAMERA_SIZE = (640, 480)
CAMERA_FPS = 30.0


def nowhere(frame: Frame) -> None:
    """An output that takes each frame and keeps nothing."""


@dataclass
class Rig:
    """All stages, loaded and ready; `run` may be called again and again."""

    source: Source
    tracker: Tracker | None
    retarget: Retargeter
    renderer: Renderer
    times: StageTimes
    fps: float
    generator: str
    """What draws the picture, see `avatar.generate.open_generator`."""

    def run(
        self,
        seconds: float,
        *,
        lockstep: bool = False,
        output: Callable[[Frame], None] = nowhere,
        on_status: Callable[[Status], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Summary:
        """Run the live loop, with the stage times counted anew."""
        self.times.reset()
        return run_live(
            self.source,
            self.tracker,
            self.retarget,
            self.renderer,
            [output],
            stop=stop or threading.Event(),
            fps=self.fps,
            seconds=seconds,
            on_status=on_status,
            times=self.times,
            lockstep=lockstep,
        )


@contextlib.contextmanager
def open_rig(
    *,
    source: str | None,
    portrait: Path | None,
    size: tuple[int, int],
    head: int,
    fit: Mode = "extend",
    generator: str,
    wanted: Wanted,
    weights: Path | None = None,
    identity: Identity | None = None,
    paced: bool = True,
) -> Iterator[Rig]:
    """Load all stages, as `avatar run` does; free them at the end.

    Args:
        source: a video or .motion file, or a camera; None for the carphone clip, 640x480 at 30 fps, forward
            and back without end.
        portrait: a picture or .avatar file; None for the astronaut of scikit-image.
        size: canvas, (width, height).
        head: longest side at which the head is drawn [px].
        fit: how the portrait is laid into the canvas.
        generator: what draws it,
        wanted: and what runs its network.
        weights: networks instead of those that come with the program.
        identity: who, if it is known already; `portrait` is not looked at then.
        paced: False lets a file run as fast as it can.

    Raises:
        AvatarError: something of it cannot be read or found.
    """
    times = StageTimes()
    identity = identity or identity_of(portrait)
    with contextlib.ExitStack() as open_things:
        opened: CaptureSource
        if source is None:
            opened = open_clip(resolve("carphone_clip"), paced=paced)
        else:
            opened = open_source(source, loop=True, paced=paced)
        open_things.callback(opened.close)
        tracker = None if isinstance(opened, Recording) else open_things.enter_context(FaceTracker())
        renderer = Renderer(
            identity,
            head_size=head,
            size=size,
            mode=fit,
            generator=generator,
            weights=weights,
            wanted=wanted,
            times=times,
        )
        yield Rig(opened, tracker, Retargeter(identity), renderer, times, opened.fps or CAMERA_FPS, generator)


def open_clip(clip: Path, *, paced: bool) -> VideoFile:
    """A clip as if it were the usual webcam: 640x480 at 30 fps, without an end."""
    return VideoFile(clip, paced=paced, loop="bounce", size=CAMERA_SIZE, fps=CAMERA_FPS)


def identity_of(portrait: Path | None) -> Identity:
    """Who is in a picture or .avatar file; None is the astronaut. Raises AvatarError as `open_rig`."""
    if portrait is None:
        return enroll_picture(demo_portrait(), name="astronaut")
    return open_portrait(portrait, face=None)
