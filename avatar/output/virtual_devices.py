"""Virtual cameras of this system: which there are, and how to make one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

_SYSFS = Path("/sys/devices/virtual/video4linux")
_LOOPBACK_MARKS = ("max_openers", "buffers", "format")
"""Files that only v4l2loopback's devices have."""
_OBS_ON_MACOS = Path("/Applications/OBS.app")
_OBS_ON_WINDOWS = r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}"

MODPROBE = 'sudo modprobe v4l2loopback devices=1 video_nr=10 card_label="Avatar" exclusive_caps=1'
_PACKAGES = (
    ("apt", "/usr/bin/apt", "sudo apt install v4l2loopback-dkms"),
    ("pacman", "/usr/bin/pacman", "sudo pacman -S v4l2loopback-dkms"),
    ("dnf", "/usr/bin/dnf", "sudo dnf install akmod-v4l2loopback (from RPM Fusion)"),
)
_OBS = "install OBS Studio (obsproject.com), start it, press 'Start Virtual Camera' once, then close it"


@dataclass(frozen=True, slots=True)
class VirtualCameraDevice:
    """A device that programs can feed."""

    device: str
    """What to open it by."""
    name: str
    """As other programs show it."""


def virtual_camera_devices(
    *, platform: str = sys.platform, sysfs: Path = _SYSFS
) -> list[VirtualCameraDevice]:
    """Virtual cameras that can be fed. On macOS and Windows (never run by us): whether OBS is installed."""
    if platform.startswith("linux"):
        return _linux(sysfs)
    if (platform == "darwin" and _OBS_ON_MACOS.exists()) or (platform == "win32" and _on_windows()):
        return [VirtualCameraDevice("OBS Virtual Camera", "OBS Virtual Camera")]
    return []


def how_to_create(*, platform: str = sys.platform, root: Path = Path("/")) -> str:
    """The command, or the steps, that make a virtual camera on this system, in one line."""
    if not platform.startswith("linux"):
        return _OBS
    if (root / "sys/module/v4l2loopback").exists():
        # loaded, but without a device that can be used
        return f"sudo modprobe -r v4l2loopback && {MODPROBE}"
    if any((root / "lib/modules").glob("*/**/v4l2loopback.ko*")):
        return MODPROBE
    for _, program, install in _PACKAGES:
        if (root / program.lstrip("/")).exists():
            return f"{install} && {MODPROBE}"
    return f"install v4l2loopback, then: {MODPROBE}"


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


def _on_windows() -> bool:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_CLASSES_ROOT, _OBS_ON_WINDOWS):
                return True
        except OSError:
            return False
    return False
