"""A controlled run with small stages, for the tests of the control and of its page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_people import made_face

from avatar.control import (
    Backdrops,
    Cast,
    Control,
    DriverView,
    Gallery,
    Outlet,
    Pace,
    Parts,
    Preview,
    Recorder,
    SettingsFile,
    Stage,
    SwitchedSource,
)
from avatar.errors import OutputError
from avatar.live import Status
from avatar.records import U8, Frame, Identity, Motion, Observation
from avatar.retarget import Retargeter

SIZE = (320, 180)


class PlainRenderer:
    """Paints the whole frame in one colour."""

    def __init__(self, colour: Sequence[int] = (90, 60, 30), size: tuple[int, int] = SIZE) -> None:
        self.size, self.colour = size, colour

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Callable[[], Frame]:
        rgb = np.full((self.size[1], self.size[0], 3), self.colour, np.uint8)
        return lambda: Frame(rgb, index, captured_ns)


class Numbers:
    """A source that counts."""

    index: int | None = None

    def __init__(self, length: int | None = None) -> None:
        self.closed = False
        self.dropped = 3
        self._length, self._index = length, -1

    def __call__(self) -> Observation | None:
        self._index += 1
        if self.closed or self._index == self._length:
            return None
        return Observation(made_face(), self._index, self._index * 33_000_000)

    def close(self) -> None:
        self.closed = True


class Kept:
    """A device that keeps what it was given."""

    def __init__(self, name: str) -> None:
        if name == "busy":
            raise OutputError("busy is in use by another program")
        self.name, self.closed, self.fails = name, False, False
        self.frames: list[Frame] = []
        self.wanted = True

    def __call__(self, frame: Frame) -> None:
        if self.fails:
            raise OutputError(f"{self.name} takes no more frames")
        self.frames.append(frame)

    def close(self) -> None:
        self.closed = True


class Rig:
    """All parts of a controlled run, and a control over them."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self.folder, self.identity = folder, identity
        self.made: list[Identity] = []
        self.shares: list[float] = []
        self.ended = threading.Event()
        self.stage = Stage(self.make(self.identity))
        self.source = SwitchedSource(Numbers())
        self.view = DriverView()
        self.gallery = Gallery(folder / "avatars", self.identity)
        self.recorder = Recorder(folder / "recordings", 30.0, SIZE)
        self.outputs = ["null"]
        self.devices: list[Kept] = []
        self.cameras: list[Numbers] = []
        self.outlet = Outlet(self._open)
        self.parts = Parts(
            stage=self.stage,
            source=self.source,
            view=self.view,
            preview=Preview(self.stage),
            recorder=self.recorder,
            outlet=self.outlet,
            gallery=self.gallery,
            backdrops=Backdrops(folder, SIZE, "extend"),
            saved=SettingsFile(folder / "settings.json"),
            make=self.make,
            open_camera=self.open_camera,
            pace=Pace(30.0),
            end=self.ended.set,
            driving="a made driver",
            outputs=self.outputs,
        )
        self.control = Control(self.parts, self.identity)

    def make(self, identity: Identity, share: float = 1.0) -> Cast:
        self.made.append(identity)
        self.shares.append(share)
        return Cast(Retargeter(identity), PlainRenderer(identity.plate[0, 0].tolist()))

    def open_camera(self, number: int) -> Numbers:
        self.cameras.append(camera := Numbers())
        camera.index = number
        return camera

    def _open(self, device: str) -> Kept:
        self.devices.append(Kept(device))
        return self.devices[-1]

    def frame(self, index: int = 0) -> U8:
        """What an output gets now."""
        motion = self.stage.retarget(Observation(made_face(), index, index * 33_000_000))
        frame = self.stage(motion, index, index * 33_000_000)
        self.parts.preview(frame)
        self.recorder(frame)
        self.outlet(frame)
        return frame.rgb


def status(**changes: Any) -> Status:
    usual = Status(
        seconds=3.0, fps=29.9, age_ms=31.0, face=True, camera=True, dropped=2, slowest=("generate", 19.0)
    )
    return replace(usual, **changes)
