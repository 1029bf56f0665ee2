"""Keeping the terminal free of what native code writes to it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_stderr_lock = threading.Lock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop what native code writes to file descriptor 2 inside the block: it has no setting for it.

    Only for the moment of starting a model: other threads' messages of that moment are dropped too.
    """
    with _stderr_lock, contextlib.ExitStack() as undo:
        # A program without a terminal (pythonw, some services) has no descriptor 2 to silence.
        with contextlib.suppress(OSError):
            kept = os.dup(2)
            undo.callback(os.close, kept)
            sink = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, sink)
            os.dup2(sink, 2)
            undo.callback(os.dup2, kept, 2)
        yield
