"""Where a user's avatars, settings and recordings are kept on this system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "AVATAR_DATA"
"""Names another folder for all of them."""


def data_dir() -> Path:
    """For avatars, settings and backgrounds. It need not exist."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    return _system_data() / "livehead"


def recordings_dir() -> Path:
    """For recorded videos: the user's folder of videos, if there is one. It need not exist."""
    if os.environ.get(VARIABLE):
        return data_dir() / "recordings"
    videos = Path.home() / ("Movies" if sys.platform == "darwin" else "Videos")
    return videos / "livehead" if videos.is_dir() else data_dir() / "recordings"


def _system_data() -> Path:
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support"
    if chosen := os.environ.get("XDG_DATA_HOME"):
        return Path(chosen)
    return Path.home() / ".local/share"
