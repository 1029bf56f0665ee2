"""Pictures encoded here, at more than the 1.5 Mbit/s that aiortc's own encoder stops at.

aiortc takes finished packets through its public interface, but tells their maker nothing: neither the bitrate
that the receiver estimates (REMB) nor its wish for a whole picture (PLI, FIR). So, what takes their place:

- the bitrate follows the losses and the round trip that receivers report about once a second, which aiortc's
  statistics show. It falls later than the estimate would have it, and never below `LEAST`;
- a whole picture is sent every `WHOLE_S` seconds, asked for or not. Who lost one waits up to so long;
- lost packets are sent again as ever, aiortc does that by itself.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from avatar.call.feed import Feed
from avatar.call.tracks import CLOCK, REPEAT_S, Codec, PictureTrack, Quality, RawTrack
from avatar.records import U8
from avatar.tools import clock
from avatar.tools.cores import usable_cores

LEAST, FIRST, MOST = 200_000, 2_000_000, 6_000_000
"""Bits a second."""
WHOLE_S = 2.0
FEW, MANY = 0.02, 0.10
"""Losses: below the first the bitrate may grow, above the second it falls."""
WAIT_S = 0.1
"""A round trip so much above the shortest one means that packets wait somewhere."""
STEP = 0.1
"""The encoder is made anew when the bitrate is off by so much; each time costs a whole picture."""
THREADS = min(2, usable_cores())
"""Of the encoder, for pictures of more pixels than LARGE; the generator needs the processor, too."""
LARGE = 640 * 480


class Bitrate:
    """What the encoder may send, from what the receiver reports.

    Attributes:
        now: bits a second.
    """

    def __init__(self) -> None:
        self.now = float(FIRST)
        self._shortest_s: float | None = None

    def report(self, lost: float, round_trip_s: float | None) -> None:
        """Take one report: the part of the packets that was lost lately, 0..1, and the round trip."""
        waits = False
        if round_trip_s is not None:
            shortest = self._shortest_s
            self._shortest_s = round_trip_s if shortest is None else min(shortest, round_trip_s)
            waits = round_trip_s > self._shortest_s + WAIT_S
        if lost > MANY:
            self.now *= 1 - lost / 2
        elif waits:
            self.now *= 0.85
        elif lost < FEW:
            self.now *= 1.08
        self.now = min(max(self.now, float(LEAST)), float(MOST))


class Encoder:
    """VP8 or H.264, for one receiver; whole pictures every `WHOLE_S`.

    Args:
        codec: which.
        bitrate: followed while it runs.
    """

    def __init__(self, codec: Codec, bitrate: Bitrate) -> None:
        self._codec, self._bitrate = codec, bitrate
        self._context: VideoCodecContext | None = None
        self._whole_ns: int | None = None

    def __call__(self, rgb: U8, pts: int) -> Packet[VideoStream] | None:
        """Encode one picture (H, W, 3), both sides even; None if the encoder left it out."""
        frame = VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = pts, CLOCK
        context = self._fitting(frame)
        now = clock.now_ns()
        if self._whole_ns is None or now - self._whole_ns >= WHOLE_S * 1e9:
            frame.pict_type, self._whole_ns = PictureType.I, now
        packets = context.encode(frame)
        return packets[0] if packets else None

    def _fitting(self, frame: VideoFrame) -> VideoCodecContext:
        """The encoder for a frame of that size, at the bitrate of the moment."""
        context, wanted = self._context, round(self._bitrate.now)
        if context is not None and (context.width, context.height) == (frame.width, frame.height):
            assert context.bit_rate is not None
            if abs(wanted - context.bit_rate) <= STEP * context.bit_rate:
                return context
        self._context = made = _context(self._codec, frame, wanted)
        self._whole_ns = None
        return made


def _context(codec: Codec, frame: VideoFrame, bitrate: int) -> VideoCodecContext:
    context = av.CodecContext.create("libvpx" if codec == "vp8" else "libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
    context.bit_rate = bitrate
    context.time_base, context.framerate = CLOCK, Fraction(30, 1)
    context.gop_size = 3000  # when a whole picture is due is said here, by the clock
    context.thread_count = THREADS if frame.width * frame.height > LARGE else 1
    common = {"minrate": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate)}
    if codec == "vp8":
        context.qmin, context.qmax = 2, 56
        own = {
            "deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "overshoot-pct": "15",
            "undershoot-pct": "100", "static-thresh": "1", "error-resilient": "default",
        }  # fmt: skip
    else:
        own = {"preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
    context.options = common | own
    return context


def picture_track(feed: Feed, codec: Codec, quality: Quality) -> PictureTrack:
    """The avatar's picture, by aiortc's encoder or ours."""
    return EncodedTrack(feed, codec) if quality == "high" else RawTrack(feed)


class EncodedTrack(PictureTrack):
    """The avatar's picture as finished packets; the newest frame is encoded when the last one is sent.

    Args:
        feed: where the frames come from.
        codec: what the other side was told.
    """

    def __init__(self, feed: Feed, codec: Codec) -> None:
        super().__init__(feed)
        self.bitrate = Bitrate()
        self._encode = Encoder(codec, self.bitrate)

    async def recv(self) -> Packet[VideoStream]:
        """The next packet: one picture."""
        while True:
            if self.readyState != "live":
                raise MediaStreamError
            self._version, frame = await self._feed.after(self._version, REPEAT_S)
            packet = await asyncio.get_running_loop().run_in_executor(
                None, self._encode, frame.rgb, self._stamp()
            )
            if packet is not None:
                return packet

    def report(self, lost: float, round_trip_s: float | None) -> None:
        """What the receiver says of the connection, see `Bitrate.report`."""
        self.bitrate.report(lost, round_trip_s)
