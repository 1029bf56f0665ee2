"""Both ends of a measured call: the program in its network, and the browsers' camera and pages."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avatar.errors import AvatarError
from avatar.weights import resolve
from bench import timecode
from bench.chromium import Chromium, Page
from bench.netns import Networks
from bench.rig import CAMERA_SIZE

CAMERA_S = 40
"""Length of the camera file; codes that come again later are told apart by their time."""
JOINED = "livehead.connection?.connectionState === 'connected'"
SCRIPT = Path(__file__).with_name("call_page.js")


@dataclass
class Near:
    """The process that calls."""

    process: subprocess.Popen[str]
    links: dict[str, str]
    start_wall: float

    def look(self) -> dict[str, Any]:
        """What it takes at this moment."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def end(self) -> dict[str, Any]:
        """End it; gives its summary."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AvatarError("the process that calls has ended; its words are above")
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def calling(networks: Networks, **options: Any) -> Iterator[Near]:
    """The near side, in its network."""
    command = [
        *networks.inside(networks.near),
        sys.executable,
        "-m",
        "bench.call_program",
        json.dumps(options),
    ]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    near = Near(process, {}, 0.0)
    try:
        first = near._line()
        near.links, near.start_wall = first["links"], first["start_wall"]
        yield near
    finally:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def write_camera(path: Path, seconds: float = CAMERA_S) -> None:
    """A clip of a talking man as a camera file, each picture with its number as time code."""
    with av.open(str(resolve("carphone_clip"))) as clip:
        pictures = [
            cv2.resize(frame.to_ndarray(format="rgb24"), CAMERA_SIZE, interpolation=cv2.INTER_CUBIC)
            for frame in clip.decode(video=0)
        ]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=Fraction(30))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = CAMERA_SIZE
        stream.pix_fmt = "yuvj420p"
        stream.options = {"qscale": "3"}
        for number in range(round(seconds * 30)):
            picture = np.asarray(pictures[order[number % len(order)]], np.uint8).copy()
            timecode.stamp(picture, number)
            file.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))


NO_MICROPHONE = """
    const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
    devices.getUserMedia = (wanted) => ask({ ...wanted, audio: false });
"""
"""The microphone that is measured is the program's own: Chromium's would beep in between, twice a second."""


def join(browser: Chromium, url: str, video: str, *, sends: bool = True) -> Page:
    """Open a link, join with a camera alone, and note what can be seen in the video with the id `video`."""
    page = browser.page(url)
    page.wait("document.body.dataset.state === 'ready'")
    page.run(NO_MICROPHONE)
    page.run(f"document.getElementById('with-camera').checked = {str(sends).lower()}")
    page.run("document.getElementById('join').click()")
    page.wait(JOINED, 40)
    watch(page, video)
    return page


def watch(page: Page, video: str) -> None:
    """Note from now on what can be seen in the video with that id; once for each page."""
    page.run(SCRIPT.read_text(encoding="utf-8"))
    page.run(f"bench.watch({video!r})")
