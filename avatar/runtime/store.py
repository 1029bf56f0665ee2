"""Built engines on this computer: each in a folder of its own in the user's cache, under all it depends on.

What is built depends on weights, preset, shape, precision, runtime and device: if one of them changes, so
does the name of the folder, and the engine is built anew. A folder is there whole or not at all; what lies in
it is used only if its hash is the one that was noted when it was built.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar.errors import ModelError
from avatar.weights import cache_dir

FOLDER = "engines"
NOTE = "engine.json"
KEPT_DAYS = 60
"""An engine that was not used for so long makes room when another one is built."""
GRAPH = 1
"""Raise it when `FrameNetwork` changes what it computes or how its inputs are called."""

_log = logging.getLogger(__name__)

Facts = Mapping[str, Any]
"""What was found while building, for JSON."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on."""

    runtime: str
    version: str
    """Of the runtime's library."""
    precision: str
    device: str
    """What it was built for: the processor's or graphics card's name."""
    preset: str
    size: int
    """Side of the window [px]."""
    weights: str
    """A hash of the generator's parameters."""
    graph: int = GRAPH

    @property
    def folder(self) -> Path:
        """Where its files belong."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cache_dir() / FOLDER / f"{self.preset}-{self.runtime}-{self.precision}-{digest}"


@dataclass(frozen=True, slots=True)
class Engine:
    """A built engine."""

    folder: Path
    """With the files that were made for it."""
    facts: Facts


class DamagedError(ModelError):
    """What lies in the cache is not what was put there."""


def find(key: EngineKey) -> Engine | None:
    """The engine that was built for `key`; None if there is none.

    Raises:
        DamagedError: there is one, and it is damaged.
    """
    folder = key.folder
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        for name, sha256 in note["files"].items():
            if _sha256(folder / name) != sha256:
                raise ValueError(f"the hash of {name} is another")
        with contextlib.suppress(OSError):  # a cache that can only be read does as well
            os.utime(folder / NOTE)  # in use
        return Engine(folder, note["facts"])
    except FileNotFoundError:
        if folder.exists():
            raise DamagedError(f"{folder}: the engine is not whole") from None
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedError(f"{folder}: the engine is damaged: {error}") from error


def kept() -> list[Path]:
    """The folders of the engines on this computer; whether they are whole is not looked at."""
    return sorted(note.parent for note in (cache_dir() / FOLDER).glob(f"*/{NOTE}"))


def forget(key: EngineKey) -> None:
    """Delete what was built for `key`, if anything."""
    shutil.rmtree(key.folder, ignore_errors=True)


def find_or_build(key: EngineKey, make: Callable[[Path], Facts]) -> Engine:
    """The engine for `key`: as it lies there, or built now, as `build` does; a damaged one is built anew."""
    try:
        engine = find(key)
    except DamagedError as error:
        _log.warning("%s; it is built again", error)
        engine = None
    if engine is not None:
        return engine
    _log.info(
        "building the %s engine of %s (%s), once for this computer ...",
        key.runtime,
        key.preset,
        key.precision,
    )
    return build(key, make)


def build(key: EngineKey, make: Callable[[Path], Facts]) -> Engine:
    """Build an engine and keep it.

    Args:
        key: all that it depends on.
        make: writes files into the folder it is given, tries them, and gives what is worth knowing of the
            engine; what it raises is passed on, and nothing is kept.

    Raises:
        ModelError: the cache cannot be written.
    """
    folder = key.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make_room(folder.parent)
        # Beside its place, so that the last step is a rename on one file system.
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as made:
            fresh = Path(made) / "engine"
            fresh.mkdir()
            facts = make(fresh)
            files = {file.name: _sha256(file) for file in sorted(fresh.iterdir())}
            note = {"files": files, "facts": facts, "key": dataclasses.asdict(key)}
            (fresh / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
            forget(key)
            # Another process may have built the same meanwhile: then its engine does as well.
            with contextlib.suppress(FileExistsError, OSError):
                os.replace(fresh, folder)
    except OSError as error:
        raise ModelError(
            f"cannot write to {folder.parent} ({error.strerror}); "
            "set AVATAR_CACHE to a folder that can be written"
        ) from error
    found = find(key)
    if found is None:
        raise ModelError(f"{folder}: the engine that was built is gone")
    return found


def _make_room(engines: Path) -> None:
    """Delete engines that nobody uses any more: of older weights, libraries and programs."""
    for note in engines.glob(f"*/{NOTE}"):
        with contextlib.suppress(OSError):
            if time.time() - note.stat().st_mtime > KEPT_DAYS * 86_400:
                shutil.rmtree(note.parent)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
