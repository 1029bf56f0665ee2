"""Getting bytes over the network: out of wheels of the package index, and from https addresses.

Nothing here judges what comes: the caller knows the hash.
"""

from __future__ import annotations

import importlib.util
import lzma
import shutil
import subprocess
import sys
import urllib.request
import zipfile
import zlib
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.request import Request

PIP_TIMEOUT_S = 900
ADDRESS_TIMEOUT_S = 30
_UNPACKING = (zlib.error, lzma.LZMAError)


class FetchError(Exception):
    """This way did not lead to the file; the message is the reason."""


def download_wheel(requirement: str, folder: Path) -> Path:
    """Let pip download the wheel of `name==version` into `folder`, without installing it or its dependencies.

    Returns:
        The wheel's path.

    Raises:
        FetchError: there is no pip, or what pip said.
    """
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet"]
    command = [*_pip_command(), "download", *options, "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip download {requirement} took over {PIP_TIMEOUT_S} s") from None
    except OSError as error:
        raise FetchError(f"{command[0]} could not be started ({error.strerror})") from None
    if done.returncode:
        said = _last_error(done.stderr.decode(errors="replace")) or f"status {done.returncode}"
        raise FetchError(f"pip download {requirement} failed ({said})")
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise FetchError(f"pip left no wheel of {requirement}")
    return wheel


def _pip_command() -> list[str]:
    if importlib.util.find_spec("pip"):
        # -P: a pip.py in the folder where the program was started is not pip
        return [sys.executable, "-P", "-m", "pip"]
    # Environments made by uv have no pip of their own, but uv can run one.
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise FetchError("this Python has no pip")


def _last_error(stderr: str) -> str:
    """The line of pip's output that says what is wrong, or nothing."""
    lines = stderr.strip().splitlines()
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [""])[-1]


def read_member(wheel: Path, member: str, *, limit: int) -> bytes:
    """The first `limit` bytes of one file inside a wheel; raises FetchError if it cannot be taken out."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            return source.read(limit)
    except (zipfile.BadZipFile, KeyError, RuntimeError, EOFError, OSError, *_UNPACKING) as error:
        # RuntimeError: encrypted, or packed in a way that is not known here
        raise FetchError(f"{member} cannot be taken out of {wheel.name} ({error})") from None


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
