"""What the control changes of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from avatar.control.backdrops import Backdrops
from avatar.control.driver_view import DriverView
from avatar.control.gallery import Gallery
from avatar.control.outlet import Outlet
from avatar.control.pace import Pace
from avatar.control.preview import Preview
from avatar.control.recorder import Recorder
from avatar.control.settings import SettingsFile
from avatar.control.sources import Closable, SwitchedSource
from avatar.control.stage import Cast, Stage
from avatar.records import Identity


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of, as far as it may be changed."""

    stage: Stage
    source: SwitchedSource
    view: DriverView
    preview: Preview
    recorder: Recorder
    outlet: Outlet
    gallery: Gallery
    backdrops: Backdrops
    saved: SettingsFile
    make: Callable[[Identity, float], Cast]
    """Makes an avatar ready to play, with its head at a part of the usual size."""
    open_camera: Callable[[int], Closable]
    """Opens one by its number, as the user wants cameras to be opened."""
    pace: Pace
    """Says at which."""
    end: Callable[[], None]
    """Ends the run."""
    driving: str = ""
    """What drives at the beginning, in words."""
    outputs: Sequence[str] = ()
    """Where the frames go, in words."""
    microphone: str = ""
    """The one that gives the voice in step with the picture; empty: there is none."""
    windows: list[Any] = field(default_factory=list)
    """Outputs that have a `mirror` of their own."""
