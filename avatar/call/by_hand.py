"""A call that people arrange by hand, with `paste`: one connection, no server, and no way back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from avatar.call.call import LOUD, NAMES
from avatar.call.encoder import picture_track
from avatar.call.feed import Feed
from avatar.call.ice import Ice
from avatar.call.peer import AGREE_S, CLOSE_S, Peer, Received
from avatar.call.sound import SoundFeed, SoundTrack
from avatar.call.tracks import Codec, Quality
from avatar.records import Frame
from avatar.web.loop import LoopThread

_log = logging.getLogger(__name__)


class CallByHand:
    """One guest, whose answer is brought by hand. An output of the live loop.

    Args:
        ice: which servers help.
        codec: of the picture,
        quality: and how well it is encoded.
        hear: gets the guest's sound, in the thread of the network; it must not wait.

    Attributes:
        sound: what the guest hears.
        ended: set when the connection is over.
    """

    constant_rate = False

    def __init__(
        self,
        ice: Ice,
        codec: Codec,
        quality: Quality = "usual",
        hear: Callable[[AudioFrame], None] | None = None,
    ) -> None:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.sound = SoundFeed()
        self.ended = threading.Event()
        self._loop = LoopThread("call")
        self._feed = Feed(self._loop)
        self._picture: VideoFrame | None = None
        self._peer = self._loop.run(self._make(ice, codec, quality, hear))

    def __call__(self, frame: Frame) -> None:
        """Send a frame; never waits."""
        self._feed(frame)

    def offer(self) -> str:
        """The SDP to be sent to the guest; raises CallError."""
        return self._loop.run(self._peer.offer(receive=True), 2 * AGREE_S)

    def accept(self, answer: str) -> None:
        """Take the SDP of the guest's answer; raises CallError."""
        self._loop.run(self._peer.accept(answer), 2 * AGREE_S)

    def guest_picture(self) -> VideoFrame | None:
        """The newest picture of the guest; None while there is none."""
        return self._picture

    def close(self) -> None:
        """End the connection."""
        try:
            self._loop.run(self._peer.close("was sent away: the call is over"), 2 * CLOSE_S)
        except TimeoutError:
            _log.warning("the call did not end in order")
        self._loop.close()

    async def _make(
        self, ice: Ice, codec: Codec, quality: Quality, hear: Callable[[AudioFrame], None] | None
    ) -> Peer:
        return Peer(
            NAMES["guest"],
            ice,
            [picture_track(self._feed, codec, quality), SoundTrack(self.sound, lambda: self._feed.age_ns)],
            Received(self._show, hear),
            codec=codec,
            on_connected=lambda: _log.info("%s is here", NAMES["guest"]),
            on_closed=self._closed,
        )

    def _show(self, picture: VideoFrame) -> None:
        self._picture = picture

    def _closed(self, why: str) -> None:
        _log.info("%s %s", NAMES["guest"], why)
        self._picture = None
        self.ended.set()
