"""Virtual cameras of this system: which there are. How to make one is `avatar.camera_setup`'s business."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SYSFS = "sys/devices/virtual/video4linux"
OBS_ON_MACOS = "Applications/OBS.app"
OBS_NAME = "OBS Virtual Camera"

_LOOPBACK_MARKS = ("max_openers", "buffers", "format")
"""Files that only v4l2loopback's devices have."""
_OBS_ON_WINDOWS = r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}"
_UNITY_ON_WINDOWS = r"CLSID\{{5C2CD55C-92AD-4999-8666-912BD3E700{:02X}}}"
_UNITY_NUMBERS = (0x10, *range(0x12, 0x1B))
"""The last byte of the identifier of each camera that UnityCapture can have; 0x11 is its library's own."""


@dataclass(frozen=True, slots=True)
class VirtualCameraDevice:
    """A device that programs can feed."""

    device: str
    """What to open it by."""
    name: str
    """As other programs show it."""


def classes_root(key: str) -> str | None:
    """The text of a key of HKEY_CLASSES_ROOT of this computer; None if it is not there, or not Windows."""
    if sys.platform == "win32":
        import winreg

        try:
            return winreg.QueryValue(winreg.HKEY_CLASSES_ROOT, key)
        except OSError:
            return None
    return None


def virtual_camera_devices(
    *,
    platform: str = sys.platform,
    root: Path = Path("/"),
    registry: Callable[[str], str | None] = classes_root,
) -> list[VirtualCameraDevice]:
    """Virtual cameras that can be fed. On macOS and Windows (never run by us): what is installed.

    Args:
        platform: as `sys.platform` has it.
        root: the folder that the system's own paths begin at.
        registry: as `classes_root`.
    """
    if platform.startswith("linux"):
        return _linux(root / _SYSFS)
    if platform == "darwin" and (root / OBS_ON_MACOS).exists():
        return [VirtualCameraDevice(OBS_NAME, OBS_NAME)]
    if platform == "win32":
        return _windows(registry)
    return []


def how_to_create() -> str:
    """The command that makes a virtual camera, or tells what to do for one, on any system."""
    return "avatar setup-camera"


def _linux(sysfs: Path) -> list[VirtualCameraDevice]:
    found = []
    for entry in sysfs.glob("video*"):
        number = entry.name.removeprefix("video")
        if number.isdecimal() and any((entry / mark).exists() for mark in _LOOPBACK_MARKS):
            found.append((int(number), _name(entry)))
    return [VirtualCameraDevice(f"/dev/video{number}", name) for number, name in sorted(found)]


def _name(entry: Path) -> str:
    try:
        return (entry / "name").read_text(encoding="utf-8", errors="replace").strip() or entry.name
    except OSError:
        return entry.name


def _windows(registry: Callable[[str], str | None]) -> list[VirtualCameraDevice]:
    names = [OBS_NAME] if registry(_OBS_ON_WINDOWS) is not None else []
    unity = [registry(_UNITY_ON_WINDOWS.format(number)) for number in _UNITY_NUMBERS]
    names += [name.strip() for name in unity if name]
    return [VirtualCameraDevice(name, name) for name in names]
