"""The webcam stage, on a stand-in for cv2.VideoCapture whose bad weather is scripted."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest

from avatar.capture.camera import Camera
from avatar.capture.devices import CameraInfo
from avatar.errors import CameraError, CameraLostError
from avatar.tools import clock


@dataclass
class Plug:
    """What is plugged in, and how it behaves: read by all the stand-in's captures."""

    system: str = "v4l2"
    cameras: dict[int, str] = field(default_factory=lambda: {0: "HD Webcam", 2: "USB Camera"})
    busy: bool = False
    """Opens, but gives no picture, as V4L2 does when another program streams."""
    dark_reads: int = 0
    """So many reads fail, then all is well again."""
    picture: Any = field(default_factory=lambda: np.full((480, 640, 3), (30, 20, 10), np.uint8))
    fps: float = 30.0
    opened: list[tuple[int, int]] = field(default_factory=list)
    asked: list[tuple[int, float]] = field(default_factory=list)
    released: int = 0
    reads: int = 0

    def list(self) -> list[CameraInfo]:
        return [CameraInfo(index, name, self.system) for index, name in sorted(self.cameras.items())]

    def capture(self, index: int, backend: int) -> StandInCapture:
        self.opened.append((index, backend))
        return StandInCapture(self, index)

    def open(self, source: int | str = 0, **options: Any) -> Camera:
        return Camera(source, open_capture=self.capture, cameras=self.list, **options)


class StandInCapture:
    """Behaves as cv2.VideoCapture."""

    def __init__(self, plug: Plug, index: int) -> None:
        self._plug, self._index = plug, index
        self._name = plug.cameras.get(index)
        self._released = False

    def isOpened(self) -> bool:
        return self._name is not None and not self._released

    def grab(self) -> bool:
        assert not self._released, "read after release"
        plug = self._plug
        plug.reads += 1
        if plug.dark_reads > 0:
            plug.dark_reads -= 1
            return False
        return not plug.busy and plug.cameras.get(self._index) == self._name

    def retrieve(self) -> tuple[bool, Any]:
        return True, self._plug.picture

    def get(self, prop: int, /) -> float:
        return self._plug.fps if prop == cv2.CAP_PROP_FPS else 0.0

    def set(self, prop: int, value: float, /) -> bool:
        self._plug.asked.append((prop, value))
        return False

    def release(self) -> None:
        self._released = True
        self._plug.released += 1


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that moves when somebody sleeps."""
    hands = [7_000_000_000]
    monkeypatch.setattr(clock, "now_ns", lambda: hands[0])
    monkeypatch.setattr(clock, "sleep", lambda s: hands.__setitem__(0, hands[0] + max(0, round(s * 1e9))))
    return hands


@pytest.fixture
def plug(now: list[int]) -> Plug:
    return Plug()


def test_frames_are_rgb_numbered_and_stamped(plug: Plug, now: list[int]) -> None:
    camera = plug.open(0)
    frames = []
    for _ in range(3):
        now[0] += 33_000_000
        frames.append(camera())
    camera.close()
    for number, frame in enumerate(frames):
        assert frame is not None
        assert frame.index == number
        assert frame.captured_ns == 7_000_000_000 + (number + 1) * 33_000_000
        assert frame.rgb[5, 5].tolist() == [10, 20, 30]
        assert frame.rgb.flags.c_contiguous
    assert (camera.name, camera.fps, camera.size) == ("HD Webcam", 30.0, (640, 480))
    assert camera() is None
    assert plug.released == 1


def test_the_time_stamp_is_taken_before_the_picture_is_unpacked(plug: Plug, now: list[int]) -> None:
    class Slow(StandInCapture):
        def retrieve(self) -> tuple[bool, Any]:
            now[0] += 9_000_000  # a motion JPEG takes its time
            return super().retrieve()

    camera = Camera(0, open_capture=lambda i, b: Slow(plug, i), cameras=plug.list)
    before = now[0]
    frame = camera()
    assert frame is not None
    assert frame.captured_ns == before


def test_pictures_do_not_change_afterwards(plug: Plug) -> None:
    camera = plug.open(0)
    frame = camera()
    plug.picture[:] = 255  # OpenCV may use its buffer again
    assert frame is not None
    assert frame.rgb.max() == 30


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 4), (48, 64, 1)])
def test_grey_and_four_channel_cameras(plug: Plug, shape: tuple[int, ...]) -> None:
    plug.picture = np.full(shape, 77, np.uint8)
    frame = plug.open(0)()
    assert frame is not None
    assert frame.rgb.shape == (48, 64, 3)
    assert (frame.rgb == 77).all()


@pytest.mark.parametrize("source", [2, "2", "/dev/video2", "USB Camera", "usb", " usb cam"])
def test_by_index_device_or_name(plug: Plug, source: int | str) -> None:
    camera = plug.open(source)
    assert camera.name == "USB Camera"
    assert plug.opened[0][0] == 2


def test_an_index_that_is_not_listed_is_tried(plug: Plug) -> None:
    camera = Camera(0, open_capture=plug.capture, cameras=list)
    assert camera.name == "camera 0"


def test_the_backend_is_passed_on(plug: Plug) -> None:
    plug.open(0, backend="msmf")
    plug.open(0)
    usual = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
    assert plug.opened == [(0, cv2.CAP_MSMF), (0, usual.get(sys.platform, cv2.CAP_ANY))]
    with pytest.raises(CameraError, match="no camera backend 'quicktime', choose one of any, v4l2, dshow"):
        plug.open(0, backend="quicktime")


MJPG = (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))


@pytest.mark.parametrize(
    ("size", "backend", "compressed"),
    [
        ((1280, 720), "v4l2", True),
        ((1920, 1080), "dshow", True),
        ((640, 480), "v4l2", False),
        ((1280, 720), "msmf", False),
        ((1280, 720), "avfoundation", False),
    ],
)
def test_large_pictures_are_asked_for_compressed(
    plug: Plug, size: tuple[int, int], backend: str, compressed: bool
) -> None:
    plug.open(0, size=size, fps=60, backend=backend)
    expected = [
        *([MJPG] if compressed else []),
        (cv2.CAP_PROP_FRAME_WIDTH, size[0]),
        (cv2.CAP_PROP_FRAME_HEIGHT, size[1]),
        (cv2.CAP_PROP_FPS, 60),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    assert plug.asked == expected


def test_without_wishes_only_the_buffer_is_set(plug: Plug) -> None:
    plug.open(0)
    assert plug.asked == [(cv2.CAP_PROP_BUFFERSIZE, 1)]


@pytest.mark.parametrize(("told", "expected"), [(0.0, 25.0), (-1.0, 25.0), (1e6, 25.0), (24.0, 24.0)])
def test_a_rate_that_makes_no_sense_is_not_believed(plug: Plug, told: float, expected: float) -> None:
    plug.fps = told
    assert plug.open(0, fps=25).fps == expected


def test_it_gives_the_size_it_has_not_the_one_asked_for(plug: Plug) -> None:
    assert plug.open(0, size=(1280, 720)).size == (640, 480)


def refused(plug: Plug, source: int | str, match: str) -> None:
    with pytest.raises(CameraError, match=match) as caught:
        plug.open(source)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, CameraLostError)


def test_a_missing_camera_is_one_line_that_says_what_there_is(plug: Plug) -> None:
    refused(plug, 7, r"there is no camera 7; found: 0 \(HD Webcam\), 2 \(USB Camera\)")
    refused(plug, "Logitech", r"there is no camera 'Logitech'; found: 0 \(HD Webcam\)")
    refused(plug, "cam", r"several cameras are called 'cam', choose a number; found: 0 \(HD Webcam\)")
    plug.cameras.clear()
    refused(plug, "Logitech", "there is no camera 'Logitech'; no camera was found")


@pytest.mark.parametrize("source", ["", " ", "/dev/video", "99999999999999", "9" * 5000, 2**31, -1])
def test_what_names_no_camera_switches_none_on(plug: Plug, source: int | str) -> None:
    del plug.cameras[2]
    refused(plug, source, "there is no camera '.*'; found: 0")
    assert plug.opened == []


def test_a_busy_camera(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug.busy = True
    monkeypatch.setattr("os.path.exists", lambda path: True)
    monkeypatch.setattr("os.access", lambda path, mode: True)
    refused(plug, 0, "camera 0 cannot be used, another program may have it")
    assert plug.released == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the rights of /dev/video are a matter of Linux")
def test_a_camera_without_the_right_to_it(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug.busy = True
    monkeypatch.setattr("os.path.exists", lambda path: True)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refused(plug, 0, "/dev/video0 may not be used: 'sudo usermod -aG video")


def test_a_camera_that_needs_time_to_wake(plug: Plug) -> None:
    plug.dark_reads = 100
    assert plug.open(0)() is not None


def test_a_hiccup_is_not_a_loss(plug: Plug) -> None:
    camera = plug.open(0)
    plug.dark_reads = 20
    frame = camera()
    assert frame is not None
    assert frame.index == 0


def test_unplugged_and_back(plug: Plug, now: list[int]) -> None:
    camera = plug.open(2)
    assert camera() is not None
    name = plug.cameras.pop(2)
    before = now[0]
    with pytest.raises(CameraLostError, match="USB Camera gives no pictures any more"):
        camera()
    assert 0.9e9 < now[0] - before < 1.5e9
    assert plug.released == 1  # or the system gives it another number when it comes back
    for _ in range(3):
        with pytest.raises(CameraError, match="USB Camera is not back"):
            camera.reopen()
        assert camera() is None
    plug.cameras[2] = name
    camera.reopen()
    frame = camera()
    assert frame is not None
    assert frame.index == 1  # the numbers go on


def test_back_under_another_number(plug: Plug) -> None:
    camera = plug.open(2)
    plug.cameras[4] = plug.cameras.pop(2)
    with pytest.raises(CameraLostError):
        camera()
    camera.reopen()
    assert plug.opened[-1][0] == 4


def test_of_two_alike_the_same_one_is_taken(plug: Plug) -> None:
    plug.cameras = {1: "USB Camera", 2: "USB Camera"}
    camera = plug.open(2)
    del plug.cameras[2]
    with pytest.raises(CameraLostError):
        camera()
    plug.cameras[2] = "USB Camera"
    camera.reopen()
    assert plug.opened[-1][0] == 2


def test_a_twin_is_not_taken_for_the_one_that_was_lost(plug: Plug) -> None:
    plug.cameras = {1: "USB Camera", 2: "USB Camera"}
    camera = plug.open(2)
    del plug.cameras[2]
    with pytest.raises(CameraLostError):
        camera()
    with pytest.raises(CameraError, match="USB Camera is not back"):
        camera.reopen()
    plug.cameras[3] = "USB Camera"
    camera.reopen()
    assert [index for index, _ in plug.opened] == [2, 3]


@pytest.mark.parametrize("system", ["v4l2", "avfoundation", "dshow"])
@pytest.mark.parametrize("source", [0, "HD Webcam"])
def test_another_camera_is_not_taken_in_its_place(plug: Plug, system: str, source: int | str) -> None:
    plug.system = system
    camera = plug.open(source)
    plug.cameras = {0: "Room Camera"}
    with pytest.raises(CameraLostError):
        camera()
    with pytest.raises(CameraError, match=r"HD Webcam is not back; found: 0 \(Room Camera\)"):
        camera.reopen()
    assert len(plug.opened) == 1, "the other one was switched on"
    plug.cameras[5] = "HD Webcam"
    camera.reopen()
    assert plug.opened[-1][0] == 5


def test_back_but_not_ready(plug: Plug) -> None:
    camera = plug.open(2)
    plug.busy = True
    with pytest.raises(CameraLostError):
        camera()
    with pytest.raises(CameraError):
        camera.reopen()
    plug.busy = False
    camera.reopen()
    assert camera() is not None


def test_close_does_not_hang_on_a_driver_that_hangs() -> None:
    plug = Plug()
    going, let_go = threading.Event(), threading.Event()

    class Hanging(StandInCapture):
        def grab(self) -> bool:
            if plug.reads:
                going.set()
                let_go.wait(20)
            return super().grab()

    camera = Camera(0, open_capture=lambda i, b: Hanging(plug, i), cameras=plug.list)
    reader = threading.Thread(target=camera)
    reader.start()
    assert going.wait(5)
    begin = clock.now_ns()
    camera.close()
    assert clock.now_ns() - begin < 5e9
    assert plug.released == 0  # releasing under a running read would crash
    let_go.set()
    reader.join(5)
    assert not reader.is_alive()
    assert plug.released == 1
    assert camera() is None


def test_closed_stays_closed(plug: Plug) -> None:
    camera = plug.open(0)
    camera.close()
    camera.reopen()
    assert camera() is None
    assert (len(plug.opened), plug.released) == (1, 1)


def test_closed_while_it_is_opened_again(plug: Plug) -> None:
    """Opening takes seconds; who closes meanwhile must find no camera on afterwards."""
    camera = plug.open(0)
    plug.busy = True
    with pytest.raises(CameraLostError):
        camera()
    plug.busy = False

    def opened_slowly(index: int, backend: int) -> StandInCapture:
        camera.close()
        return plug.capture(index, backend)

    camera._open_capture = opened_slowly
    camera.reopen()
    assert len(plug.opened) == plug.released == 2
    assert camera() is None


@pytest.mark.skipif(sys.platform != "linux", reason="/dev is a matter of Linux")
def test_a_real_attempt_is_one_line_and_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CameraError, match="there is no camera 63"):
        Camera(63)
    assert capfd.readouterr() == ("", "")
