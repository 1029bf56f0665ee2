"""What takes long is done aside, in a thread of its own, one thing after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from avatar.errors import AvatarError

_T = TypeVar("_T")


class Aside:
    """Does jobs aside, and says what is being done.

    Args:
        on_change: called when `busy` has changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "control")

    @property
    def busy(self) -> str | None:
        """What is being done; None if nothing is."""
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def do(self, what: str, job: Callable[[], _T]) -> Future[_T]:
        """Do `job` when those before it are done; errors of the system become an AvatarError."""

        def done() -> _T:
            try:
                return job()
            except OSError as error:
                raise AvatarError(f"{error.filename or what}: {error.strerror or error}") from error
            finally:
                with self._lock:
                    self._waiting.remove(what)
                self._on_change()

        with self._lock:
            self._waiting.append(what)
        self._on_change()
        return self._thread.submit(done)

    def close(self) -> None:
        """Wait for the job under way; the others are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)
