"""Getting bytes over the network: out of packages of pip's and npm's indexes, and from https addresses.

Nothing here judges what comes: the caller knows the hash.
"""

from __future__ import annotations

import importlib.util
import lzma
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
import zlib
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.request import Request

CLIENT_TIMEOUT_S = 900
ADDRESS_TIMEOUT_S = 30
CLIENTS = ("pip", "npm")
_UNPACKING = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)


class FetchError(Exception):
    """This way did not lead to the file; the message is the reason."""


def download(client: str, requirement: str, folder: Path) -> Path:
    """Let pip or npm download one package into `folder`, without installing it or its dependencies.

    Args:
        client: one of `CLIENTS`.
        requirement: `name==version` for pip, `name@version` for npm.
        folder: a folder without other packages.

    Returns:
        The path of the wheel or .tgz.

    Raises:
        FetchError: the client is not there, or what it said.
    """
    if client == "npm":
        return _download_npm(requirement, folder)
    return _download_wheel(requirement, folder)


def _download_wheel(requirement: str, folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet"]
    command = [*_pip_command(), "download", *options, "--dest", str(folder), requirement]
    said = _run(command, f"pip download {requirement}")
    if said is not None:
        lines = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")] or said
        raise FetchError(f"pip download {requirement} failed ({lines[-1]})")
    return _left(folder, "*.whl", f"pip left no wheel of {requirement}")


def _pip_command() -> list[str]:
    if importlib.util.find_spec("pip"):
        # -P: a pip.py in the folder where the program was started is not pip
        return [sys.executable, "-P", "-m", "pip"]
    # Environments made by uv have no pip of their own, but uv can run one.
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise FetchError("this Python has no pip")


def _download_npm(requirement: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"npm (of Node.js) is needed to get {requirement} for training and measuring, and is not here"
        )
    # Not --silent, which hides what is wrong too.
    options = ["--ignore-scripts", "--loglevel=error", "--no-update-notifier"]
    said = _run([npm, "pack", requirement, *options], f"npm pack {requirement}", folder)
    if said is not None:
        raise FetchError(f"npm pack {requirement} failed ({_reason_of_npm(said)})")
    return _left(folder, "*.tgz", f"npm left no package of {requirement}")


def _reason_of_npm(said: list[str]) -> str:
    """The line that says what is wrong: after that of the code, before that of the log."""
    lines = [line.removeprefix("npm error ") for line in said if line.startswith("npm error ")]
    reasons = [line for line in lines if not line.startswith("code ")]
    return reasons[0] if reasons else (lines or said)[-1]


def _run(command: list[str], name: str, folder: Path | None = None) -> list[str] | None:
    """Run a client, in `folder`: nothing if it went well, else what it said, at least one line."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=CLIENT_TIMEOUT_S, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        raise FetchError(f"{name} took over {CLIENT_TIMEOUT_S} s") from None
    except OSError as error:
        raise FetchError(f"{command[0]} could not be started ({error.strerror})") from None
    if not done.returncode:
        return None
    said = done.stderr.decode(errors="replace").strip()
    return said.splitlines() or [f"status {done.returncode}"]


def _left(folder: Path, pattern: str, otherwise: str) -> Path:
    found = next(folder.glob(pattern), None)
    if found is None:
        raise FetchError(otherwise)
    return found


def read_member(archive: Path, member: str, *, limit: int) -> bytes:
    """The first `limit` bytes of one file inside a wheel or .tgz; raises FetchError if it cannot be had."""
    try:
        return (_read_tar if archive.suffix == ".tgz" else _read_zip)(archive, member, limit)
    except (KeyError, RuntimeError, EOFError, OSError, *_UNPACKING) as error:
        # RuntimeError: encrypted, or packed in a way that is not known here
        raise FetchError(f"{member} cannot be taken out of {archive.name} ({error})") from None


def _read_zip(archive: Path, member: str, limit: int) -> bytes:
    with zipfile.ZipFile(archive) as wheel, wheel.open(member) as source:
        return source.read(limit)


def _read_tar(archive: Path, member: str, limit: int) -> bytes:
    with tarfile.open(archive, "r:gz") as package:
        for info in package:  # not by getmember, which unpacks the whole archive first
            if info.name == member:
                source = package.extractfile(info) if info.isreg() else None
                if source is None:
                    raise KeyError("it is a link or a folder")
                return source.read(limit)
    raise KeyError("there is no such file in it")


def read_address(address: str, *, limit: int) -> bytes:
    """The first `limit` bytes found at an address.

    Raises:
        FetchError: the address, or one it leads to, is not https, or cannot be read.
    """
    if not address.startswith("https://"):
        raise FetchError(f"{address} is not https")
    try:
        with urllib.request.build_opener(HttpsOnly()).open(address, timeout=ADDRESS_TIMEOUT_S) as answer:
            data: bytes = answer.read(limit)
    except (OSError, HTTPException) as error:
        raise FetchError(f"{address} failed ({getattr(error, 'reason', None) or error})") from None
    return data


class HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows no redirect that leaves https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """What to ask for next, as urllib wants it; raises FetchError for anything but https."""
        if not newurl.startswith("https://"):
            raise FetchError(f"{req.full_url} leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
