"""The avatar's picture as a track of aiortc."""

from __future__ import annotations

from fractions import Fraction

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from avatar.call.feed import Feed
from avatar.tools import clock

REPEAT_S = 0.5
"""After so long without a new frame the last one is sent again: a picture that was lost comes back."""
CLOCK = Fraction(1, 90_000)
"""Time base of video in RTP."""


class VideoTrack(MediaStreamTrack):
    """Gives aiortc's encoder the newest frame whenever it asks; frames it was too slow for are left out.

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

    async def recv(self) -> VideoFrame:
        """The next frame, yuv420p's parent in RGB; the encoder converts it."""
        if self.readyState != "live":
            raise MediaStreamError
        self._version, frame = await self._feed.after(self._version, REPEAT_S)
        picture = VideoFrame.from_ndarray(frame.rgb, format="rgb24")
        picture.pts, picture.time_base = self._stamp(), CLOCK
        return picture

    def _stamp(self) -> int:
        """Ticks since the first frame; always more than the last time."""
        now = clock.now_ns()
        self._begin_ns = now if self._begin_ns is None else self._begin_ns
        self._pts = max(self._pts + 1, round((now - self._begin_ns) * 90_000 / 1e9))
        return self._pts
