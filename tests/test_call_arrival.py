"""What the other side sends is given on as soon as it is whole; what is lost holds nothing up for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket
from av.video.frame import VideoFrame
from call_fakes import Browser, Camera, calling, only_loopback, run, until

from avatar.call import BrowserCamera
from avatar.call.arrival import PictureBuffer, SoundBuffer, hasten
from avatar.tools import clock

__all__ = ["only_loopback"]


def packet(number: int, timestamp: int, data: bytes, *, last: bool = False) -> RtpPacket:
    made = RtpPacket(marker=int(last), sequence_number=number % 65536, timestamp=timestamp)
    made._data = data  # type: ignore[attr-defined]
    return made


def given(buffer: PictureBuffer | SoundBuffer, packets: Iterable[RtpPacket]) -> list[tuple[int, bytes]]:
    """[sequence number of the packet with which it came, data] of each frame."""
    frames = [(one.sequence_number, buffer.add(one)[1]) for one in packets]
    return [(number, frame.data) for number, frame in frames if frame is not None]


def test_a_picture_comes_with_its_marked_packet() -> None:
    a, b = packet(65534, 0, b"a"), packet(65535, 0, b"b", last=True)
    c, d = packet(65536, 3000, b"c"), packet(65537, 3000, b"d", last=True)
    assert given(PictureBuffer(), [a, b, c, d]) == [(65535, b"ab"), (1, b"cd")]
    assert given(PictureBuffer(), [a, c, d, b]) == [(65535, b"ab")], "a packet that came late, or again"


def test_a_picture_without_a_mark_comes_with_the_next_one() -> None:
    packets = [packet(5, 0, b"a"), packet(6, 0, b"b"), packet(7, 3000, b"c")]
    assert given(PictureBuffer(), packets) == [(7, b"ab")]


def test_what_waited_behind_a_lost_packet_follows() -> None:
    a, b, c = (packet(number, 3000 * number, b"abc"[number : number + 1], last=True) for number in range(3))
    buffer = PictureBuffer()
    assert given(buffer, [a, c]) == [(0, b"a")]
    assert given(buffer, [b]) == [(1, b"b")]
    d = packet(3, 9000, b"d", last=True)
    assert given(buffer, [d]) == [(3, b"c")]


def test_padding_is_no_picture() -> None:
    packets = [packet(0, 0, b"a", last=True), packet(1, 0, b""), packet(2, 3000, b"b", last=True)]
    assert given(PictureBuffer(), packets) == [(0, b"a"), (2, b"b")]


def test_sound_comes_with_its_packet_and_in_order() -> None:
    def sound(*numbers: int) -> list[RtpPacket]:
        return [packet(number, 960 * number, str(number).encode()) for number in numbers]

    assert given(SoundBuffer(), sound(0, 1, 2)) == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert given(SoundBuffer(), sound(0, 2, 1, 3)) == [(0, b"0"), (1, b"1"), (3, b"2")]
    lost = given(SoundBuffer(), sound(0, 2, 3, 4, 6, 7, 8))
    assert lost == [(0, b"0"), (3, b"2"), (4, b"3"), (6, b"4"), (7, b"6"), (8, b"7")], "never two behind"


def test_another_aiortc_keeps_its_own_buffers() -> None:
    async def go() -> tuple[Any, Any]:
        connection = RTCPeerConnection()
        receiver: Any = connection.addTransceiver("video").receiver
        name = "_RTCRtpReceiver__jitter_buffer"
        hasten(receiver, "video")
        ours = getattr(receiver, name)
        delattr(receiver, name)
        hasten(receiver, "video")
        await connection.close()
        return ours, getattr(receiver, name, None)

    ours, then = run(go())
    assert isinstance(ours, PictureBuffer), "this aiortc has what is looked for"
    assert then is None


class SlowCamera(Camera):
    """Two pictures a second, each with its time."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_ns: list[int] = []

    async def recv(self) -> VideoFrame:
        frame = await super().recv()
        await asyncio.sleep(0.5)
        self.sent_ns.append(clock.now_ns())
        return frame


def test_a_picture_does_not_wait_for_the_next_one() -> None:
    came_ns: list[int] = []

    class Noting(BrowserCamera):
        def take(self, picture: VideoFrame) -> None:
            came_ns.append(clock.now_ns())
            super().take(picture)

    slow, camera = SlowCamera(), Noting()

    async def go(url: str) -> None:
        browser = Browser(url, camera=slow)
        assert await browser.join() == 201
        await until(lambda: len(came_ns) >= 5)

    with calling(camera=camera) as call:
        run(go(call.links()[1].url))
    camera.close()
    waits = [came - max(sent for sent in slow.sent_ns if sent < came) for came in came_ns]
    assert np.median(waits) < 250e6
