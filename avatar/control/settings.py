"""What a user has set, and the file that remembers it."""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from avatar.tools.tensor_file import replace_file

BACKGROUNDS = ("own", "blurred", "colour", "picture", "room")
"""The portrait's own, that one blurred, a plain colour, a picture, a still of the driver's room."""
RANGES: Mapping[str, tuple[float, float]] = {
    "strength": (0.0, 1.5),
    "smoothing": (0.0, 3.0),
    "reach": (0.2, 1.3),
}
"""Lowest and highest of what sliders set."""
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What ids of avatars are made of."""
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_BYTES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the control page sets; `retarget.Tuning` says what the first three mean."""

    strength: float = 1.0
    smoothing: float = 1.0
    reach: float = 1.0
    mirror: bool = True
    """Whether the user sees the avatar as in a mirror. Others never do."""
    badge: bool = True
    """Whether the picture says that it is artificial."""
    keys: bool = True
    """Whether the page listens to single letters and numbers."""
    alive: bool = False
    """Whether the avatar breathes and blinks while nobody drives it."""
    background: str = "own"
    """One of `BACKGROUNDS`."""
    colour: str = "#3d5a6c"
    """Of the plain background."""
    avatar: str = ""
    """Id of the avatar of the gallery that played last."""

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some of them changed.

        Raises:
            ValueError: there is no such setting, or it cannot have that value.
        """
        known = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        values = {}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no setting {name!r}")
            values[name] = _checked(name, value, known[name])
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        """As plain values by their names."""
        return asdict(self)

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as numbers 0..255."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue


def _checked(name: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        low, high = RANGES[name]
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{name} is from {low:g} to {high:g}, not {value}")
        return float(value)
    if kind is float or not isinstance(value, kind):
        raise ValueError(f"{name} cannot be {value!r}")
    if name == "background" and value not in BACKGROUNDS:
        raise ValueError(f"background is one of {', '.join(BACKGROUNDS)}, not {value!r}")
    if name == "colour":
        if not _COLOUR.fullmatch(colour := str(value).lower()):
            raise ValueError(f"colour is like #3d5a6c, not {value!r}")
        return colour
    if name == "avatar" and value and not ID.fullmatch(str(value)):
        raise ValueError(f"avatar is the id of one, not {value!r}")
    return value


class SettingsFile:
    """Remembers settings from run to run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def load(self) -> Settings:
        """What was saved last. What makes no sense in it, or is of another version, is as it was at first."""
        settings = Settings()
        try:
            if self._path.stat().st_size > _BYTES_MAX:
                return settings
            saved = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return settings
        for name, value in saved.items() if isinstance(saved, dict) else ():
            with contextlib.suppress(ValueError):
                settings = settings.changed({name: value})
        return settings

    def save(self, changes: Mapping[str, Any]) -> None:
        """Remember these, beside what was saved before: what holds for one run alone is not among them.

        Raises:
            OSError: the place cannot be written.
        """
        with self._lock:
            settings = self.load().changed(changes)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, json.dumps(settings.as_json(), indent=1).encode() + b"\n")
