"""What `avatar doctor` says of virtual cameras, on computers that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_systems import KERNEL, OBS_KEY, MadeSystem, made_linux, made_mac

from avatar import camera_setup
from avatar.camera_setup import Trap, find_traps, kernel_module
from avatar.cli import checkup, doctor, main

ZOOM = "/var/lib/flatpak/app/us.zoom.Zoom/current/active/metadata"


@pytest.fixture
def bare(tmp_path: Path) -> MadeSystem:
    """A Debian without a virtual camera."""
    return made_linux(tmp_path)


@pytest.fixture
def good(bare: MadeSystem) -> MadeSystem:
    """One on which all is well."""
    bare.install_module()
    bare.start_with_module()
    bare.load()
    return bare


def only(made: MadeSystem) -> Trap:
    (trap,) = find_traps(made.system())
    return trap


def test_where_all_is_well_nothing_is_said(good: MadeSystem) -> None:
    assert find_traps(good.system()) == []


# the module


def test_no_module(bare: MadeSystem) -> None:
    trap = only(bare)
    assert (trap.name, trap.kind) == ("v4l2loopback", "missing")
    assert trap.text.startswith("is not installed")
    assert trap.remedy.startswith("avatar setup-camera")


def test_not_loaded(bare: MadeSystem) -> None:
    bare.install_module()
    assert only(bare).text == "is installed, but not loaded"
    secure = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    bare.write(secure)
    (bare.root / secure[1:]).write_bytes(b"\x06\0\0\0\x01")
    assert "Secure Boot is on" in only(bare).remedy


def test_for_another_kernel(bare: MadeSystem) -> None:
    bare.install_module("6.1.0-50-amd64")
    assert only(bare).text == f"is there for the kernel 6.1.0-50-amd64, but {KERNEL} runs"


def test_loaded_without_a_device(bare: MadeSystem) -> None:
    bare.load([])
    assert only(bare).text == "is loaded, but has no device"


def test_not_loaded_at_the_next_start(bare: MadeSystem) -> None:
    bare.load()
    trap = only(bare)
    assert (trap.kind, trap.text) == ("info", "is not loaded when the system starts")


def test_a_container(bare: MadeSystem) -> None:
    bare.write("/run/systemd/container", "lxc\n")
    trap = only(bare)
    assert "none found; this is a container (lxc)" in trap.text
    assert "--device /dev/video10" in trap.remedy


# the device


def test_without_exclusive_caps(good: MadeSystem) -> None:
    good.load([(3, "Old"), (10, "Avatar")], caps="N,Y")
    trap = only(good)
    assert (trap.name, trap.kind) == ("/dev/video3", "wrong")
    assert "exclusive_caps" in trap.text
    assert trap.remedy.startswith("avatar setup-camera")


@pytest.mark.parametrize(
    ("caps", "fed", "alone"),
    [(0x2, "", True), (0x1, "YU12:1280x720@30", True), (0x3, "", False), (0x3, "YU12:1280x720@30", True)],
)
def test_what_a_device_says_of_itself_comes_first(good: MadeSystem, caps: int, fed: str, alone: bool) -> None:
    # one that was added after the module was loaded, which parameters know nothing of
    good.load([(10, "Avatar")], caps="Y" if caps == 0x3 else "N", fed=fed)
    good.caps["/dev/video10"] = caps | 0x05200000
    assert kernel_module.exclusive_caps(good.system(), good.system().cameras()) == {"/dev/video10": alone}


def test_a_busy_device(good: MadeSystem) -> None:
    good.load(fed="YU12:1280x720@30")
    assert only(good).remedy == "sudo fuser -v /dev/video10 says by which"
    good.open_device(4711, "obs", "/dev/video10")
    good.open_device(815, "zoom", "/dev/video10")
    good.open_device(900, "cheese", "/dev/video0")
    trap = only(good)
    assert (trap.name, trap.kind) == ("/dev/video10", "info")
    assert trap.text == "is in use by zoom (815), obs (4711)"


def test_a_user_out_of_the_group(good: MadeSystem) -> None:
    good.can_use = False
    trap = only(good)
    assert (trap.kind, trap.text) == ("wrong", "ada is not in the group video")
    assert trap.remedy == "sudo usermod -aG video ada, then log out and in again"
    good.groups = frozenset({"video"})
    assert only(good).remedy == "log out and in again"


def test_a_device_that_the_container_lacks(good: MadeSystem) -> None:
    (good.root / "dev/video10").unlink()
    assert only(good).remedy == "start the container with --device /dev/video10"


# the meeting program


def test_a_snap_without_its_camera(good: MadeSystem) -> None:
    good.write("/snap/chromium/current/meta/snap.yaml")
    told = "Interface  Plug  Slot  Notes\naudio-playback  chromium:audio-playback  :audio-playback  -\n"
    good.answers["snap connections chromium"] = f"{told}camera  chromium:camera  -  -\n"
    trap = only(good)
    assert (trap.name, trap.kind) == ("Chromium (snap)", "wrong")
    assert trap.remedy == "sudo snap connect chromium:camera, then start it again"
    good.answers["snap connections chromium"] = f"{told}camera  chromium:camera  :camera  manual\n"
    assert find_traps(good.system()) == []


def test_the_snap_of_zoom(good: MadeSystem) -> None:
    good.write("/var/lib/snapd/snap/zoom-client/current/meta/snap.yaml")
    good.answers["snap connections zoom-client"] = "camera  zoom-client:camera  :camera  manual\n"
    trap = only(good)
    assert (trap.name, trap.kind) == ("Zoom (snap)", "info")


@pytest.mark.parametrize(
    ("metadata", "overrides", "sees"),
    [
        ("devices=all;", {}, True),
        ("devices=dri;all;", {}, True),
        ("devices=dri;", {}, False),
        ("shared=network;", {}, False),
        ("devices=dri;", {"us.zoom.Zoom": "devices=all;"}, True),
        ("devices=all;", {"global": "devices=!all;"}, False),
        ("devices=all;", {"global": "devices=!all;", "us.zoom.Zoom": "devices=all;"}, True),
        ("devices=all;", {"us.zoom.Zoom": "a line that is none"}, True),
    ],
)
def test_a_flatpak(good: MadeSystem, metadata: str, overrides: dict[str, str], sees: bool) -> None:
    good.write(ZOOM, f"[Application]\nname=us.zoom.Zoom\nruntime=a%20b\n\n[Context]\n{metadata}\n")
    for name, text in overrides.items():
        good.write(f"/home/ada/.local/share/flatpak/overrides/{name}", f"[Context]\n{text}\n")
    traps = find_traps(good.system())
    assert (not traps) == sees
    for trap in traps:
        assert (trap.name, trap.kind) == ("Zoom (flatpak)", "wrong")
        assert trap.remedy.startswith("flatpak override --user --device=all us.zoom.Zoom")


def test_a_flatpak_of_the_user_alone(good: MadeSystem) -> None:
    good.write(f"/home/ada/.local/share{ZOOM.removeprefix('/var/lib')}", "[Context]\ndevices=dri;\n")
    assert only(good).name == "Zoom (flatpak)"


# macOS and Windows


def test_obs_on_macos(tmp_path: Path) -> None:
    assert only(made_mac(tmp_path / "a")).text == "is not installed: there is no virtual camera"
    never = only(made_mac(tmp_path / "b", obs="30.2.3"))
    assert "never started with its virtual camera" in never.text
    assert (never.kind, never.remedy[:19]) == ("missing", "avatar setup-camera")
    waiting = only(made_mac(tmp_path / "c", obs="30.2.3", extension="activated waiting for user"))
    assert "Camera Extensions" in waiting.remedy
    leaving = made_mac(tmp_path / "d", obs="30.2.3", extension="terminated waiting to uninstall on reboot")
    assert only(leaving).remedy == "restart the Mac"
    old = made_mac(tmp_path / "e", obs="29.1.3", extension="activated enabled")
    assert only(old).text == "is 29.1.3; this macOS needs 30 or newer"
    well = made_mac(tmp_path / "f", obs="30.2.3", extension="activated enabled")
    assert find_traps(well.system()) == []
    well.answers["pgrep -x OBS"] = "812\n"
    assert (only(well).kind, only(well).text[:10]) == ("info", "is running")


def test_obs_on_windows(tmp_path: Path) -> None:
    made = MadeSystem(tmp_path, platform="win32")
    assert only(made).text.startswith("is not installed")
    made.write("/Program Files/obs-studio/bin/64bit/obs64.exe")
    assert only(made).text == "is installed, but Windows does not know its camera"
    assert "virtualcam-install.bat" in only(made).remedy
    made.registry[OBS_KEY] = ""
    assert find_traps(made.system()) == []
    made.answers["tasklist /FI 'IMAGENAME eq obs64.exe'"] = "obs64.exe   812 Console   1   300,000 K\n"
    assert "Stop Virtual Camera" in only(made).remedy


# the command


def lines_of_doctor(
    monkeypatch: pytest.MonkeyPatch, made: MadeSystem, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setattr(camera_setup, "this_system", made.system)
    monkeypatch.setattr(doctor, "examine", lambda: list(checkup._virtual_cameras()))
    assert main.main(["doctor"]) == 0
    return capsys.readouterr().out.splitlines()


def test_doctor_tells_them(
    monkeypatch: pytest.MonkeyPatch, good: MadeSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines_of_doctor(monkeypatch, good, capsys) == [
        "virtual cameras:",
        "  [ok]      /dev/video10: Avatar",
        "",
        "Nothing is missing.",
    ]
    good.can_use = False
    lines = lines_of_doctor(monkeypatch, good, capsys)
    assert lines[1] == "  [wrong]   /dev/video10: ada is not in the group video"
    assert lines[2] == "            -> sudo usermod -aG video ada, then log out and in again"
    assert lines[-1] == "1 thing is not in order."


def test_a_camera_of_obs_that_macos_does_not_know_is_not_called_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of_doctor(monkeypatch, made_mac(tmp_path, obs="30.2.3"), capsys)
    assert lines[1].startswith("  [missing] OBS: was never started")
    assert lines[-1] == "1 of 1 things are missing."
