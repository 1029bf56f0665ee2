"""`avatar call` and `avatar publish` as people start them."""

from __future__ import annotations

import json
import logging
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from call_fakes import Browser, calling, only_loopback, run
from control_fakes import status
from PIL import Image

from avatar.cli import main
from avatar.cli.calling import open_stages
from avatar.cli.live import Outputs
from avatar.cli.main import build_parser
from avatar.control.pace import SHARES
from avatar.live import Status
from avatar.pipeline import Renderer
from avatar.records import U8, Identity, Observation
from avatar.weights import resolve

__all__ = ["only_loopback"]

Capture = pytest.CaptureFixture[str]
QUIET = ("--microphone", "none", "--generator", "warp", "--seconds", "60")


@pytest.fixture
def me(astronaut: U8, tmp_path: Path, face_landmarker_path: Path, selfie_segmenter_path: Path) -> str:
    Image.fromarray(astronaut).save(tmp_path / "me.png")
    return str(tmp_path / "me.png")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are kept beside the models, which are wanted from where they are."""
    monkeypatch.setattr("avatar.cli.call.STATE", str(tmp_path / "call.json"))


@contextmanager
def running(*arguments: str) -> Iterator[list[int]]:
    """A command in a thread; its exit status is in the list when it has ended."""
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(main.main(arguments)), name="command")
    thread.start()
    try:
        yield status
    finally:
        thread.join(60)


def said(capsys: Capture, pattern: str, patience_s: float = 60.0) -> tuple[re.Match[str], str]:
    """What it said so far, when a pattern is in it."""
    text, end = "", time.monotonic() + patience_s
    while not (found := re.search(pattern, text)):
        assert time.monotonic() < end, text
        time.sleep(0.05)
        text += "".join(capsys.readouterr())
    return found, text


def test_a_call_from_the_link_to_the_summary(me: str, capsys: Capture) -> None:
    motion = ("--camera", str(resolve("demo_motion")))
    options = ("--speaker", "none", "--no-window", "--seconds", "12", "--json")

    async def go(url: str) -> Browser:
        browser = Browser(url)
        assert await browser.join() == 201
        await browser.wait_for(pictures=15)
        return browser

    with running("call", me, *motion, *QUIET, *options) as status:
        link, text = said(capsys, r"http://127\.0\.0\.1:\d+/call/[\w-]{32}")
        browser = run(go(link[0]))
    assert status == [0]
    text += "".join(capsys.readouterr())
    assert "work on this computer only" in text and "the guest is here" in text
    assert json.loads(next(line for line in text.splitlines() if line.startswith("{")))["frames"] > 60
    assert browser.got.pictures[-1].shape == (512, 512, 3)
    assert browser.got.pictures[-1].std() > 30


def test_publish_to_our_own_call(me: str, capsys: Capture) -> None:
    motion = ("--camera", str(resolve("demo_motion")))
    with calling(paint=False) as call:
        url = call.links()[0].url
        with running("publish", me, *motion, *QUIET, "--seconds", "4", "--whip", url, "--json") as status:
            end = time.monotonic() + 60
            while call.guest_picture() is None:
                assert time.monotonic() < end
                time.sleep(0.05)
            shown = call.guest_picture()
    assert status == [0]
    assert shown is not None and (shown.width, shown.height) == (512, 512)
    summary = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert summary["frames"] > 20


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("call {me} --ice nonsense", "is no server"),
        ("call {me} --camera nothing.mp4", "there is no camera file at nothing.mp4"),
        ("call nobody", "there is no avatar of the name nobody"),
        ("call {me} --relay-only", "--relay-only needs a TURN server"),
        ("call {me} --sound nothing.wav", "there is no sound file"),
        ("call {me} --sound {me} --microphone 1", "not both"),
        ("call {me} --paste nowhere/x.html", "the folder nowhere does not exist"),
        ("call {me} --camera {motion} --listen 203.0.113.5 --speaker none --no-window", "cannot listen on"),
        ("call {me} --camera {motion} --again --speaker none --no-window", "no earlier call"),
        ("call {me} --camera {motion} --speaker nothing --no-window", "sound devices|loudspeaker"),
        ("publish nobody --whip http://127.0.0.1:1/x", "there is no avatar of the name nobody"),
        ("publish {me} --janus http://127.0.0.1:1/janus", "--janus needs --room"),
        ("publish {me} --whip http://example.org/ --token x", "a token is not sent by http"),
        ("publish {me} --janus http://example.org/janus --room 1 --token x", "a secret or PIN is not sent"),
        ("publish {me} --janus http://example.org/janus --room 1 --pin 7", "a secret or PIN is not sent"),
        ("publish {me} --whip http://127.0.0.1:1/x --camera browser", "goes with 'avatar call'"),
        ("publish {me} --camera {motion} --whip http://127.0.0.1:1/x", "cannot be reached"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    line: str, told: str, me: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AVATAR_DATA", str(tmp_path))
    asked = shlex.split(line.format(me=me, motion=resolve("demo_motion")))
    assert main.main([*asked, "--generator", "warp"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("avatar: error: ") and re.search(told, error)


def test_the_sound_of_a_file_is_heard(carphone_path: Path, tmp_path: Path) -> None:
    import wave

    import numpy as np

    from avatar.call.devices import SoundFile
    from avatar.call.sound import PIECE, SoundFeed
    from avatar.errors import VideoError

    tone = np.asarray(9000 * np.sin(np.arange(16_000) * 2 * np.pi * 300 / 16_000), np.int16)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(tone.tobytes())
    feed = SoundFeed()
    pieces: Any = feed.listen()
    sound = SoundFile(feed, tmp_path / "tone.wav")
    time.sleep(1.6)  # longer than the file: it begins again
    sound.close()
    count = len(pieces)
    assert 20 < count
    loud = [float(np.abs(piece).mean()) for _, piece in pieces]
    assert all(len(piece) == PIECE for _, piece in pieces) and min(loud[-20:]) > 1000
    time.sleep(0.1)
    assert len(pieces) == count
    with pytest.raises(VideoError, match="no sound"):
        SoundFile(feed, carphone_path)


def test_the_guest_sees_that_it_is_made(me: str, astronaut_identity: Identity) -> None:
    shown = []
    for badge in ("--badge", "--no-badge"):
        asked = ["call", me, "--camera", me, "--generator", "warp", badge]
        with ExitStack() as open_things:
            stages = open_stages(build_parser().parse_args(asked), astronaut_identity, open_things)
            motion = stages.stage.retarget(Observation(None, 0, 0))
            shown.append(stages.stage(motion, 0, 0).rgb)
    changed = np.argwhere((shown[0] != shown[1]).any(-1))
    height, width = shown[0].shape[:2]
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert top < bottom < height / 4
    assert width / 2 < left < right


def test_a_computer_that_does_not_keep_up_draws_the_head_smaller(
    me: str, astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run in which half of the frames are lost."""
    sizes: list[int] = []

    def slow(*_: object, noted: Callable[[Status], None], **__: object) -> None:
        deadline = time.monotonic() + 30
        for half in range(60):
            noted(status(seconds=half / 2, fps=15.0, dropped=8 * half))
            if "drawn at" in caplog.text:
                break
        while not stages.stage._next and time.monotonic() < deadline:
            time.sleep(0.02)
        stages.stage.retarget(Observation(None, 0, 0))
        renderer = stages.stage._cast.renderer
        assert isinstance(renderer, Renderer)
        sizes.append(renderer.head_size)

    monkeypatch.setattr("avatar.cli.live.go", slow)
    asked = ["call", me, "--camera", me, "--generator", "warp"]
    with ExitStack() as open_things, caplog.at_level(logging.INFO, "avatar.control"):
        stages = open_stages(build_parser().parse_args(asked), astronaut_identity, open_things)
        renderer = stages.stage._cast.renderer
        assert isinstance(renderer, Renderer)
        sizes.append(renderer.head_size)
        stages.go(Outputs(), stop=threading.Event(), seconds=None)
    assert sizes[1] == pytest.approx(SHARES[1] * sizes[0], abs=4)
    assert "the head is drawn at 70 % of its size" in caplog.text
