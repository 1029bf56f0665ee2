"""OBS Studio, whose virtual camera we feed on macOS and Windows. Neither system was ever run by us."""

from __future__ import annotations

import plistlib
import re
from typing import Literal

from avatar.camera_setup.plan import Plan, Step
from avatar.camera_setup.system import System
from avatar.output.virtual_devices import OBS_NAME, OBS_ON_MACOS

OLDEST_ON_MACOS = 30
"""Older ones have a camera of another kind, which macOS 13 and newer do not feed."""
LAST_WITHOUT_EXTENSIONS = 12
EXTENSION = "com.obsproject.obs-studio.mac-camera-extension"
OBS_FOLDER_ON_WINDOWS = "/Program Files/obs-studio"

_PLUGIN = "/Library/CoreMediaIO/Plug-Ins/DAL/obs-mac-virtualcam.plugin"
ALLOW = Step(
    "allow the camera extension of OBS in System Settings > General > Login Items & Extensions > "
    "Camera Extensions (before macOS 15: Privacy & Security)"
)
_LET_GO = Step("in OBS press 'Stop Virtual Camera' and quit OBS: only one program can feed its camera")

Extension = Literal["absent", "waiting", "leaving", "enabled"]


def plan_on_macos(system: System) -> Plan:
    """What is left to do on this Mac."""
    version = obs_version(system)
    if version is None:
        install = Step(f"install OBS Studio {OLDEST_ON_MACOS} or newer (obsproject.com) into Applications")
        return Plan(steps=[install, *_start()])
    if too_old(system, version):
        update = Step(f"update OBS Studio {version} to {OLDEST_ON_MACOS} or newer")
        return Plan(steps=[update, *_start()])
    match extension(system):
        case "enabled":
            return Plan(ready=OBS_NAME)
        case "waiting":
            return Plan(steps=[ALLOW])
        case "leaving":
            return Plan(steps=[Step("restart the Mac, which removes an old camera of OBS"), *_start()])
        case "absent":
            return Plan(steps=_start())


def plan_on_windows(system: System) -> Plan:
    """What is left to do on this Windows."""
    cameras = system.cameras()
    if cameras:
        return Plan(ready=", ".join(camera.name for camera in cameras))
    if has_obs_on_windows(system):
        return Plan(steps=[Step(register_on_windows())])
    hints = [
        "UnityCapture (github.com/schellingb/UnityCapture) does, too: run its Install.bat as administrator"
    ]
    what = "install OBS Studio, which brings the camera"
    if system.ask(["winget", "--version"]):
        command = ("winget", "install", "--exact", "--id", "OBSProject.OBSStudio")
        return Plan(steps=[Step(what, command, as_root=False)], hints=hints)
    return Plan(steps=[Step(f"{what} (obsproject.com)")], hints=hints)


def obs_version(system: System) -> str | None:
    """Version of the OBS of this Mac, "30.2.3"; None without one, empty if it does not say."""
    app = system.path(OBS_ON_MACOS)
    if not app.exists():
        return None
    try:
        with (app / "Contents/Info.plist").open("rb") as file:
            return str(plistlib.load(file).get("CFBundleShortVersionString", ""))
    except (OSError, plistlib.InvalidFileException, ValueError):
        return ""


def too_old(system: System, version: str) -> bool:
    """Whether that OBS cannot be fed on this macOS."""
    number = _major(version)
    return _has_extensions(system) and number is not None and number < OLDEST_ON_MACOS


def extension(system: System) -> Extension:
    """How far OBS's camera has come on this Mac: it is there once OBS has started it and macOS allows it."""
    if not _has_extensions(system):
        return "enabled" if system.path(_PLUGIN).exists() else "absent"
    lines = [line for line in system.ask(["systemextensionsctl", "list"]).splitlines() if EXTENSION in line]
    states = [line.rpartition("[")[2] for line in lines]
    if any(state.startswith("activated enabled") for state in states):
        return "enabled"
    if any(state.startswith("activated") for state in states):
        return "waiting"
    return "leaving" if any("on reboot" in state for state in states) else "absent"


def has_obs_on_windows(system: System) -> bool:
    """Whether OBS was installed, be its camera registered or not."""
    return system.path(f"{OBS_FOLDER_ON_WINDOWS}/bin/64bit/obs64.exe").exists()


def register_on_windows() -> str:
    """What makes OBS's camera known to Windows."""
    script = f"C:{OBS_FOLDER_ON_WINDOWS}/data/obs-plugins/win-dshow/virtualcam-install.bat".replace("/", "\\")
    return (
        f"close OBS, run '{script}' as administrator, then start OBS once and see that it has a button "
        "'Start Virtual Camera'"
    )


def runs(system: System) -> bool:
    """Whether OBS runs at this moment."""
    if system.platform == "darwin":
        return bool(system.ask(["pgrep", "-x", "OBS"]).strip())
    return "obs64.exe" in system.ask(["tasklist", "/FI", "IMAGENAME eq obs64.exe"])


def _start() -> list[Step]:
    command = ("open", "-a", "OBS", "--args", "--startvirtualcam")
    return [Step("start OBS and its virtual camera once", command, as_root=False), ALLOW, _LET_GO]


def _has_extensions(system: System) -> bool:
    number = _major(system.kernel)
    return number is None or number > LAST_WITHOUT_EXTENSIONS


def _major(version: str) -> int | None:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else None
