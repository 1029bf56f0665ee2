"""What v4l2loopback tells, on a made-up /sys and /proc, and on files that are no devices.

The real module is tried in tests/virtualcam.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from avatar.output.loopback import Loopback

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="v4l2loopback is Linux's")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """/dev/video10 and 11 are the module's, /dev/video0 is a webcam."""
    module = tmp_path / "sys/module/v4l2loopback"
    (module / "parameters").mkdir(parents=True)
    (module / "refcnt").write_text("3\n")
    (module / "parameters/video_nr").write_text("10,11,-1,-1\n")
    (module / "parameters/exclusive_caps").write_text("Y,N,N,N\n")
    devices = tmp_path / "sys/devices/virtual/video4linux"
    for number in (10, 11):
        (devices / f"video{number}").mkdir(parents=True)
        (devices / f"video{number}/max_openers").write_text("10\n")
        (devices / f"video{number}/format").write_text("YU12:1280x720@30\n" if number == 10 else "")
    opened = tmp_path / "proc/self/fd"
    opened.mkdir(parents=True)
    for number, path in enumerate(("/dev/pts/0", "/dev/video0", "/dev/video10", "/dev/v4l2loopback")):
        (opened / str(number)).symlink_to(path)
    (opened / "4").touch()  # closed between the listing and the look
    return tmp_path


def test_others_are_those_beyond_this_program(root: Path) -> None:
    device = Loopback("/dev/video10", root)
    assert device.others() == 1
    (root / "sys/module/v4l2loopback/refcnt").write_text("2\n")
    assert device.others() == 0
    (root / "sys/module/v4l2loopback/refcnt").write_text("1\n")  # one was closed just now
    assert device.others() == 0


def test_where_it_is_not_told_nothing_is_made_up(root: Path) -> None:
    (root / "sys/module/v4l2loopback/refcnt").write_text("-\n")
    assert Loopback("/dev/video10", root).others() is None
    nowhere = Loopback("/dev/video10", root / "nowhere")
    assert nowhere.others() is None
    assert nowhere.form() is None
    assert nowhere.exclusive() is None


def test_what_this_program_has_open_is_known(root: Path) -> None:
    assert Loopback("/dev/video10", root).open_here()
    assert not Loopback("/dev/video11", root).open_here()


def test_the_form_of_the_frames(root: Path) -> None:
    assert Loopback("/dev/video10", root).form() == "YU12:1280x720"
    assert Loopback("/dev/video11", root).form() is None


def test_which_devices_are_exclusive(root: Path) -> None:
    assert Loopback("/dev/video10", root).exclusive() is True
    assert Loopback("/dev/video11", root).exclusive() is False
    assert Loopback("/dev/video12", root).exclusive() is None  # added while the module ran


def test_what_is_no_device_cannot_be_asked(tmp_path: Path) -> None:
    plain = tmp_path / "video10"
    assert Loopback(str(plain)).takes_frames() is None
    plain.touch()
    assert Loopback(str(plain)).takes_frames() is None
    Loopback(str(plain)).give_back()
    assert plain.read_bytes() == b""
