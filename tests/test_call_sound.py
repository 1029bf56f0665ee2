"""Sound on its way to the other side: in step with the picture, never queued."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from call_fakes import run

from avatar.call.sound import PIECE, RATE, Cutter, SoundFeed, SoundTrack, Timeline, mono
from avatar.tools import clock


def feed_tone(feed: SoundFeed, seconds: float, ending: threading.Event) -> None:
    """A click of 20 ms every half second, in real time."""
    began = clock.now_ns()
    for number in range(round(seconds * 50)):
        if ending.wait(max(0.0, (began + (number + 1) * 20_000_000 - clock.now_ns()) / 1e9)):
            return
        level = 9000 if number % 25 == 0 else 0
        feed.put(began + number * 20_000_000, np.full(PIECE, level, np.int16))


@pytest.mark.parametrize("age_ms", [40, 150, 300])
def test_sound_waits_for_its_picture(age_ms: int) -> None:
    """Clicks go out when pictures of their time do: as old as those, within half a frame of video."""
    feed = SoundFeed()
    track = SoundTrack(feed, lambda: age_ms * 1e6)
    ending = threading.Event()
    thread = threading.Thread(target=feed_tone, args=(feed, 5.0, ending))
    began = clock.now_ns()
    thread.start()

    async def go() -> list[float]:
        ages = []
        while clock.now_ns() - began < 4e9:
            frame = await track.recv()
            if frame.to_ndarray().max() > 5000:
                ages.append((clock.now_ns() - began) / 1e6 % 500)
        return ages

    ages = run(go())
    ending.set()
    thread.join()
    track.stop()
    assert len(ages) >= 6
    assert np.median(ages) == pytest.approx(age_ms, abs=20)
    assert feed._takers == []


def test_mute_sends_silence_and_sound_that_nobody_takes_is_not_kept() -> None:
    feed = SoundFeed()
    track = SoundTrack(feed, lambda: 0.0)
    for _ in range(500):
        feed.put(clock.now_ns() - 20_000_000, np.full(PIECE, 7000, np.int16))
    assert len(track._pieces) < 50
    feed.muted = True
    assert run(track.recv()).to_ndarray().max() == 0
    feed.muted = False
    feed.put(clock.now_ns() - 20_000_000, np.full(PIECE, 7000, np.int16))
    assert run(track.recv()).to_ndarray().max() == 7000


def stamped(number: int) -> AudioFrame:
    """Piece number `number` of a browser; its samples tell which it is."""
    frame = AudioFrame.from_ndarray(np.full((1, PIECE), number + 1, np.int16), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, number * PIECE, Fraction(1, RATE)
    return frame


def test_what_a_network_delays_unevenly_is_heard_evenly() -> None:
    """Up to 50 ms later than at its best: after three seconds nothing is left out, and no silence put in."""
    feed = SoundFeed()
    track = SoundTrack(feed, lambda: 16e6)
    cut, even = Cutter(feed), Timeline()
    delays = np.random.default_rng(0).uniform(0, 0.05, 350)
    began = time.monotonic()

    def arrive() -> None:
        for number, delay in enumerate(delays):
            time.sleep(max(0.0, began + 0.02 * number + delay - time.monotonic()))
            frame = stamped(number)
            cut(mono(frame), even(frame, clock.now_ns()))

    thread = threading.Thread(target=arrive)
    thread.start()

    async def go() -> list[int]:
        return [int((await track.recv()).to_ndarray().max()) for _ in range(330)]

    heard = run(go())
    thread.join()
    steps = np.diff(heard[160:])
    assert (steps == 1).mean() > 0.93, heard


def test_time_stamps_without_a_clock_of_ours() -> None:
    even = Timeline()
    came = [1_000_000_000, 1_060_000_000, 1_041_000_000]
    assert [even(stamped(number), at) for number, at in enumerate(came)] == [
        1_000_000_000, 1_020_000_000, 1_040_000_000,
    ]  # fmt: skip
    assert even(stamped(600), 14_000_000_000) == 14_000_000_000, "what was fastest is long ago"
    assert even(AudioFrame(samples=PIECE), 5) == 5, "without a stamp"


def test_sound_is_cut_into_pieces_with_their_times() -> None:
    feed = SoundFeed()
    pieces = feed.listen()
    cut = Cutter(feed)
    samples = np.arange(2500, dtype=np.int16)
    cut(samples[:700], 1_000_000_000)
    cut(samples[700:], 1_037_500_000)
    assert [len(piece) for _, piece in pieces] == [PIECE, PIECE]
    assert np.array_equal(np.concatenate([piece for _, piece in pieces]), samples[: 2 * PIECE])
    begins = [begin for begin, _ in pieces]
    assert all(later - before == 20_000_000 for before, later in pairwise(begins))
    assert begins[0] == pytest.approx(1_037_500_000 - 2500 / 48_000 * 1e9, abs=1)
