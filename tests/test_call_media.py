"""Calls between aiortc and aiortc: what comes over, what is left out, what is freed."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from call_fakes import SIDE, Browser, Camera, calling, only_loopback, picture, run, until, url_of

from avatar.call import BrowserCamera, Call
from avatar.call.camera import LONG_SIDE
from avatar.call.peer import LARGEST
from avatar.records import Frame, Observation
from avatar.tools import clock

__all__ = ["only_loopback"]


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
        assert found.rgb.shape == (LONG_SIDE, LONG_SIDE, 3)
        assert found.rgb[:, LONG_SIDE // 2 :].mean() == pytest.approx(90, abs=12)
        await guest.wait_for(pictures=10, sounds=60)
        assert max(guest.got.loudness) > 1000, "the driver's microphone is heard by the guest"
        assert not np.allclose(guest.got.pictures[-1].mean(), found.rgb.mean(), atol=0.01)
        assert call.guest_picture() is None, "the guest sends nothing, and the driver is not the guest"

    with calling(camera=camera) as call:
        run(go(call))
    camera.close()
    assert camera() is None


def test_a_browser_that_sends_smaller_pictures_for_a_while_is_the_same_camera() -> None:
    camera = BrowserCamera()

    def size_of(width: int, height: int) -> tuple[int, int]:
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[:, : width // 3] = 240
        camera.take(VideoFrame.from_ndarray(rgb, format="rgb24"))
        found = camera()
        assert isinstance(found, Frame)
        assert found.rgb[:, : found.rgb.shape[1] // 4].min() > 200, "the whole picture, in its new size"
        return found.rgb.shape[1], found.rgb.shape[0]

    assert size_of(320, 240) == (640, 480), "a browser begins with less than it is asked for"
    assert {size_of(*size) for size in ((640, 480), (480, 360), (214, 160), (160, 120))} == {(640, 480)}
    assert size_of(480, 640) == (480, 640), "a phone was turned"
    assert size_of(240, 320) == (480, 640)
    assert size_of(1280, 720) == (1280, 720), "nothing is lost of a better camera"
    assert {size_of(*size) for size in ((960, 540), (640, 360), (320, 180))} == {(1280, 720)}
    camera.close()


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
