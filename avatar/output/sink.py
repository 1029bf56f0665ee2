"""The file under a video writer."""

from __future__ import annotations

import os
from pathlib import Path


class Sink:
    """A file for writing that stops for good at its first error.

    When the disk is full the muxer still wants to write its closing words. They would go over the beginning
    of a file whose end is missing, and spoil what can be played: after the first error nothing is written.

    Attributes:
        error: what went wrong, or None.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        """Write all of `data`, unless an error came before. Never raises: see `error`."""
        left = memoryview(data)
        while left and self.error is None:
            try:
                left = left[self._file.write(left) or 0 :]
            except OSError as error:
                self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the place of writing; gives the new one."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place of writing."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file; an error of the last moment is kept as well."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error
