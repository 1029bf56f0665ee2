"""One connection of aiortc, from its offer to its end, and everything that must be freed with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from avatar.call.arrival import hasten
from avatar.call.encoder import EncodedTrack
from avatar.call.ice import Ice
from avatar.call.offers import check_sdp
from avatar.call.tracks import Codec
from avatar.call.weather import Weather
from avatar.errors import CallError

AGREE_S = 10.0
"""How long offer and answer may take, with all that ICE servers are asked."""
CONNECT_S = 20.0
"""How long the two may look for a way to each other."""
SILENCE_S = 8.0
"""Not a packet for so long: the other side has vanished. ICE itself would notice after 30 s."""
CLOSE_S = 3.0
LARGEST = 2560 * 1440
"""Most pixels of a picture that is taken; larger ones would be a way to keep our processor busy."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """Who gets what the other side sends; each is called in the event loop and must not wait."""

    video: Callable[[VideoFrame], None] | None = None
    sound: Callable[[AudioFrame], None] | None = None


class Peer:
    """One connection; lives in an event loop.

    Args:
        name: who it is, for the log.
        ice: which servers help.
        tracks: what is sent.
        received: who gets what comes.
        codec: of the picture that is sent, if the other side knows it. A track that encodes by itself needs
            just this one.
        on_connected: called when the two have found each other.
        on_closed: called once with a reason, in words that follow the name.

    Attributes:
        connection: aiortc's.
        why: the reason of the end; None while it lives.
    """

    def __init__(
        self,
        name: str,
        ice: Ice,
        tracks: Sequence[MediaStreamTrack],
        received: Received,
        *,
        codec: Codec = "vp8",
        on_connected: Callable[[], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.why: str | None = None
        self.connection = RTCPeerConnection(ice.configuration())
        self._ice, self._received, self._codec = ice, received, codec
        self._on_connected, self._on_closed = on_connected, on_closed
        self._connected = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._tracks = tracks
        self._weather = Weather()
        self._reported_at: datetime | None = None
        self.connection.on("connectionstatechange", self._state_changed)
        self.connection.on("track", self._take)

    async def answer(self, offer: str) -> str:
        """The answer to an SDP offer, all candidates in it.

        Raises:
            CallError: the offer is nonsense, has nothing in common with us, or an ICE server does not answer
                in time. The peer is closed then.
        """
        async with self._agreeing():
            kinds = check_sdp(offer)
            for track in self._tracks:
                if track.kind in kinds:  # aiortc stumbles over more than is asked for
                    self.connection.addTrack(track)
            self._prefer_codec()
            await self.connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self.connection.setLocalDescription()
        return self._agreed()

    async def offer(self, *, receive: bool) -> str:
        """An SDP offer, all candidates in it; raises as `answer`."""
        async with self._agreeing():
            for track in self._tracks:
                self.connection.addTransceiver(track, "sendrecv" if receive else "sendonly")
            self._prefer_codec()
            await self.connection.setLocalDescription()
        return self._agreed()

    async def accept(self, answer: str) -> None:
        """Take the answer to our offer; raises as `answer`."""
        async with self._agreeing():
            check_sdp(answer)
            await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self._watch()

    async def connected(self) -> None:
        """Wait until the two have found each other, or the peer is closed."""
        await self._connected.wait()

    async def close(self, why: str) -> None:
        """End the connection and free all of it; the first reason counts. Returns when that is done."""
        if self._closing is None:
            self.why = why
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    @contextlib.asynccontextmanager
    async def _agreeing(self) -> AsyncIterator[None]:
        """Inside, whatever goes wrong closes the peer and is raised as CallError."""
        try:
            async with asyncio.timeout(AGREE_S):
                yield
        except Exception as error:
            # aiortc's parser raises whatever its author did not think of: the text comes from a stranger.
            await self.close("was not understood")
            if isinstance(error, CallError):
                raise
            if isinstance(error, TimeoutError):
                raise CallError(f"no agreement within {AGREE_S:.0f} s: do the ICE servers answer?") from error
            raise CallError(f"the SDP cannot be used: {type(error).__name__}: {error}"[:200]) from error

    def _agreed(self) -> str:
        if self.why is not None:
            raise CallError(f"the call with {self.name} {self.why}")
        sdp: str = self.connection.localDescription.sdp
        if any(server.relays for server in self._ice.servers) and " typ relay" not in sdp:
            _log.warning(
                "%s: the TURN server gives no relay: is it reached, are name and password right, "
                "and its certificate, with turns:?",
                self.name,
            )
        if self.connection.remoteDescription is not None:
            self._watch()
        return sdp

    def _prefer_codec(self) -> None:
        known = RTCRtpSender.getCapabilities("video").codecs
        wanted = sorted(known, key=lambda one: one.mimeType.lower() != f"video/{self._codec}")
        if any(isinstance(track, EncodedTrack) for track in self._tracks):
            wanted = [one for one in known if one.mimeType.lower() in (f"video/{self._codec}", "video/rtx")]
        for transceiver in self.connection.getTransceivers():
            if transceiver.kind == "video":
                transceiver.setCodecPreferences(wanted)

    def _watch(self) -> None:
        self._start(self._until_it_ends())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_it_ends(self) -> None:
        """Give up when no way is found, and when nothing comes any more."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connected.wait()
        except TimeoutError:
            self._end("could not be reached: no way was found in either direction")
            return
        last, quiet_s = -1, 0.0
        while quiet_s < SILENCE_S:
            await asyncio.sleep(1.0)
            received = await self._look()
            quiet_s = 0.0 if received != last else quiet_s + 1.0
            last = received
        self._end("vanished")

    async def _look(self) -> int:
        """How many bytes have come; what the other side says of our picture goes to the track."""
        report = list((await self.connection.getStats()).values())
        for one in report:
            of_picture = one.type == "remote-inbound-rtp" and one.kind == "video"
            if of_picture and one.timestamp != self._reported_at:
                self._reported_at = one.timestamp
                self._reported(one.fractionLost / 256, one.roundTripTime)
        return sum(one.bytesReceived for one in report if one.type == "transport")

    def _reported(self, lost: float, round_trip_s: float | None) -> None:
        if (told := self._weather(lost, round_trip_s)) is not None:
            _log.info("%s %s", self.name, told)
        for track in self._tracks:
            if isinstance(track, EncodedTrack):
                track.report(lost, round_trip_s)

    def _state_changed(self) -> None:
        state = self.connection.connectionState
        if state == "connected" and not self._connected.is_set():
            self._connected.set()
            if self._on_connected is not None:
                self._on_connected()
        elif state == "failed":
            self._end("was lost" if self._connected.is_set() else "could not be reached")
        elif state == "closed":
            self._end("hung up")

    def _end(self, why: str) -> None:
        if self._closing is None:
            self.why = why
            self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        self._connected.set()
        mine = asyncio.current_task()
        for task in [task for task in self._tasks if task is not mine]:
            task.cancel()
        for track in self._tracks:
            track.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.connection.close()
        except TimeoutError:
            _log.debug("%s: the connection did not close in time", self.name)
        if self._on_closed is not None and self.why is not None:
            self._on_closed(self.why)

    def _take(self, track: MediaStreamTrack) -> None:
        for receiver in self.connection.getReceivers():
            if receiver.track is track:
                hasten(receiver, track.kind)
        if track.kind == "video":
            self._start(self._pull_pictures(track))
        elif track.kind == "audio":
            self._start(self._pull_sound(track))

    async def _pull_pictures(self, track: MediaStreamTrack) -> None:
        """Empty the track as fast as it fills, wanted or not: what stays in it would be delay, and memory."""
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not isinstance(frame, VideoFrame):
                    continue
                if frame.width * frame.height > LARGEST:
                    self._end(f"sends pictures that are too large, {frame.width}x{frame.height}")
                    return
                if self._received.video is not None:
                    self._received.video(frame)

    async def _pull_sound(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame) and self._received.sound is not None:
                    self._received.sound(frame)
