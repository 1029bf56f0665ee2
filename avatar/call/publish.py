"""The avatar in a conference: published to a server, and published again when the way there was lost."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from avatar.call.call import LOUD
from avatar.call.encoder import picture_track
from avatar.call.feed import Feed
from avatar.call.ice import Ice
from avatar.call.peer import Peer, Received
from avatar.call.sound import SoundFeed, SoundTrack
from avatar.call.tracks import Codec, Quality
from avatar.errors import CallError
from avatar.records import Frame
from avatar.web.loop import LoopThread

PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between tries to come back."""
BEGIN_S = 60.0
END_S = 8.0

_log = logging.getLogger(__name__)


class Conference(Protocol):
    """A server that takes what is published."""

    told: str

    async def begin(self, peer: Peer) -> None:
        """Exchange descriptions; raises CallError."""

    async def hold(self) -> None:
        """Do what keeps us in, until cancelled; returns when it is over."""

    async def end(self) -> None:
        """Leave."""


class Publisher:
    """Keeps the avatar published. An output of the live loop.

    Args:
        conference: where.
        ice: which servers help.
        codec: of the picture,
        quality: and how well it is encoded.

    Attributes:
        sound: what the others hear.

    Raises:
        CallError: the first try fails; later ones are told, and tried again.
    """

    constant_rate = False

    def __init__(self, conference: Conference, ice: Ice, codec: Codec, quality: Quality = "usual") -> None:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.sound = SoundFeed()
        self._conference, self._ice, self._codec, self._quality = conference, ice, codec, quality
        self._loop = LoopThread("publish")
        self._feed = Feed(self._loop)
        self._over: asyncio.Event | None = None
        self._peer: Peer | None = None
        self._keeping: asyncio.Future[None] | None = None
        try:
            self._loop.run(self._begin(), BEGIN_S)
        except BaseException:
            self.close()
            raise
        self._loop.soon(self._keep)

    def __call__(self, frame: Frame) -> None:
        """Send a frame; never waits."""
        self._feed(frame)

    def close(self) -> None:
        """Leave the conference."""
        try:
            self._loop.run(self._end(), END_S)
        except TimeoutError:
            _log.warning("the conference was not left in order")
        self._loop.close()

    async def _begin(self) -> None:
        self._over = asyncio.Event()
        self._peer = Peer(
            self._conference.told,
            self._ice,
            [
                picture_track(self._feed, self._codec, self._quality),
                SoundTrack(self.sound, lambda: self._feed.age_ns),
            ],
            Received(),
            codec=self._codec,
            on_closed=self._lost,
        )
        await self._conference.begin(self._peer)
        await self._peer.connected()
        if self._peer.why is not None:
            raise CallError(f"{self._conference.told} {self._peer.why}")
        _log.info("%s shows the avatar", self._conference.told)

    def _lost(self, why: str) -> None:
        if self._over is not None:
            self._over.set()

    def _keep(self) -> None:
        self._keeping = asyncio.ensure_future(self._stay())

    async def _stay(self) -> None:
        """Come back whenever the connection is lost, until cancelled."""
        while True:
            await self._until_lost()
            why = self._peer.why if self._peer is not None else None
            _log.warning("%s %s; trying again", self._conference.told, why or "is gone")
            for number in range(1_000_000):
                try:
                    await self._leave("is tried again")
                    await self._begin()
                    break
                except CallError as error:
                    _log.debug("%s", error)
                except Exception:
                    # Whatever a server does that nobody thought of must not end this task without a word.
                    _log.exception("%s could not be entered", self._conference.told)
                await asyncio.sleep(PAUSES_S[min(number, len(PAUSES_S) - 1)])

    async def _until_lost(self) -> None:
        assert self._over is not None
        holding = asyncio.create_task(self._conference.hold())
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({over, holding}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            holding.cancel()
            over.cancel()

    async def _end(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._leave("ended")

    async def _leave(self, why: str) -> None:
        peer, self._peer = self._peer, None
        try:
            await self._conference.end()
        finally:
            if peer is not None:
                await peer.close(why)
