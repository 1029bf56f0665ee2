"""Sound on its way to the other side: in step with the picture, never queued."""

from __future__ import annotations

import threading
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


class MadeUpTime:
    """The clock, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 1_000_000_000
        monkeypatch.setattr(clock, "now_ns", lambda: self.ns)


def heard(time: MadeUpTime, came_ms: list[float], picture_ms: float = 16) -> list[tuple[int, int]]:
    """[tick, piece or -1 for silence] of each 20 ms; pieces come when `came_ms` says, in order."""
    feed = SoundFeed()
    track = SoundTrack(feed, lambda: picture_ms * 1e6)
    cut, even = Cutter(feed), Timeline()
    begin = time.ns
    arrivals = [(begin + round(ms * 1e6), n) for n, ms in enumerate(np.maximum.accumulate(came_ms))]
    found = []
    for tick in range(len(came_ms)):
        now = begin + tick * 20_000_000 + 3_000_000
        while arrivals and arrivals[0][0] <= now:
            time.ns, number = arrivals.pop(0)
            frame = stamped(number)
            cut(mono(frame), even(frame, time.ns))
        time.ns = now
        piece = track._due()
        found.append((tick, -1 if piece is None else int(piece[0]) - 1))
    track.stop()
    return found


def test_what_a_network_delays_unevenly_is_heard_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 50 ms later than at its best: once that is known, nothing is left out, and no silence put in."""
    delays = np.random.default_rng(0).uniform(0, 50, 600)
    came = [20 * number + float(delay) for number, delay in enumerate(delays)]
    pieces = [piece for _, piece in heard(MadeUpTime(monkeypatch), came)][200:]
    assert (np.diff(pieces) == 1).mean() > 0.98


def test_sound_that_came_much_too_late_once_is_in_step_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of nothing, then all of it at once: never more than 110 ms behind a picture 16 ms old."""
    came = [20.0 * number if not 300 <= number < 325 else 20.0 * 325 for number in range(700)]
    found = heard(MadeUpTime(monkeypatch), came)
    behind = [20 * (tick - piece) for tick, piece in found if tick > 330 and piece >= 0]
    assert max(behind) <= 120 and behind[-1] <= 40
    assert sum(piece < 0 for tick, piece in found if tick > 330) <= 5


def test_a_way_that_becomes_longer_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a second later from one moment on: heard whole again within two windows of time."""
    came = [20.0 * number + (330 if number >= 300 else 0) for number in range(1000)]
    pieces = [piece for _, piece in heard(MadeUpTime(monkeypatch), came)]
    assert (np.diff(pieces[-300:]) == 1).all()


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
