"""Serves the control page of a run, and opens it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import webbrowser
from types import TracebackType
from typing import Self

from aiohttp import web

from avatar.control import Control
from avatar.page.api import Api
from avatar.page.files import add_files
from avatar.page.guard import Guard
from avatar.page.server import ServerThread, bind
from avatar.page.uploads import REQUEST_MAX


class Page:
    """The page of one run, served while inside `with`.

    Args:
        control: of the run.
        port: 0 takes any that is free.

    Attributes:
        address: for the browser of this machine; it holds the secret of this run.

    Raises:
        PageError: the port cannot be used.
    """

    def __init__(self, control: Control, port: int = 0) -> None:
        listening = bind(port)
        port = listening.getsockname()[1]
        hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
        guard = Guard(hosts, cookie=f"livehead-{port}")
        self.address = f"http://{hosts[0]}/?token={guard.token}"
        self._api = Api(control)
        application = web.Application(
            middlewares=[guard.middleware, self._api.told], client_max_size=REQUEST_MAX
        )
        application.on_response_prepare.append(guard.on_prepare)
        add_files(application.router)
        self._api.add_routes(application.router)
        application.on_shutdown.append(self._api.hang_up)
        self._server = ServerThread(application, listening)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    def open(self) -> bool:
        """Open it in the user's browser; whether there is one to be seen."""
        if not has_browser():
            return False
        # Aside: some browsers are waited for until they end.
        threading.Thread(target=self._open, name="browser", daemon=True).start()
        return True

    def _open(self) -> None:
        with contextlib.suppress(webbrowser.Error, OSError):
            webbrowser.open(self.address)


def has_browser() -> bool:
    """Whether somebody sits here who would see a browser: no script, no other machine's terminal."""
    if not any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
