"""A live avatar: one portrait and a webcam, and the portrait talks.

The names below are the public interface. They are loaded when first used, so that `import avatar` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatar.errors import AvatarError
    from avatar.records import Face, Frame, Identity, Motion, Observation, Portrait

__version__ = "0.1.0"

__all__ = [
    "AvatarError",
    "Face",
    "Frame",
    "Identity",
    "Motion",
    "Observation",
    "Portrait",
    "__version__",
]

_HOMES = {
    "AvatarError": "avatar.errors",
    "Face": "avatar.records",
    "Frame": "avatar.records",
    "Identity": "avatar.records",
    "Motion": "avatar.records",
    "Observation": "avatar.records",
    "Portrait": "avatar.records",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'avatar' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
