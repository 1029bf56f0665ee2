"""Serves the control page of a run, and opens it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import threading
import webbrowser
from types import TracebackType
from typing import Self

from avatar.control import Control
from avatar.page.api import Api
from avatar.page.files import file_routes
from avatar.page.uploads import REQUEST_MAX
from avatar.web import guard
from avatar.web.addresses import LOOPBACK, listen
from avatar.web.loop import LoopThread
from avatar.web.server import Place, Server

SECRET_BYTES = 32
START_S, END_S = 10.0, 3.0

_log = logging.getLogger(__name__)


class Page:
    """The page of one run, served while inside `with`.

    Args:
        control: of the run.
        port: 0 takes any that is free.

    Attributes:
        address: for the browser of this machine; it holds the secret of this run.

    Raises:
        ServerError: the port cannot be used.
    """

    def __init__(self, control: Control, port: int = 0) -> None:
        sock = listen(LOOPBACK, port)
        place = Place((LOOPBACK, "localhost"), sock.getsockname()[1], tls=False)
        token = secrets.token_urlsafe(SECRET_BYTES)
        self.address = place.url(f"/?{guard.QUERY}={token}")
        self._api = Api(control)
        self._server = Server(
            [*file_routes(), *self._api.routes()],
            place,
            sock,
            body_bytes=REQUEST_MAX,
            middlewares=[
                guard.only_with_token(token, cookie=f"livehead-{place.port}", secure=place.tls),
                self._api.told,
            ],
        )
        self._loop: LoopThread | None = None

    def __enter__(self) -> Self:
        self._loop = LoopThread("page")
        self._loop.run(self._server.start(), START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        try:
            self._loop.run(self._close(), END_S)
        except TimeoutError:
            _log.debug("the page did not end in order")
        self._loop.close()

    def open(self) -> bool:
        """Open it in the user's browser; whether there is one to be seen."""
        if not has_browser():
            return False
        # Aside: some browsers are waited for until they end.
        threading.Thread(target=self._open, name="browser", daemon=True).start()
        return True

    async def _close(self) -> None:
        await self._api.hang_up()
        await self._server.close()

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
