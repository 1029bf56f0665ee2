"""A browser of Python for the tests of calls: sends a picture and a tone, notes what comes."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, TypeVar

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from avatar.call import Call, CallOptions, Ice
from avatar.records import U8, Frame
from avatar.tools import clock

T = TypeVar("T")

SIDE = 128


def picture(level: int, side: int = SIDE) -> U8:
    """A grey picture whose left third is bright: a flip would be seen."""
    rgb = np.full((side, side, 3), level, np.uint8)
    rgb[:, : side // 3] = 240
    return rgb


def url_of(call: Call) -> str:
    """The guest's link."""
    return call.links()[0].url


async def until(there: Callable[[], bool], patience_s: float = 15.0) -> None:
    """Wait for something, while the loop goes on."""
    async with asyncio.timeout(patience_s):
        while not there():
            await asyncio.sleep(0.02)


class Painter:
    """Feeds a call with frames at 30 fps in a thread, grey levels going up and down, until it is closed."""

    def __init__(self, call: Any, fps: float = 30.0, age_ns: int = 0) -> None:
        self._ending = threading.Event()
        self._call, self._fps, self._age_ns = call, fps, age_ns
        self._thread = threading.Thread(target=self._paint, name="painter")
        self._thread.start()

    def _paint(self) -> None:
        index = 0
        while not self._ending.wait(1 / self._fps):
            index += 1
            self._call(Frame(picture(60 + index % 100), index, clock.now_ns() - self._age_ns))

    def close(self) -> None:
        self._ending.set()
        self._thread.join()


class Camera(MediaStreamTrack):
    """A grey picture of one level at 30 fps."""

    kind = "video"

    def __init__(self, level: int = 90, side: int = SIDE) -> None:
        super().__init__()
        self._rgb, self._count = picture(level, side), 0

    async def recv(self) -> VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(1 / 30)
        frame = VideoFrame.from_ndarray(self._rgb, format="rgb24")
        self._count += 1
        frame.pts, frame.time_base = self._count * 3000, Fraction(1, 90_000)
        return frame


class Tone(MediaStreamTrack):
    """400 Hz."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(0.02)
        phase = (np.arange(960) + 960 * self._count) * 2 * np.pi * 400 / 48_000
        frame = AudioFrame.from_ndarray(
            np.asarray(8000 * np.sin(phase), np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * self._count, Fraction(1, 48_000)
        self._count += 1
        return frame


@dataclass
class Got:
    """What a browser received."""

    pictures: list[U8] = field(default_factory=list)
    loudness: list[float] = field(default_factory=list)
    picture_ns: list[int] = field(default_factory=list)
    sound_ns: list[int] = field(default_factory=list)


class Browser:
    """One caller; lives in the event loop of the test."""

    open: ClassVar[list[Browser]] = []
    """Those that `run` has to close."""

    def __init__(
        self, url: str, *, sends: bool = True, cookies: Any = None, camera: Camera | None = None
    ) -> None:
        self.open.append(self)
        self.url, self._sends, self._camera = url, sends, camera or Camera()
        self.got = Got()
        self.end: str | None = None
        self.status: int | None = None
        self.headers: Any = {}
        self.text = ""
        self.connection = RTCPeerConnection(Ice().configuration())
        self._tasks: list[asyncio.Task[None]] = []
        jar = aiohttp.CookieJar(unsafe=True)  # addresses are hosts here
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self.http = aiohttp.ClientSession(cookie_jar=cookies or jar, connector=aiohttp.TCPConnector(ssl=tls))

    async def offer(self) -> str:
        @self.connection.on("track")
        def take(track: MediaStreamTrack) -> None:
            self._tasks.append(asyncio.ensure_future(self._pull(track)))

        for track in (self._camera, Tone()):
            self.connection.addTransceiver(
                track if self._sends else track.kind, "sendrecv" if self._sends else "recvonly"
            )
        await self.connection.setLocalDescription()
        sdp: str = self.connection.localDescription.sdp
        return sdp

    async def post(self, body: str | bytes, kind: str = "application/sdp") -> int:
        async with self.http.post(self.url, data=body, headers={"Content-Type": kind}) as response:
            self.status, self.headers = response.status, response.headers
            self.text = await response.text()
        return self.status

    async def join(self) -> int:
        if await self.post(await self.offer()) == 201:
            self.end = self.headers["Location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(self.text, "answer"))
        assert self.status is not None
        return self.status

    async def hang_up(self) -> int:
        assert self.end is not None
        async with self.http.delete(self.url.split("/call/")[0] + self.end) as response:
            return response.status

    async def vanish(self) -> None:
        """Be gone without a word, as when a network is cut: nothing is sent any more, nothing answered."""
        for transceiver in self.connection.getTransceivers():
            ice = transceiver.receiver.transport.transport
            for protocol in ice._connection._protocols:
                protocol.transport.abort()

    async def wait_for(self, pictures: int = 0, sounds: int = 0, patience_s: float = 15.0) -> None:
        async with asyncio.timeout(patience_s):
            while len(self.got.pictures) < pictures or len(self.got.loudness) < sounds:
                await asyncio.sleep(0.02)

    async def _pull(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.got.pictures.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                    self.got.picture_ns.append(clock.now_ns())
                elif isinstance(frame, AudioFrame):
                    self.got.loudness.append(float(np.abs(frame.to_ndarray()).mean()))
                    self.got.sound_ns.append(clock.now_ns())
        except MediaStreamError:
            return

    async def close(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await self.http.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine of a test, and close its browsers whatever happens."""

    async def whole() -> T:
        try:
            return await work
        finally:
            while Browser.open:
                await Browser.open.pop().close()
            await asyncio.sleep(0.05)

    return asyncio.run(whole())


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls within this computer: ICE leaves the loopback address out, and other networks need no packets."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@contextmanager
def calling(paint: bool = True, age_ns: int = 0, **options: Any) -> Iterator[Call]:
    """A call that is fed with pictures."""
    more = {name: options.pop(name) for name in ("camera", "hear") if name in options}
    call = Call(CallOptions(**options), **more)
    painter = Painter(call, age_ns=age_ns) if paint else None
    try:
        yield call
    finally:
        if painter is not None:
            painter.close()
        call.close()
