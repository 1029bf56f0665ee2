"""Calls between aiortc and aiortc: what comes over, what is left out, what is freed."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from call_fakes import SIDE, Browser, Camera, Painter, calling, only_loopback, picture, run

from avatar.call import BrowserCamera, Call
from avatar.call.by_hand import CallByHand
from avatar.call.encoder import LEAST, MOST, Bitrate, Encoder
from avatar.call.guest import GuestWindow, with_inset
from avatar.call.ice import Ice
from avatar.call.paste import invitation_page, pack, read_answer, unpack
from avatar.call.peer import LARGEST
from avatar.call.sound import PIECE, Cutter, SoundFeed, SoundTrack
from avatar.errors import CallError
from avatar.records import Frame, Observation
from avatar.tools import clock

__all__ = ["only_loopback"]


def url_of(call: Call) -> str:
    return call.links()[0].url


async def until(there: Callable[[], bool], patience_s: float = 15.0) -> None:
    async with asyncio.timeout(patience_s):
        while not there():
            await asyncio.sleep(0.02)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_picture_and_sound_come_over_both_ways() -> None:
    heard: list[float] = []

    async def go(call: Call) -> Browser:
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        await browser.wait_for(pictures=90, sounds=50)
        await until(lambda: call.guest_picture() is not None and len(heard) > 20)
        assert await browser.hang_up() == 200
        await until(lambda: call.guest_picture() is None)
        return browser

    with calling(hear=lambda frame: heard.append(float(np.abs(frame.to_ndarray()).mean()))) as call:
        got = run(go(call)).got
    last = got.pictures[-1]
    assert last.shape == (SIDE, SIDE, 3)
    assert last[:, :30].mean() > 220, "the bright third is on the left: nothing is mirrored"
    assert 50 < last[:, 60:].mean() < 170
    assert 27 < 1e9 / np.diff(got.picture_ns[-60:]).mean() < 33
    assert max(heard) > 1000, "the guest's tone"
    assert max(got.loudness) == 0, "nothing is put into the sound, so there is silence"


def test_h264_by_choice() -> None:
    async def go(call: Call) -> str:
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        await browser.wait_for(pictures=10)
        return browser.text

    with calling(codec="h264") as call:
        answer = run(go(call))
    picked = answer[answer.index("m=video") :].split("\r\n")[0].split()[3]
    assert f"a=rtpmap:{picked} H264/90000" in answer


def test_a_still_avatar_goes_on_being_sent() -> None:
    """Who comes later, or lost a picture, gets one although no new one is made."""

    async def go(call: Call) -> None:
        call(Frame(picture(99), 0, clock.now_ns()))
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        await browser.wait_for(pictures=3)

    with calling(paint=False) as call:
        run(go(call))


def test_what_comes_too_fast_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 ms of work for each picture, 30 a second: the newest is taken, and delay does not grow."""
    camera = BrowserCamera()
    ages: list[float] = []

    async def go(call: Call) -> None:
        browser = Browser(call.links()[1].url)
        assert await browser.join() == 201
        await browser.wait_for(pictures=5)
        ending = clock.now_ns() + 4_000_000_000
        while clock.now_ns() < ending:
            found = await asyncio.to_thread(camera)
            if isinstance(found, Frame):
                ages.append((clock.now_ns() - found.captured_ns) / 1e6)
                await asyncio.sleep(0.06)

    with calling(camera=camera) as call:
        run(go(call))
    camera.close()
    assert len(ages) > 30
    assert camera.dropped > 20
    assert np.median(ages[-10:]) < 60


def test_a_browser_is_the_camera_and_sees_the_avatar() -> None:
    camera = BrowserCamera()
    began = clock.now_ns()
    assert isinstance(camera(), Observation), "nobody is there yet"

    async def go(call: Call) -> None:
        guest, driver = Browser(call.links()[0].url, sends=False), Browser(call.links()[1].url)
        assert [link.role for link in call.links()] == ["guest", "camera"]
        assert await driver.join() == 201 and await guest.join() == 201
        await driver.wait_for(pictures=10)
        while not isinstance(found := await asyncio.to_thread(camera), Frame):
            pass
        assert found.captured_ns > began
        assert found.rgb.shape == (SIDE, SIDE, 3) and found.rgb[:, 60:].mean() == pytest.approx(90, abs=12)
        await guest.wait_for(pictures=10, sounds=60)
        assert max(guest.got.loudness) > 1000, "the driver's microphone is heard by the guest"
        assert not np.allclose(guest.got.pictures[-1].mean(), found.rgb.mean(), atol=0.01)
        assert call.guest_picture() is None, "the guest sends nothing, and the driver is not the guest"

    with calling(camera=camera) as call:
        run(go(call))
    camera.close()
    assert camera() is None


def test_who_vanishes_is_missed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("avatar.call.peer.SILENCE_S", 2.0)
    caplog.set_level(logging.INFO)

    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        await browser.wait_for(pictures=10)
        await browser.vanish()
        await until(lambda: not call._peers)

    with calling() as call:
        run(go(call))
    assert [record.message for record in caplog.records] == ["the guest is here", "the guest vanished"]


def test_who_never_comes_after_the_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("avatar.call.peer.CONNECT_S", 1.0)
    caplog.set_level(logging.INFO)

    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        assert await browser.post(await browser.offer()) == 201
        await browser.vanish()
        await until(lambda: not call._peers)

    with calling() as call:
        run(go(call))
    assert len(caplog.records) == 1 and "could not be reached" in caplog.records[0].message


def test_pictures_that_are_too_large_end_the_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    side = int(LARGEST**0.5) + 2
    side += side % 2

    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        original = browser.connection.addTransceiver

        def large(trackOrKind: Any, direction: str = "sendrecv") -> Any:
            return original(Camera(side=side) if trackOrKind.kind == "video" else trackOrKind, direction)

        browser.connection.addTransceiver = large  # type: ignore[method-assign]
        assert await browser.join() == 201
        await until(lambda: any("too large" in record.message for record in caplog.records), 30)

    with calling() as call:
        run(go(call))


def test_the_same_browser_comes_back_within_five_seconds() -> None:
    async def go(call: Call) -> float:
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        await browser.wait_for(pictures=10)
        await browser.vanish()  # the network is gone; then the page finds a new way
        began = time.monotonic()
        again = Browser(url_of(call), cookies=browser.http.cookie_jar)
        assert await again.join() == 201
        await again.wait_for(pictures=1)
        took = time.monotonic() - began
        assert len(call._peers) == 1
        return took

    with calling() as call:
        assert run(go(call)) < 5


def test_a_server_that_restarts_has_the_call_back_within_five_seconds(tmp_path: Path) -> None:
    state = tmp_path / "call.json"

    async def go(call: Call, cookies: Any) -> tuple[Any, float]:
        began = time.monotonic()
        browser = Browser(url_of(call), cookies=cookies)
        assert await browser.join() == 201
        await browser.wait_for(pictures=1)
        took = time.monotonic() - began
        jar = browser.http.cookie_jar
        return jar, took

    async def both() -> float:
        with calling(state=state) as call:
            jar, _ = await go(call, None)
            url = url_of(call)
        with calling(state=state, again=True) as call:
            assert url_of(call) == url
            _, took = await go(call, jar)
        return took

    assert run(both()) < 5


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_calls_one_after_another_leak_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.call.routes.OFFERS_AT_ONCE", 100)

    async def go(call: Call) -> None:
        cookies: Any = None
        files = threads = 0
        for number in range(12):
            if number == 4:
                gc.collect()
                files, threads = open_files(), threading.active_count()
            browser = Browser(url_of(call), cookies=cookies)
            assert await browser.join() == 201
            await browser.wait_for(pictures=2)
            cookies = browser.http.cookie_jar
            if number % 2:
                await browser.hang_up()
            await browser.close()
        await until(lambda: not call._peers)
        await asyncio.sleep(0.2)
        gc.collect()
        assert open_files() <= files
        assert threading.active_count() <= threads + 1

    with calling() as call:
        run(go(call))


def test_a_call_leaves_no_thread_behind() -> None:
    before = {thread.name for thread in threading.enumerate()}
    with calling() as call:
        url_of(call)
    assert {thread.name for thread in threading.enumerate()} <= before


# --- sound --------------------------------------------------------------------------------------------


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
    for number in range(500):
        feed.put(clock.now_ns() - (500 - number) * 20_000_000, np.full(PIECE, 7000, np.int16))
    assert len(track._pieces) < 50
    feed.muted = True
    assert run(track.recv()).to_ndarray().max() == 0
    feed.muted = False
    feed.put(clock.now_ns(), np.full(PIECE, 7000, np.int16))
    assert run(track.recv()).to_ndarray().max() == 7000


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


# --- by hand, and what is shown -------------------------------------------------------------------------


def test_a_call_by_hand_needs_no_server() -> None:
    from aiortc import RTCPeerConnection, RTCSessionDescription

    call = CallByHand(Ice(), "vp8")
    painter = Painter(call)
    offer = call.offer()
    page = invitation_page(offer, Ice())
    assert "/page/" not in page and "fetch" in page and "a=fingerprint" in page
    assert "export " not in page and "\nimport " not in page

    async def go() -> None:
        connection = RTCPeerConnection(Ice().configuration())
        connection.addTrack(Camera())
        seen: list[Any] = []
        connection.on("track", lambda track: seen.append(track))
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription()
        text = pack({"type": "answer", "sdp": connection.localDescription.sdp})
        lines = ["some words before it\n", *(text[at : at + 60] + "\n" for at in range(0, len(text), 60))]
        await asyncio.to_thread(call.accept, read_answer(lines))
        await until(lambda: call.guest_picture() is not None)
        track = next(track for track in seen if track.kind == "video")
        assert isinstance(await track.recv(), VideoFrame)
        await connection.close()

    run(go())
    assert call.ended.wait(5)
    painter.close()
    call.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "avatar1:AAAA.",
        "avatar1:!!!!.",
        pack({"type": "offer", "sdp": ""}),
        pack({"type": "answer"}),
    ],
)
def test_an_answer_that_is_none_is_told(text: str) -> None:
    with pytest.raises(CallError):
        read_answer([text])


def test_a_packed_answer_cannot_fill_the_memory() -> None:
    bomb = pack({"type": "answer", "sdp": "x" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(CallError, match="damaged"):
        unpack(bomb)
    with pytest.raises(CallError, match="too long"):
        read_answer(["avatar1:" + "A" * 200_000])


def test_the_guest_is_shown_with_the_own_avatar_in_a_corner() -> None:
    shown: list[Frame] = []

    class Shown:
        closed = False

        def __call__(self, frame: Frame) -> None:
            shown.append(frame)

        def close(self) -> None:
            self.closed = True

    newest: list[VideoFrame | None] = [None, VideoFrame.from_ndarray(picture(100), format="rgb24")]
    window = GuestWindow(Shown(), lambda: newest.pop(0))
    for index in range(2):
        window(Frame(picture(180), index, 0))
    assert shown[0].rgb[:90].max() < 40, "nobody there"
    assert shown[1].rgb[50, 100].mean() == pytest.approx(100, abs=3)
    assert shown[1].rgb[120, 120].mean() == pytest.approx(180, abs=3)
    window.close()
    assert window.closed
    assert with_inset(picture(1, 64), picture(2, 32)).shape == (64, 64, 3)


def test_no_name_of_an_outside_server_is_in_the_page() -> None:
    folder = Path(os.path.dirname(__file__)).parent / "avatar" / "call" / "page"
    for path in folder.iterdir():
        assert "://" not in path.read_text(encoding="utf-8"), path


# --- our own encoder --------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_high_quality_passes_the_cap_of_aiortc(codec: str) -> None:
    """Noise takes all that is allowed: more than 1.5 Mbit/s comes over, and can be decoded."""
    rates: list[float] = []
    noise = [np.random.default_rng(seed).integers(0, 255, (256, 256, 3), np.uint8) for seed in range(4)]

    async def go(call: Call) -> None:
        browser = Browser(url_of(call), sends=False)
        assert await browser.join() == 201
        began, before = 0.0, 0
        for index in range(150):
            call(Frame(noise[index % 4], index, clock.now_ns()))
            await asyncio.sleep(1 / 30)
            report = (await browser.connection.getStats()).values() if index in (60, 149) else ()
            for one in report:
                if one.type == "transport":
                    if began:
                        rates.append((one.bytesReceived - before) * 8 / (time.monotonic() - began))
                    began, before = time.monotonic(), one.bytesReceived
        assert len(browser.got.pictures) > 100
        assert browser.got.pictures[-1].std() > 20

    with calling(paint=False, quality="high", codec=codec) as call:
        run(go(call))
    assert rates and rates[-1] > 1_800_000


def test_high_quality_needs_a_receiver_of_its_codec() -> None:
    async def go(call: Call) -> str:
        browser = Browser(url_of(call))
        offer = await browser.offer()
        assert await browser.post(offer.replace("H264/90000", "X264/90000")) == 400
        return browser.text

    with calling(paint=False, quality="high", codec="h264") as call:
        assert "video" in run(go(call))


def test_the_bitrate_follows_what_the_receiver_reports() -> None:
    rate = Bitrate()
    for _ in range(40):
        rate.report(0.0, 0.03)
    assert rate.now == MOST
    for _ in range(5):
        rate.report(0.3, 0.03)
    assert rate.now < MOST / 2
    after_loss = rate.now
    rate.report(0.05, 0.03)
    assert rate.now == after_loss, "between few and many it stays"
    rate.report(0.0, 0.4)
    assert rate.now < after_loss, "packets wait somewhere"
    for _ in range(60):
        rate.report(0.9, None)
    assert rate.now == LEAST


def test_whole_pictures_come_by_the_clock_and_when_the_bitrate_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    rate = Bitrate()
    encode = Encoder("vp8", rate)
    whole = []
    for number in range(100):
        now = number * 33_000_000
        if number == 80:
            rate.now /= 2
        packet = encode(picture(60 + number), number * 3000)
        if packet is not None and packet.is_keyframe:
            whole.append(number)
    assert whole == [0, 61, 80]
