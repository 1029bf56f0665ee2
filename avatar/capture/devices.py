"""Which webcams there are, without switching one on.

Linux is read from /sys. On macOS and Windows the system is asked for names; the numbers are the order of
its answer, which is how OpenCV usually counts them. Neither of these two was ever run by us.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSFS = Path("/sys/class/video4linux")
_LOOPBACK = "/devices/virtual/"
_ASK_MACOS = ["system_profiler", "SPCameraDataType", "-json"]
_ASK_WINDOWS = [
    "powershell",
    "-NoProfile",
    "-NonInteractive",
    "-Command",
    "[Console]::OutputEncoding = [Text.Encoding]::UTF8; ConvertTo-Json -Compress @("
    "Get-PnpDevice -PresentOnly -Status OK -Class Camera, Image -ErrorAction SilentlyContinue"
    " | ForEach-Object FriendlyName)",
]
_ANSWER_S = 15


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """One camera of this computer."""

    index: int
    """What OpenCV opens it by."""
    name: str
    """As the system shows it."""
    backend: str
    """Camera interface of the system: v4l2, avfoundation or dshow."""
    virtual: bool = False
    """Known to be fed by a program (v4l2loopback), not by a lens."""


def list_cameras(*, platform: str = sys.platform, sysfs: Path = SYSFS) -> list[CameraInfo]:
    """The cameras of this computer, by index. Empty if there are none or the system does not tell."""
    if platform.startswith("linux"):
        return _linux(sysfs)
    if platform == "darwin":
        return _named(_macos_names(_ask(_ASK_MACOS)), "avfoundation")
    if platform == "win32":
        return _named(_windows_names(_ask(_ASK_WINDOWS)), "dshow")
    return []


def _linux(sysfs: Path) -> list[CameraInfo]:
    found = []
    for entry in sysfs.glob("video*"):
        number = entry.name.removeprefix("video")
        # one camera has several nodes; all but its first carry metadata or other sizes
        if not number.isdecimal() or _text(entry / "index") not in ("", "0"):
            continue
        virtual = _LOOPBACK in entry.resolve().as_posix()
        found.append(CameraInfo(int(number), _text(entry / "name") or entry.name, "v4l2", virtual))
    return sorted(found, key=lambda camera: camera.index)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _ask(command: list[str]) -> Any:
    """What a system's own tool answers, as JSON; None if it does not."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ANSWER_S, check=True)
        return json.loads(done.stdout.decode("utf-8", errors="replace"))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _macos_names(answer: Any) -> list[str]:
    cameras = answer.get("SPCameraDataType") if isinstance(answer, dict) else None
    entries = cameras if isinstance(cameras, list) else []
    return [str(entry["_name"]) for entry in entries if isinstance(entry, dict) and entry.get("_name")]


def _windows_names(answer: Any) -> list[str]:
    if isinstance(answer, str):  # PowerShell makes one of a list of one
        return [answer]
    return [name for name in answer if isinstance(name, str)] if isinstance(answer, list) else []


def _named(names: list[str], backend: str) -> list[CameraInfo]:
    return [CameraInfo(index, name, backend) for index, name in enumerate(names)]
