"""Whether a window can be opened here."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

_X11_SOCKETS = Path("/tmp/.X11-unix")
_X11_PORT = 6000


def windows_would_hang() -> bool:
    """Whether PyAV was loaded before OpenCV: on Linux the first window then hangs, deaf to Ctrl-C."""
    loaded = list(sys.modules)
    return (
        sys.platform.startswith("linux")
        and "av" in loaded
        and ("cv2" not in loaded or loaded.index("av") < loaded.index("cv2"))
    )


def missing_display(
    *, platform: str = sys.platform, env: Mapping[str, str] = os.environ, sockets: Path = _X11_SOCKETS
) -> str | None:
    """Why no window can be opened, in a few words; None if one can.

    This is asked first, because OpenCV's window library ends the whole program if it finds no display.
    """
    if not platform.startswith("linux"):
        return None
    display = env.get("DISPLAY", "")
    if not display:
        if env.get("WAYLAND_DISPLAY"):
            return "there is Wayland but no X11 (DISPLAY is not set): install and start Xwayland"
        return "there is no display (DISPLAY is not set)"
    return None if _answers(display, sockets) else f"the display {display} does not answer"


def _answers(display: str, sockets: Path) -> bool:
    found = re.fullmatch(r"(?:unix)?(?P<host>.*?):(?P<number>\d+)(?:\.\d+)?", display)
    if not found:
        return display.startswith("/")  # a path to a socket, as on macOS
    host, number = found["host"].strip("/"), int(found["number"])
    # the second is the abstract name, for systems without a file
    places: list[str] = [] if host else [str(sockets / f"X{number}"), f"\0{sockets / f'X{number}'}"]
    for place in places:
        with socket.socket(socket.AF_UNIX) as connection:
            if connection.connect_ex(place) == 0:
                return True
    try:
        with socket.create_connection((host or "localhost", _X11_PORT + number), timeout=2):
            return True
    except OSError:
        return False
