"""Files of numbers: safetensors with a header that says what they are. Whole or not there, never trusted.

The header is text by name; two entries are the same everywhere: `format`, a name, and `version`, a number.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avatar.errors import AvatarError

Header = Mapping[str, str]
Tensors = Mapping[str, NDArray[Any]]

_Read = TypeVar("_Read")

_DAMAGED = (
    SafetensorError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError
)  # fmt: skip
"""What the readers of safetensors, JSON and numbers raise over bytes that nobody wrote on purpose; among them
AttributeError and TypeError for number types that numpy does not have."""
_DIGITS_MAX = 9


@dataclass(frozen=True, slots=True)
class TensorFormat:
    """One kind of file."""

    name: str
    """As its header says."""
    version: int
    """The newest that is known; the one that is written."""
    called: str
    """For error messages: "a motion recording"."""
    bytes_max: int
    """A file larger than this is not even opened."""
    error: type[AvatarError]
    """What is raised, with one line that names the file."""

    def write(self, path: str | Path, header: Header, tensors: Tensors) -> None:
        """Write a file; an older one of that name is replaced only when the new one is whole.

        Raises:
            `error`: the place cannot be written.
        """
        whole = {"format": self.name, "version": str(self.version), **header}
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        try:
            replace_file(path, save(arrays, metadata=whole))
        except (OSError, ValueError) as error:  # ValueError: no name at all, or a zero byte in it
            raise self.error(f"{path}: cannot be written: {_reason(error)}") from error

    def read(
        self,
        path: str | Path,
        names: Collection[str] | Callable[[Header, Set[str]], Collection[str]],
        parse: Callable[[Header, Tensors], _Read],
    ) -> _Read:
        """Read a file and give what `parse` makes of its header and the tensors called `names`.

        Args:
            path: the file.
            names: the tensors that have to be in it, and no others; or what tells them by the header and the
                names that are there, and raises ValueError, too.
            parse: raises ValueError, with what is wrong, for what makes no sense.

        Raises:
            `error`: missing, no file, too large, foreign, of a newer version, damaged, or `parse` said so.
        """
        with self._opened(path) as (file, header):
            found = set(file.keys())
            wanted = set(names(header, found) if callable(names) else names)
            _check_names(found, wanted)
            tensors = {name: file.get_tensor(name) for name in sorted(wanted)}
            return parse(header, tensors)

    def header(self, path: str | Path) -> Header:
        """The header alone; raises as `read` does."""
        with self._opened(path) as (_, header):
            return header

    @contextmanager
    def _opened(self, path: str | Path) -> Iterator[tuple[Any, Header]]:
        """The file, open, and its header; what is raised inside is told as what is wrong with the file."""
        path = Path(path)
        try:
            self._check_file(path)
            with safe_open(path, framework="np") as file:
                header = dict(file.metadata() or {})
                self._check_header(path, header)
                yield file, header
        except FileNotFoundError:
            raise self.error(f"{path}: there is no such file") from None
        except OSError as error:
            raise self.error(f"{path}: cannot be read: {_reason(error)}") from error
        except _DAMAGED as error:
            raise self.error(f"{path}: is damaged or not {self.called}: {_reason(error)}") from error

    def _check_file(self, path: Path) -> None:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise self.error(f"{path}: is a folder or a device, not {self.called}")
        if found.st_size > self.bytes_max:
            raise self.error(f"{path}: {found.st_size / 2**20:.0f} MiB is too large for {self.called}")

    def _check_header(self, path: Path, header: Header) -> None:
        if header.get("format") != self.name:
            raise self.error(f"{path}: is not {self.called}")
        version = header.get("version", "")
        if not (version.isascii() and version.isdigit() and len(version) <= _DIGITS_MAX):
            raise self.error(f"{path}: is damaged, its version cannot be read")
        if int(version) > self.version:
            raise self.error(
                f"{path}: was written by a newer version of this program: "
                f"its format is {version}, this one reads up to {self.version}"
            )


def _check_names(found: set[str], wanted: set[str]) -> None:
    if lacking := sorted(wanted - found):
        raise ValueError(f"it lacks {', '.join(lacking)}")
    if foreign := sorted(found - wanted):
        raise ValueError(f"it also holds {', '.join(foreign)}")


def replace_file(path: str | Path, content: bytes) -> None:
    """Put `content` into `path` at one stroke: at no moment, and after no error, is half a file there.

    It is written beside `path` first, under a name that nobody can foresee and that must not exist, so that
    no link laid there in advance is followed. Rights are those of the file it replaces, or as usual.

    Raises:
        OSError: the place cannot be written.
        ValueError: `path` has no name, or a zero byte in it.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    file = part.open("xb")
    try:
        with file:
            file.write(content)
        if path.exists():
            shutil.copymode(path, part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _reason(error: Exception) -> str:
    """What went wrong, in one short line."""
    told = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return " ".join(told.split())[:200]
