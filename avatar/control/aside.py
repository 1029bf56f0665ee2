"""What takes long is done aside, in a thread of its own, one thing after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from avatar.errors import AvatarError

_T = TypeVar("_T")
END_S = 5.0
"""How long the job under way is waited for at the end."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One thing to do."""

    what: str
    call: Callable[[], Any]
    future: Future[Any]

    def done(self) -> Callable[[], None]:
        """Do it; what comes back says how it went to who waits."""
        try:
            result = self.call()
        except OSError as error:
            told = AvatarError(f"{error.filename or self.what}: {error.strerror or error}")
            told.__cause__ = error
            return partial(self.future.set_exception, told)
        except BaseException as error:
            return partial(self.future.set_exception, error)
        return partial(self.future.set_result, result)


class Aside:
    """Does jobs aside, and says what is being done.

    Args:
        on_change: called when `busy` has changed.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._waiting: deque[_Job] = deque()
        self._doing: _Job | None = None
        self._closed = False
        self._changed = threading.Condition()
        # A daemon: a driver that hangs while it is opened must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="control", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> str | None:
        """What is being done; None if nothing is."""
        with self._changed:
            job = self._doing or (self._waiting[0] if self._waiting else None)
            return job.what if job else None

    def do(self, what: str, call: Callable[[], _T]) -> Future[_T]:
        """Do `call` when what came before is done; errors of the system become an AvatarError.

        After the end nothing is done any more: what comes back is cancelled.
        """
        job = _Job(what, call, Future())
        with self._changed:
            if self._closed:
                job.future.cancel()
                return job.future
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Drop what has not begun, and wait for the job under way, if it does not hang."""
        with self._changed:
            self._closed = True
            while self._waiting:
                self._waiting.pop().future.cancel()
            self._changed.notify()
        self._thread.join(END_S)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            # Told by this thread, so that nobody hears of a job only when it is done.
            self._on_change()
            tell = job.done()
            with self._changed:
                self._doing = None
            self._on_change()
            tell()

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._waiting:
                self._doing = self._waiting.popleft()
                self._doing.future.set_running_or_notify_cancel()
            return self._doing
