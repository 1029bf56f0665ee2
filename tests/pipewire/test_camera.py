"""The PipeWire camera, read back by another program (make test-pipewire)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_clips import frame, number_in
from PIL import Image

from avatar.errors import OutputError, VirtualCameraError
from avatar.output import PipeWireCamera, VirtualCamera, missing_for_pipewire_camera, virtual_camera_devices
from avatar.output.pipewire_camera import NAME, NODE
from avatar.records import U8
from avatar.tools import clock
from avatar.tools.pacer import Pacer
from avatar.tools.signs import OFF, card

SIZE = (320, 240)
LEVELS = 3
"""Colours are right when they are that near."""


@pytest.fixture(autouse=True)
def possible(server: Path) -> None:
    reason = missing_for_pipewire_camera()
    if reason is not None:
        pytest.skip(reason)


class Reader:
    """GStreamer's own source of PipeWire cameras, into a file."""

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._size = path, size
        command = ["gst-launch-1.0", "-q", "pipewiresrc", f"target-object={NODE}", "always-copy=true"]
        command += [
            "!",
            "video/x-raw,format=YUY2",
            "!",
            "filesink",
            f"location={path}",
            "buffer-mode=unbuffered",
        ]
        self._program = subprocess.Popen(command, stderr=subprocess.PIPE)

    def close(self) -> None:
        """End it."""
        self._program.send_signal(signal.SIGINT)
        try:
            self._program.communicate(timeout=3.0)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.communicate()

    def pictures(self) -> list[U8]:
        """What it saw so far, (H, W, 3) each."""
        width, height = self._size
        content = np.fromfile(self._path, np.uint8) if self._path.exists() else np.zeros(0, np.uint8)
        whole = len(content) // (2 * width * height)
        packed = content[: whole * 2 * width * height].reshape(whole, height, width, 2)
        return [np.asarray(cv2.cvtColor(one, cv2.COLOR_YUV2RGB_YUY2), np.uint8) for one in packed]


def nodes() -> list[dict[str, str]]:
    dumped = subprocess.run(["pw-dump"], check=True, capture_output=True, text=True).stdout
    return [one["info"]["props"] for one in json.loads(dumped) if one["type"] == "PipeWire:Interface:Node"]


def wait_for(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def feed(camera: PipeWireCamera, numbers: range) -> None:
    pacer = Pacer(30)
    for number in numbers:
        clock.sleep((pacer.deadline() - clock.now_ns()) / 1e9)
        pacer.step()
        camera(frame(number, SIZE))


def test_it_is_listed_as_a_camera_and_goes_away() -> None:
    camera = PipeWireCamera(30, SIZE)
    assert camera.device == NAME
    feed(camera, range(20))
    [node] = [node for node in nodes() if node.get("node.name") == NODE]
    assert node["media.class"] == "Video/Source"
    assert node["media.role"] == "Camera"
    assert node["node.description"] == NAME
    camera.close()
    camera.close()
    assert not [node for node in nodes() if node.get("node.name") == NODE]
    with pytest.raises(OutputError, match="is closed"):
        camera(frame(0, SIZE))


def test_another_program_sees_all_frames_in_their_colours_and_a_card_at_last(tmp_path: Path) -> None:
    camera = PipeWireCamera(30, SIZE)
    feed(camera, range(20))  # whoever comes later sees it as well
    reader = Reader(tmp_path / "seen.yuv", SIZE)
    feed(camera, range(20, 200))
    camera.close()
    time.sleep(0.5)
    reader.close()
    pictures = reader.pictures()
    cards = [number for number, picture in enumerate(pictures) if is_card(picture)]
    assert cards == list(range(cards[0], len(pictures)))
    numbers = [number_in(picture) for picture in pictures[: cards[0]]]
    print(f"{len(numbers)} frames seen, {numbers[0]} to {numbers[-1]}")
    assert numbers == sorted(set(numbers)) and numbers[0] < 80 and numbers[-1] == 199
    # A busy computer may leave one out: the newest wins.
    assert len(numbers) >= 0.95 * (200 - numbers[0])
    for picture, number in zip(pictures, numbers, strict=False):
        # away from edges, where two pixels share a colour
        sent = frame(number, SIZE).rgb
        for row, column in ((20, 20), (20, 200), (120, 20)):
            off = np.abs(picture[row, column].astype(int) - sent[row, column])
            assert off.max() <= LEVELS


def is_card(picture: U8) -> bool:
    height, width = picture.shape[:2]
    return bool(np.abs(picture.astype(int) - card((width, height), OFF)).mean() < LEVELS)


def test_nobody_waits_for_a_reader_and_a_lost_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = PipeWireCamera(30, SIZE)
    began = clock.now_ns()
    for number in range(300):
        camera(frame(number, SIZE))
    assert clock.now_ns() - began < 1e9
    os.kill(camera._program.pid, signal.SIGKILL)
    camera._program.wait()
    with pytest.raises(OutputError, match="Livehead Camera: takes no more frames: GStreamer ended with -9"):
        camera(frame(0, SIZE))
    camera.close()


def test_it_is_offered_where_there_is_no_other() -> None:
    if virtual_camera_devices():
        pytest.skip("there is a virtual camera here")
    with pytest.raises(VirtualCameraError, match="see --output pipewire"):
        VirtualCamera(30, SIZE)


def test_the_program_feeds_it(carphone_path: Path, astronaut: U8, tmp_path: Path) -> None:
    portrait = tmp_path / "portrait.png"
    Image.fromarray(astronaut).save(portrait)
    command = [sys.executable, "-m", "avatar", "run", str(portrait), "--camera", str(carphone_path)]
    command += ["--output", "pipewire", "--size", "640x480", "--no-page", "--generator", "warp", "--json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: any(node.get("node.name") == NODE for node in nodes()), 60.0)
    reader = Reader(tmp_path / "seen.yuv", (640, 480))
    out, errors = run.communicate(timeout=60)
    time.sleep(0.5)
    reader.close()
    assert run.returncode == 0, errors.decode()
    pictures = reader.pictures()
    assert len(pictures) > 40
    assert json.loads(out)["frames"] > 50
    assert is_card(pictures[-1])
    face = [picture[120:360, 200:440].astype(int) for picture in pictures if not is_card(picture)]
    assert min(one.std() for one in face) > 20  # a picture, neither black nor a card
    assert np.abs(face[0] - face[len(face) // 2]).max() > 20  # that moves
