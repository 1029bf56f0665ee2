"""What the other side sends is given on as soon as it is whole; what is lost holds nothing up for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket
from av.video.frame import VideoFrame
from call_fakes import Browser, Camera, calling, only_loopback, picture, run, until

from avatar.call import BrowserCamera
from avatar.call.arrival import PictureBuffer, SoundBuffer, hasten
from avatar.tools import clock

__all__ = ["only_loopback"]


def packet(number: int, timestamp: int, data: bytes, *, last: bool = False) -> RtpPacket:
    made = RtpPacket(marker=int(last), sequence_number=number % 65536, timestamp=timestamp)
    made._data = data  # type: ignore[attr-defined]
    return made


def given(kind: type[PictureBuffer | SoundBuffer], packets: Iterable[RtpPacket]) -> list[tuple[int, bytes]]:
    """[sequence number of the packet with which it came, data] of each frame."""
    frames: list[tuple[int, bytes]] = []
    buffer = kind(lambda packet, frame: frames.append((packet.sequence_number, frame.data)))
    for one in packets:
        _, newest = buffer.add(one)
        if newest is not None:
            frames.append((one.sequence_number, newest.data))
    return frames


def test_a_picture_comes_with_its_marked_packet() -> None:
    a, b = packet(65534, 0, b"a"), packet(65535, 0, b"b", last=True)
    c, d = packet(65536, 3000, b"c"), packet(65537, 3000, b"d", last=True)
    assert given(PictureBuffer, [a, b, c, d]) == [(65535, b"ab"), (1, b"cd")]


def test_a_picture_without_a_mark_comes_with_the_next_one() -> None:
    packets = [packet(5, 0, b"a"), packet(6, 0, b"b"), packet(7, 3000, b"c")]
    assert given(PictureBuffer, packets) == [(7, b"ab")]


def test_what_waited_behind_a_lost_packet_comes_with_it() -> None:
    a, b, c, d = (packet(n, 3000 * n, b"abcd"[n : n + 1], last=True) for n in range(4))
    assert given(PictureBuffer, [a, c, d, b]) == [(0, b"a"), (1, b"b"), (1, b"c"), (1, b"d")]


def test_pictures_behind_what_never_comes_make_room() -> None:
    """As many packets as aiortc keeps; then what waits is dropped, and a whole picture is asked for."""
    asked: list[bool] = []
    buffer = PictureBuffer(lambda packet, frame: None)
    for number in (0, *range(2, 600)):
        asked.append(buffer.add(packet(number, 3000 * number, b"x", last=True))[0])
    assert sum(asked) == 1


def test_padding_is_no_picture() -> None:
    packets = [packet(0, 0, b"a", last=True), packet(1, 0, b""), packet(2, 3000, b"b", last=True)]
    assert given(PictureBuffer, packets) == [(0, b"a"), (2, b"b")]
    much = [packet(0, 0, b"a", last=True), *(packet(n, 3000 * n, b"", last=True) for n in range(2, 500))]
    assert given(PictureBuffer, [*much, packet(1, 3000, b"b", last=True)]) == [(0, b"a"), (1, b"b")]


def sound(*numbers: int) -> list[RtpPacket]:
    return [packet(number, 960 * number, str(number % 65536).encode()) for number in numbers]


def test_sound_comes_with_its_packet_and_in_order() -> None:
    assert given(SoundBuffer, sound(0, 1, 2)) == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert given(SoundBuffer, sound(65535, 65536)) == [(65535, b"65535"), (0, b"0")]
    assert given(SoundBuffer, sound(0, 2, 1, 3)) == [(0, b"0"), (1, b"1"), (1, b"2"), (3, b"3")]
    lost = given(SoundBuffer, sound(0, 2, 3, 4, 6, 7))
    assert lost == [(0, b"0"), (3, b"2"), (3, b"3"), (4, b"4"), (7, b"6"), (7, b"7")]
    assert given(SoundBuffer, sound(0, 40, 41)) == [(0, b"0"), (40, b"40"), (41, b"41")], "far ahead"


def test_empty_packets_of_sound_are_passed_over() -> None:
    """A decoder would take nothing for the end, and say nothing any more."""
    packets = [*sound(0), packet(1, 960, b""), *sound(2)]
    assert given(SoundBuffer, packets) == [(0, b"0"), (2, b"2")]


def test_another_aiortc_keeps_its_own_buffers() -> None:
    async def go() -> tuple[Any, Any]:
        connection = RTCPeerConnection()
        receiver: Any = connection.addTransceiver("video").receiver
        hasten(receiver, "video")
        ours = receiver._RTCRtpReceiver__jitter_buffer
        other: Any = connection.addTransceiver("audio").receiver
        del other._RTCRtpReceiver__codecs
        hasten(other, "audio")
        await connection.close()
        return ours, other._RTCRtpReceiver__jitter_buffer

    ours, theirs = run(go())
    assert isinstance(ours, PictureBuffer), "this aiortc has what is looked for"
    assert not isinstance(theirs, SoundBuffer)


class SlowCamera(Camera):
    """Two pictures a second, each of a level of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_ns: list[int] = []

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.5)
        self._rgb = picture(40 + 40 * (len(self.sent_ns) % 4))
        self.sent_ns.append(clock.now_ns())
        return await super().recv()


def test_a_picture_does_not_wait_for_the_next_one() -> None:
    came: list[tuple[int, float]] = []

    class Noting(BrowserCamera):
        def take(self, picture: VideoFrame) -> None:
            came.append((clock.now_ns(), float(picture.to_ndarray(format="rgb24")[:, 60:].mean())))
            super().take(picture)

    slow, camera = SlowCamera(), Noting()

    async def go(url: str) -> None:
        browser = Browser(url, camera=slow)
        assert await browser.join() == 201
        await until(lambda: len(came) >= 6)

    with calling(camera=camera) as call:
        run(go(call.links()[1].url))
    camera.close()
    waits = []
    for came_ns, level in came[1:]:
        its = [
            sent for n, sent in enumerate(slow.sent_ns) if sent < came_ns and n % 4 == round(level / 40) - 1
        ]
        waits.append((came_ns - max(its)) / 1e6)
    assert np.median(waits) < 300, "the next one is sent after 530"
