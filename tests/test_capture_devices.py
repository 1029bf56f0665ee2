"""The list of cameras, from a made-up /sys and from what other systems' tools answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avatar.capture import devices
from avatar.capture.devices import CameraInfo, list_cameras


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """As of a laptop with a webcam (two nodes), an infrared camera, a capture card and a virtual camera."""
    nodes = [
        (0, "pci0000:00/usb1", "Integrated Camera: Integrated C", "0"),
        (1, "pci0000:00/usb1", "Integrated Camera: Integrated C", "1"),
        (2, "pci0000:00/usb1", "Integrated Camera: Integrated I", "0"),
        (12, "pci0000:00/usb2", "Cam Link 4K", "0"),
        (10, "virtual", "Avatar", "0"),
    ]
    links = tmp_path / "sys" / "class" / "video4linux"
    links.mkdir(parents=True)
    for number, parent, name, index in nodes:
        node = tmp_path / "sys" / "devices" / parent / "video4linux" / f"video{number}"
        node.mkdir(parents=True)
        (node / "name").write_text(f"{name}\n")
        (node / "index").write_text(f"{index}\n")
        (links / f"video{number}").symlink_to(node)
    (links / "v4l-subdev0").mkdir()
    return links


def test_linux(sysfs: Path) -> None:
    assert list_cameras(platform="linux", sysfs=sysfs) == [
        CameraInfo(0, "Integrated Camera: Integrated C", "v4l2"),
        CameraInfo(2, "Integrated Camera: Integrated I", "v4l2"),
        CameraInfo(10, "Avatar", "v4l2", virtual=True),
        CameraInfo(12, "Cam Link 4K", "v4l2"),
    ]


def test_linux_without_cameras(tmp_path: Path) -> None:
    assert list_cameras(platform="linux", sysfs=tmp_path / "no") == []


def test_this_system_answers() -> None:
    assert all(isinstance(camera, CameraInfo) for camera in list_cameras())


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let the system's tool print `text`; it is printed by a real process."""
    command = [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({text.encode()!r})"]
    monkeypatch.setattr(devices, "_ASK_MACOS", command)
    monkeypatch.setattr(devices, "_ASK_WINDOWS", command)


MACOS = json.dumps(
    {
        "SPCameraDataType": [
            {"_name": "FaceTime HD Camera", "spcamera_model-id": "FaceTime HD Camera"},
            {"_name": "OBS Virtual Camera"},
        ]
    }
)


def test_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, MACOS)
    assert list_cameras(platform="darwin") == [
        CameraInfo(0, "FaceTime HD Camera", "avfoundation"),
        CameraInfo(1, "OBS Virtual Camera", "avfoundation"),
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["HD Webcam","Caméra"]', ["HD Webcam", "Caméra"]),
        ('"HD Webcam"', ["HD Webcam"]),
        ("[]", []),
        ("", []),
        ("[null]", []),
    ],
)
def test_windows(monkeypatch: pytest.MonkeyPatch, text: str, names: list[str]) -> None:
    answer(monkeypatch, text)
    found = list_cameras(platform="win32")
    assert [camera.name for camera in found] == names
    assert all(camera.backend == "dshow" for camera in found)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"SPCameraDataType": null}', '{"SPCameraDataType": [3]}'])
def test_macos_without_cameras(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    answer(monkeypatch, text)
    assert list_cameras(platform="darwin") == []


def test_a_tool_that_is_missing_fails_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_ASK_MACOS", ["/no/such/tool"])
    assert list_cameras(platform="darwin") == []
    monkeypatch.setattr(devices, "_ASK_MACOS", [sys.executable, "-c", "raise SystemExit(3)"])
    assert list_cameras(platform="darwin") == []

    def hang(*args: Any, **kwargs: Any) -> None:
        raise subprocess.TimeoutExpired("tool", kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert list_cameras(platform="darwin") == []


def test_a_system_we_do_not_know() -> None:
    assert list_cameras(platform="sunos5") == []
