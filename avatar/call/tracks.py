"""The avatar's picture as a track of aiortc."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypeAlias

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from avatar.call.feed import Feed
from avatar.tools import clock

REPEAT_S = 0.5
"""After so long without a new frame the last one is sent again: a picture that was lost comes back."""
Codec: TypeAlias = Literal["vp8", "h264"]
Quality: TypeAlias = Literal["usual", "high"]

CLOCK = Fraction(1, 90_000)
"""Time base of video in RTP."""


class PictureTrack(MediaStreamTrack):
    """The newest frame whenever it is asked for; frames that come too fast for that are left out.

    Time stamps say when a frame was given, not when the camera saw it: how long the avatar took differs from
    frame to frame, and a receiver would take that for a jittery network and wait longer.
    """

    kind = "video"

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self._version = 0
        self._begin_ns: int | None = None
        self._pts = -1

    def _stamp(self) -> int:
        """Ticks since the first frame; always more than the last time."""
        now = clock.now_ns()
        self._begin_ns = now if self._begin_ns is None else self._begin_ns
        self._pts = max(self._pts + 1, round((now - self._begin_ns) * 90_000 / 1e9))
        return self._pts


class RawTrack(PictureTrack):
    """Pictures for aiortc's own encoder."""

    async def recv(self) -> VideoFrame:
        """The next frame, in RGB; the encoder converts it."""
        if self.readyState != "live":
            raise MediaStreamError
        self._version, frame = await self._feed.after(self._version, REPEAT_S)
        picture = VideoFrame.from_ndarray(frame.rgb, format="rgb24")
        picture.pts, picture.time_base = self._stamp(), CLOCK
        return picture
