"""What may be changed while a run goes: who plays, before what, how strongly; pause and recording."""

from __future__ import annotations

from avatar.control.aside import Aside
from avatar.control.backdrops import Backdrops
from avatar.control.control import Control
from avatar.control.driver_view import DriverView
from avatar.control.gallery import GUEST, Gallery
from avatar.control.outlet import Outlet
from avatar.control.pace import Pace
from avatar.control.parts import Parts
from avatar.control.preview import Preview
from avatar.control.recorder import Recorder
from avatar.control.settings import Settings, SettingsFile
from avatar.control.sources import SwitchedSource
from avatar.control.stage import Cast, Stage

__all__ = [
    "GUEST",
    "Aside",
    "Backdrops",
    "Cast",
    "Control",
    "DriverView",
    "Gallery",
    "Outlet",
    "Pace",
    "Parts",
    "Preview",
    "Recorder",
    "Settings",
    "SettingsFile",
    "Stage",
    "SwitchedSource",
]
