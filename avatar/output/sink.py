"""The file under a video writer."""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path


class Sink:
    """A file for writing that is opened with its first bytes, and stops for good at its first error.

    What was in the file stays as long as nothing is written: a run that fails early costs nobody a video.

    When the disk is full the muxer still wants to write its closing words. They would go over the beginning
    of a file whose end is missing, and spoil what can be played: after the first error nothing is written.

    Attributes:
        error: what went wrong, or None.

    Raises:
        OSError: the file could not be written.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._path = path.resolve()  # or a link that leads to no file yet would be in the way
        self._file: FileIO | None = None
        _try(self._path)

    def write(self, data: bytes) -> int:
        """Write all of `data`, unless an error came before. Never raises: see `error`."""
        left = memoryview(data)
        while left and self.error is None:
            try:
                if self._file is None:
                    self._file = self._path.open("wb", buffering=0)
                left = left[self._file.write(left) or 0 :]
            except OSError as error:
                self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the place of writing; gives the new one."""
        return self._file.seek(offset, whence) if self._file else 0

    def tell(self) -> int:
        """The place of writing."""
        return self._file.tell() if self._file else 0

    def close(self) -> None:
        """Close the file; an error of the last moment is kept as well. An empty file is taken away."""
        if self._file is None or self._file.closed:
            return
        try:
            found = os.fstat(self._file.fileno())
            self._file.close()
            if stat.S_ISREG(found.st_mode) and found.st_size == 0:
                self._path.unlink()
        except OSError as error:
            self.error = self.error or error


def _try(path: Path) -> None:
    """Open `path` for writing and change nothing: neither what is in it, nor that it is not there."""
    if path.exists():
        path.open("r+b").close()
    else:
        path.open("xb").close()
        path.unlink()
