"""Sound on its way to the other side: pieces of 20 ms, held back until their picture is drawn."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from avatar.tools import clock
from avatar.tools.pacer import Pacer
from avatar.tools.stats import percentile

I16 = NDArray[np.int16]

RATE = 48_000
"""Samples a second; Opus knows no other."""
PIECE = 960
"""Samples of a piece: 20 ms, what Opus packs at once."""
PIECE_NS = 20_000_000
MOST_DELAY_MS = 500
MOST_PIECES = MOST_DELAY_MS // 20 + 5
SLACK_NS = 10_000_000
"""A piece may go out so much before its time,"""
LATE_NS = 25_000_000
"""and is left out when it is so much behind it."""
IN_TIME = 95
"""Percent of the last pieces that are waited for, of a source that gives them unevenly,"""
MOST_WAIT_NS = 80_000_000
"""but not for so much longer than for the picture: then it would be out of step."""
LAST = 150
"""Pieces that count for that: three seconds."""
MEMORY_NS = 3_000_000_000
"""What was fastest longer ago says nothing any more: clocks drift apart, and routes change."""


class SoundFeed:
    """Pieces of sound from anywhere, for any number of tracks.

    Attributes:
        muted: True sends silence.
    """

    def __init__(self) -> None:
        self.muted = False
        self._lock = threading.Lock()
        self._late_ns: deque[int] = deque(maxlen=LAST)
        self._takers: list[deque[tuple[int, I16]]] = []

    def put(self, captured_ns: int, piece: I16) -> None:
        """Give a piece, (960,) at 48 kHz, to all that listen; from any thread."""
        with self._lock:
            self._late_ns.append(clock.now_ns() - captured_ns - PIECE_NS)
            for taker in self._takers:
                taker.append((captured_ns, piece))

    def listen(self) -> deque[tuple[int, I16]]:
        """A new listener's pieces; those that are not taken in time fall out."""
        pieces: deque[tuple[int, I16]] = deque(maxlen=MOST_PIECES)
        with self._lock:
            self._takers.append(pieces)
        return pieces

    def least_delay_ns(self) -> float:
        """How old pieces are when they are here, but for the few that come latest [ns]."""
        with self._lock:
            late_ns = list(self._late_ns)
        return PIECE_NS + max(0.0, percentile(late_ns, IN_TIME)) if late_ns else 0.0

    def leave(self, pieces: deque[tuple[int, I16]]) -> None:
        """Forget a listener."""
        with self._lock:
            self._takers = [one for one in self._takers if one is not pieces]


class SoundTrack(MediaStreamTrack):
    """Sound as a track of aiortc, in step with the picture.

    The browser shows picture and sound together that were sent together. The picture was captured some time
    before: so long the sound is held back, and a little longer where its pieces come unevenly, as those of a
    browser may. What that time is may change: then a piece of silence more, or a piece less, makes up for it.

    Args:
        feed: where the sound comes from.
        delay_ns: how old the picture is when it is sent [ns].
    """

    kind = "audio"

    def __init__(self, feed: SoundFeed, delay_ns: Callable[[], float]) -> None:
        super().__init__()
        self._feed, self._delay_ns = feed, delay_ns
        self._pieces = feed.listen()
        self._pacer = Pacer(RATE / PIECE)
        self._sent = 0

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when it is their time."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(0.0, (self._pacer.deadline() - clock.now_ns()) / 1e9))
        self._pacer.step()
        piece = self._due()
        frame = AudioFrame.from_ndarray(
            (np.zeros(PIECE, np.int16) if piece is None or self._feed.muted else piece)[None],
            format="s16",
            layout="mono",
        )
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = self._sent * PIECE
        self._sent += 1
        return frame

    def stop(self) -> None:
        """Take nothing more from the feed."""
        self._feed.leave(self._pieces)
        super().stop()

    def _due(self) -> I16 | None:
        picture_ns = self._delay_ns()
        needed_ns = min(self._feed.least_delay_ns(), picture_ns + MOST_WAIT_NS)
        delay_ns = min(max(picture_ns, needed_ns), MOST_DELAY_MS * 1e6)
        while self._pieces:
            age_ns = clock.now_ns() - self._pieces[0][0]
            if age_ns < delay_ns - SLACK_NS:
                return None
            _, piece = self._pieces.popleft()
            if age_ns <= delay_ns + LATE_NS or not self._pieces:
                return piece
        return None


class Timeline:
    """When sound came, had the network delayed all of it alike: out of the sender's time stamps.

    What was fastest of late says what the stamps mean in this computer's time.
    """

    def __init__(self) -> None:
        self._fastest: deque[tuple[int, int]] = deque()
        """When something came, and that less its stamp; both rising."""

    def __call__(self, frame: AudioFrame, came_ns: int) -> int:
        """When `frame`, which came at `came_ns`, would have come [ns]."""
        if frame.pts is None or frame.time_base is None:
            return came_ns
        stamp_ns = round(frame.pts * frame.time_base * 1_000_000_000)
        offset = came_ns - stamp_ns
        while self._fastest and self._fastest[-1][1] >= offset:
            self._fastest.pop()
        self._fastest.append((came_ns, offset))
        while self._fastest[0][0] < came_ns - MEMORY_NS:
            self._fastest.popleft()
        return stamp_ns + self._fastest[0][1]


class Cutter:
    """Cuts sound of any shape into pieces, for a feed.

    Args:
        feed: who gets them.
    """

    def __init__(self, feed: SoundFeed) -> None:
        self._feed = feed
        self._rest: I16 = np.zeros(0, np.int16)

    def __call__(self, samples: I16, end_ns: int) -> None:
        """Take (n,) samples at 48 kHz, the last of which was captured at `end_ns`."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // PIECE
        begin_ns = end_ns - round(len(samples) * 1e9 / RATE)
        for number in range(count):
            piece = samples[number * PIECE : (number + 1) * PIECE]
            self._feed.put(begin_ns + number * PIECE_NS, piece)
        self._rest = samples[count * PIECE :].copy()


def mono(frame: AudioFrame) -> I16:
    """(n,) of a frame of 16-bit sound, its channels mixed."""
    samples = frame.to_ndarray()
    if frame.format.is_planar:
        return np.asarray(samples.mean(axis=0), np.int16)
    channels = len(frame.layout.channels)
    return np.asarray(samples.reshape(-1, channels).mean(axis=1), np.int16)
