"""Packets of what the other side sends, put together as soon as that can be.

aiortc's buffers give a picture when the first packet of the next one is there: 33 ms later than it is whole,
at 30 a second. RTP says when it is: the last packet of a picture is marked (RFC 3550 5.1, RFC 7741 4.1, RFC
6184 5.1). Sound they hold back by four packets, 80 ms, and once one is lost, by up to fifteen for good.
"""

from __future__ import annotations

import logging

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

PICTURE_PACKETS = 512
"""Most that a picture and what came before it may have, as with aiortc. A power of 2."""
SOUND_PACKETS = 16
PATIENCE = 2
"""So many packets of sound that came after a missing one: it is not waited for any longer."""

_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_log = logging.getLogger(__name__)


class PictureBuffer(JitterBuffer):
    """Gives a picture with its marked packet; without a mark, with the first packet of the next one."""

    def __init__(self) -> None:
        super().__init__(PICTURE_PACKETS, is_video=True)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        assert self._origin is not None
        parts: list[RtpPacket] = []
        for number in range(self.capacity):
            packet = self._packets[(self._origin + number) % self.capacity]
            if packet is None:
                return None
            if parts and packet.timestamp != parts[0].timestamp:
                return self._taken(parts)
            parts.append(packet)
            if packet.marker:
                return self._taken(parts)
        return None

    def _taken(self, parts: list[RtpPacket]) -> JitterFrame | None:
        self.remove(len(parts))
        data = b"".join(_data(part) for part in parts)
        # Packets may be mere padding.
        return (
            JitterFrame(data, parts[0].timestamp) if data else self._remove_frame(parts[-1].sequence_number)
        )


class SoundBuffer(JitterBuffer):
    """Gives each packet of sound when it comes, in order; waits for a missing one for `PATIENCE` packets."""

    def __init__(self) -> None:
        super().__init__(SOUND_PACKETS)

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        assert self._origin is not None
        waiting = sum(packet is not None for packet in self._packets)
        while waiting >= PATIENCE and self._packets[self._origin % self.capacity] is None:
            self.remove(1)
        packet = self._packets[self._origin % self.capacity]
        if packet is None:
            return None
        self.remove(1)
        return JitterFrame(_data(packet), packet.timestamp)


def _data(packet: RtpPacket) -> bytes:
    """The packet's part of the frame, which the receiver has laid into it."""
    data: bytes = packet._data  # type: ignore[attr-defined]
    return data


def hasten(receiver: RTCRtpReceiver, kind: str) -> None:
    """Have a receiver that got no packet yet use the buffers of this module.

    aiortc has no public way to choose them: where its inside is another one, its own stay.

    Args:
        receiver: of a connection.
        kind: "audio" or "video".
    """
    if isinstance(getattr(receiver, _BUFFER, None), JitterBuffer):
        setattr(receiver, _BUFFER, PictureBuffer() if kind == "video" else SoundBuffer())
    else:
        _log.debug("another aiortc: its own buffers stay, with 33 ms for pictures and 80 ms for sound")
