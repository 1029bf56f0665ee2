"""The virtual camera, on a stand-in that is registered with pyvirtualcam; devices from a made-up /sys.

No real device is used: nothing here says whether one would take the frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import pyvirtualcam.camera
from made_clips import frame

from avatar.errors import OutputError, VirtualCameraError
from avatar.output import virtual_camera as virtual_camera_module
from avatar.output.virtual_camera import VirtualCamera
from avatar.output.virtual_devices import (
    VirtualCameraDevice,
    virtual_camera_devices,
)
from avatar.records import U8
from avatar.tools import clock
from avatar.tools.signs import OFF, card


class StandInDevice:
    """A backend of pyvirtualcam that keeps the frames in memory."""

    last: ClassVar[StandInDevice]
    refuses: ClassVar[str | None] = None

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **more: Any
    ) -> None:
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.options = (width, height, fps, device)
        self.fourcc = fourcc
        self.sent: list[U8] = []
        self.closed = 0
        self.gone = False
        type(self).last = self

    def close(self) -> None:
        self.closed += 1

    def send(self, flat: U8) -> None:
        if self.gone:
            raise RuntimeError("error writing frame")
        width, height = self.options[:2]
        self.sent.append(flat.reshape(height, width, 3).copy())

    def device(self) -> str:
        return self.options[3] or "/dev/video10"

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StandInDevice]]:
    backends = dict(pyvirtualcam.camera.BACKENDS)
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.register_backend("stand-in", StandInDevice)
    monkeypatch.setattr(StandInDevice, "refuses", None)
    yield StandInDevice
    pyvirtualcam.camera.BACKENDS.clear()
    pyvirtualcam.camera.BACKENDS.update(backends)


def test_frames_arrive_as_they_are(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120))
    for number in range(3):
        camera(frame(number))
    assert camera.device == "/dev/video10"
    assert camera.frames == 3
    device = stand_in.last
    assert device.options == (160, 120, 30, None)
    assert device.fourcc == pyvirtualcam.util.encode_fourcc(pyvirtualcam.PixelFormat.RGB.value)
    # neither mirrored nor with red and blue exchanged
    assert len(device.sent) == 3
    assert all(np.array_equal(sent, frame(number).rgb) for number, sent in enumerate(device.sent))
    camera.close()
    camera.close()
    assert device.closed == 1
    with pytest.raises(OutputError, match="is closed"):
        camera(frame(0))


def test_the_last_frame_is_a_card(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120))
    camera(frame(0))
    camera.close()
    sent = stand_in.last.sent
    assert len(sent) == 2
    np.testing.assert_array_equal(sent[-1], card((160, 120), OFF))


def test_a_device_that_is_gone_is_let_go_without_a_card(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120))
    stand_in.last.gone = True
    camera.close()
    assert stand_in.last.closed == 1
    assert not stand_in.last.sent


def test_it_never_waits(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(1, (160, 120))
    begin = clock.now_ns()
    for number in range(50):
        camera(frame(number))
    assert clock.now_ns() - begin < 1e9  # at 1 fps, 50 frames would be 50 s
    camera.close()


def test_a_device_by_name(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120), "/dev/video3")
    assert camera.device == "/dev/video3"
    camera.close()


def test_another_size_is_a_mistake(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120))
    with pytest.raises(ValueError, match="100x120 != 160x120"):
        camera(frame(0, (100, 120)))
    camera.close()
    with pytest.raises(VirtualCameraError, match="even width and height, got 161x120"):
        VirtualCamera(30, (161, 120))


def test_a_device_that_goes_away(stand_in: type[StandInDevice]) -> None:
    camera = VirtualCamera(30, (160, 120))
    camera(frame(0))
    stand_in.last.gone = True
    with pytest.raises(OutputError, match=r"/dev/video10: .* takes no more frames: error writing"):
        camera(frame(1))
    camera.close()


def refused(match: str, device: str | None = None) -> None:
    with pytest.raises(VirtualCameraError, match=match) as caught:
        VirtualCamera(30, (160, 120), device)
    assert "\n" not in str(caught.value)


def test_without_a_device_the_command_is_told(
    stand_in: type[StandInDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_camera_module, "virtual_camera_devices", list)
    monkeypatch.setattr(virtual_camera_module, "how_to_create", lambda: "do this")
    monkeypatch.setattr(virtual_camera_module, "has_pipewire", lambda: False)
    monkeypatch.setattr(stand_in, "refuses", "none found. Did you run 'modprobe'?\nSee elsewhere.")
    refused("^there is no virtual camera, to make one: do this$")
    refused("^there is no virtual camera /dev/video9, to make one: do this$", "/dev/video9")
    monkeypatch.setattr(virtual_camera_module, "has_pipewire", lambda: True)
    refused(
        "to make one: do this; without one, programs that take cameras from PipeWire see --output pipewire$"
    )


def test_a_device_in_use(stand_in: type[StandInDevice], monkeypatch: pytest.MonkeyPatch) -> None:
    there = [VirtualCameraDevice("/dev/video10", "Avatar")]
    monkeypatch.setattr(virtual_camera_module, "virtual_camera_devices", lambda: there)
    monkeypatch.setattr(stand_in, "refuses", "Device or resource busy.")
    refused(r"\(/dev/video10\) is in use by another program or refuses: .*Device or resource busy$")
    refused(r"/dev/video3 cannot be used: .*busy; found: /dev/video10 \(Avatar\)", "/dev/video3")


@pytest.mark.skipif(sys.platform != "linux", reason="the message is that of Linux")
def test_the_real_backend_without_a_device() -> None:
    if virtual_camera_devices():
        pytest.skip("there is a virtual camera here")
    refused("there is no virtual camera, to make one: avatar setup-camera")


# what there is


@pytest.fixture
def linux_root(tmp_path: Path) -> Path:
    folder = tmp_path / "sys/devices/virtual/video4linux"
    for number, name, mark in ((11, "OBS", "format"), (10, "Avatar", "max_openers"), (4, "vivid", "")):
        node = folder / f"video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(f"{name}\n")
        if mark:
            (node / mark).write_text("x\n")
    return tmp_path


def test_devices_of_linux(linux_root: Path) -> None:
    assert virtual_camera_devices(platform="linux", root=linux_root) == [
        VirtualCameraDevice("/dev/video10", "Avatar"),
        VirtualCameraDevice("/dev/video11", "OBS"),
    ]
    assert virtual_camera_devices(platform="linux", root=linux_root / "no") == []
    assert virtual_camera_devices(platform="sunos5") == []
