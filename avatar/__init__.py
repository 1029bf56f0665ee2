"""A live avatar: one portrait and a webcam, and the portrait talks.

The names below are the public interface. They are loaded when first used, so that `import avatar` is quick.

    picture = avatar.read_picture("photo.jpg")
    identity = avatar.enroll_picture(picture, name="me")
    avatar.save_identity(identity, "me.avatar")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avatar.capture import open_source, read_picture
    from avatar.errors import AvatarError
    from avatar.identity.file import load_identity, save_identity
    from avatar.live import run_live
    from avatar.output import open_output
    from avatar.pipeline import Renderer, enroll_picture
    from avatar.records import Face, Frame, Identity, Motion, Observation, Portrait
    from avatar.retarget import Retargeter
    from avatar.track import FaceTracker

__version__ = "0.1.0"

__all__ = [
    "AvatarError",
    "Face",
    "FaceTracker",
    "Frame",
    "Identity",
    "Motion",
    "Observation",
    "Portrait",
    "Renderer",
    "Retargeter",
    "__version__",
    "enroll_picture",
    "load_identity",
    "open_output",
    "open_source",
    "read_picture",
    "run_live",
    "save_identity",
]

_HOMES = {
    "AvatarError": "avatar.errors",
    "Face": "avatar.records",
    "FaceTracker": "avatar.track",
    "Frame": "avatar.records",
    "Identity": "avatar.records",
    "Motion": "avatar.records",
    "Observation": "avatar.records",
    "Portrait": "avatar.records",
    "Renderer": "avatar.pipeline",
    "Retargeter": "avatar.retarget",
    "enroll_picture": "avatar.pipeline",
    "load_identity": "avatar.identity.file",
    "open_output": "avatar.output",
    "open_source": "avatar.capture",
    "read_picture": "avatar.capture",
    "run_live": "avatar.live",
    "save_identity": "avatar.identity.file",
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
