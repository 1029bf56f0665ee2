"""Shared libraries that Linux must bring: OpenCV and MediaPipe link to them, pip cannot install them.

Standard library only.
"""

from __future__ import annotations

import ctypes
import sys

PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libgthread-2.0.so.0": "libglib2.0-0",
}
"""Library -> the Debian and Ubuntu package that has it."""

FOR_MEDIAPIPE = ("libEGL.so.1", "libGLESv2.so.2")
"""Those that only MediaPipe itself links to."""


def missing_libraries() -> list[str]:
    """Names of the libraries that cannot be loaded; always empty outside Linux."""
    if not sys.platform.startswith("linux"):
        return []
    return [name for name in PACKAGES if not _loads(name)]


def install_line(libraries: list[str]) -> str:
    """The command that installs `libraries` on Debian and Ubuntu."""
    return "sudo apt-get install " + " ".join(PACKAGES[name] for name in libraries)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
