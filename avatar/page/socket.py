"""The connection of one open page: pictures and figures to it, as fast as it takes them and no faster.

To the page: text is JSON, `{"type": "state" | "status", ...}`. Bytes are a picture: its kind (one byte, a
place in `KINDS`), its number (four bytes, little end first), and a JPEG.

From the page: `{"watch": [kind, ...]}` says what it shows; `{"seen": [kind, number]}` that it has drawn a
picture. Until then it gets no other of that kind: so nothing queues up, and what it shows is never old. A
page that is hidden watches nothing, and then nothing is encoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from dataclasses import asdict
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from avatar.control import Control
from avatar.control.feed import Feed
from avatar.tools import clock

KINDS = ("avatar", "driver")
MESSAGE_MAX = 2_000
"""Longest message of a page [bytes]."""
LATE_S = 3.0
"""A picture of which nothing was heard for so long counts as lost."""
_AGES = 60

_log = logging.getLogger(__name__)


class Line:
    """One connection.

    Args:
        control: of the run.
        socket: accepted already.
    """

    def __init__(self, control: Control, socket: web.WebSocketResponse) -> None:
        self._control = control
        self._socket = socket
        self._feeds: dict[str, Feed[Any]] = dict(
            zip(KINDS, (control.preview.feed, control.view.feed), strict=True)
        )
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._woken.set()
        self._due = {"state", "status"}
        self._sent = dict.fromkeys(KINDS, -1)
        """Number of the picture that was sent last,"""
        self._under_way: dict[str, tuple[int, int, float]] = {}
        """and of that which the page has not drawn yet, when it was put [ns] and when it was sent [s]."""
        self._behind_ms: deque[float] = deque(maxlen=_AGES)
        self._told = ""
        self._watched: list[str] = []

    async def serve(self) -> None:
        """Until the page goes, or something fails here: then the page is told, and connects anew."""
        self._control.listen(self._changed)
        ways = [asyncio.create_task(self._send()), asyncio.create_task(self._read())]
        code = WSCloseCode.OK
        try:
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ended:
                if (error := way.exception()) is not None and not isinstance(error, ConnectionError):
                    _log.error("the connection to a page failed", exc_info=error)
                    code = WSCloseCode.INTERNAL_ERROR
        finally:
            self._control.leave(self._changed)
            for feed in self._feeds.values():
                feed.leave(self._wake)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await self._socket.close(code=code)

    def _changed(self, what: str) -> None:
        """Called in any thread."""

        def note() -> None:
            self._due.add(what)
            self._woken.set()

        self._soon(note)

    def _wake(self) -> None:
        """Called in any thread."""
        self._soon(self._woken.set)

    def _soon(self, call: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)

    def _heard(self, text: str) -> bool:
        """Do what the page said; False if it makes no sense."""
        try:
            said = json.loads(text)
            if not isinstance(said, dict):
                return False
            if "watch" in said:
                self._watch({str(kind) for kind in said["watch"]})
            if "seen" in said:
                kind, number = said["seen"]
                self._seen(kind, number)
        except (ValueError, TypeError, LookupError, RecursionError):
            return False
        return True

    def _watch(self, kinds: set[str]) -> None:
        for kind, feed in self._feeds.items():
            feed.leave(self._wake)
            if kind in kinds:
                feed.watch(self._wake)
                self._under_way.pop(kind, None)
                self._sent[kind] = -1
        self._watched = [kind for kind in KINDS if kind in kinds]
        self._woken.set()

    def _seen(self, kind: str, number: int) -> None:
        waiting = self._under_way.get(kind)
        if waiting is not None and waiting[0] == number:
            del self._under_way[kind]
            self._behind_ms.append((clock.now_ns() - waiting[1]) / 1e6)
            self._woken.set()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT or not self._heard(message.data):
                return

    async def _send(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            for what in sorted(self._due):
                self._due.discard(what)
                await self._tell(what)
            for kind in self._watched:
                await self._show(kind, self._feeds[kind])

    async def _tell(self, what: str) -> None:
        if what == "state":
            text = json.dumps({"type": what, **await asyncio.to_thread(self._control.state)})
            if text != self._told:
                await self._socket.send_str(text)
            self._told = text
        elif (status := self._control.status) is not None:
            behind = sorted(self._behind_ms)
            middle = round(behind[len(behind) // 2], 1) if behind else None
            await self._socket.send_json({"type": what, **asdict(status), "behind_ms": middle})

    async def _show(self, kind: str, feed: Feed[Any]) -> None:
        waiting = self._under_way.get(kind)
        now = time.monotonic()
        if feed.number == self._sent[kind] or (waiting is not None and now - waiting[2] < LATE_S):
            return
        packed = await asyncio.to_thread(feed.packed)
        if packed is None:
            return
        self._sent[kind] = packed.number
        self._under_way[kind] = packed.number, packed.put_ns, now
        head = bytes([KINDS.index(kind)]) + packed.number.to_bytes(4, "little")
        await self._socket.send_bytes(head + packed.content)
