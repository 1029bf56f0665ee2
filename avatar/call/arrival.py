"""Packets of what the other side sends, put together as soon as that can be.

aiortc's buffers give a picture when the first packet of the next one is there: 33 ms later than it is whole,
at 30 a second. The last packet of a picture is marked, and for VP8 that can be relied on (RFC 7741 4.1); for
H.264 it is what browsers do (RFC 6184 5.1 calls it an early indication). Sound they hold back by four
packets, 80 ms. And what waited behind a lost packet they give one by one, with later packets: late for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

PICTURE_PACKETS = 512
"""Of pictures that wait for a lost packet, at most: then the oldest are dropped, and a whole one is asked
for. As aiortc has it; a power of 2."""
SOUND_PACKETS = 16
PATIENCE = 2
"""So many packets of sound that came after a missing one: it is not waited for any longer."""

Give = Callable[[RtpPacket, JitterFrame], None]
"""Takes a frame, and the packet with which it became ready."""

_log = logging.getLogger(__name__)


class PromptBuffer(JitterBuffer):
    """Gives all frames that are ready: the last one as its answer, those before it to `give`."""

    def __init__(self, capacity: int, give: Give, *, is_video: bool) -> None:
        super().__init__(capacity, is_video=is_video)
        self._give = give

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take a packet; gives whether a whole picture is to be asked for, and the newest frame, if any."""
        lost, newest = super().add(packet)
        while newest is not None and (later := self._remove_frame(packet.sequence_number)) is not None:
            self._give(packet, newest)
            newest = later
        return lost, newest

    def _ahead(self, number: int = 0) -> RtpPacket | None:
        """The packet that is the next, or so many after that."""
        assert self._origin is not None
        return self._packets[(self._origin + number) % self.capacity]


class PictureBuffer(PromptBuffer):
    """A picture is ready with its marked packet; without a mark, with the first packet of the next one."""

    def __init__(self, give: Give) -> None:
        super().__init__(PICTURE_PACKETS, give, is_video=True)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        parts: list[RtpPacket] = []
        number = 0
        while number < self.capacity and (packet := self._ahead(number)) is not None:
            follows = bool(parts) and packet.timestamp != parts[0].timestamp
            if not follows:
                parts.append(packet)
                number += 1
            if follows or packet.marker:
                self.remove(len(parts))
                if data := b"".join(_data(part) for part in parts):
                    return JitterFrame(data, parts[0].timestamp)
                parts, number = [], 0  # mere padding
        return None


class SoundBuffer(PromptBuffer):
    """Each packet of sound is ready when it comes, in order; for a missing one `PATIENCE` packets wait."""

    def __init__(self, give: Give) -> None:
        super().__init__(SOUND_PACKETS, give, is_video=False)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        while True:
            packet = self._ahead()
            if packet is None and sum(one is not None for one in self._packets) < PATIENCE:
                return None
            self.remove(1)
            if packet is not None and (data := _data(packet)):  # a decoder takes nothing for the end
                return JitterFrame(data, packet.timestamp)


def _data(packet: RtpPacket) -> bytes:
    """The packet's part of the frame, which the receiver has laid into it."""
    data: bytes = packet._data  # type: ignore[attr-defined]
    return data


def hasten(receiver: RTCRtpReceiver, kind: str) -> None:
    """Have a receiver that got no packet yet use the buffers of this module.

    aiortc has no public way to choose them; this is how 1.16 is inside, to which the package is pinned.

    Args:
        receiver: of a connection.
        kind: "audio" or "video".
    """
    inside: dict[str, Any] = {
        name: getattr(receiver, f"_RTCRtpReceiver__{name}", None)
        for name in ("jitter_buffer", "decoder_queue", "codecs", "timestamp_mapper")
    }
    if any(part is None for part in inside.values()):
        _log.warning("another aiortc: pictures come 33 ms later than they could, and sound 80 ms")
        return

    def give(packet: RtpPacket, frame: JitterFrame) -> None:
        frame.timestamp = inside["timestamp_mapper"].map(frame.timestamp)
        inside["decoder_queue"].put((inside["codecs"][packet.payload_type], frame))

    buffer = PictureBuffer(give) if kind == "video" else SoundBuffer(give)
    setattr(receiver, "_RTCRtpReceiver__jitter_buffer", buffer)  # noqa: B010
