"""`avatar setup-camera` on computers that are made up: the steps, and what they come to when they are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest
from made_systems import KERNEL, OBS_KEY, MadeSystem, made_linux, made_mac

from avatar import camera_setup
from avatar.camera_setup import kernel_module, linux, plan
from avatar.cli import main
from avatar.errors import VirtualCameraError

Capture = pytest.CaptureFixture[str]

OPTIONS = "devices=1 video_nr=10 card_label=Avatar exclusive_caps=1"
KEPT = 'options v4l2loopback devices=1 video_nr=10 card_label="Avatar" exclusive_caps=1\n'
FEDORA = "6.11.4-301.fc41.x86_64"


def lines(made: MadeSystem) -> list[str]:
    """The commands of the plan, and the words of the steps that have none in brackets."""
    system = made.system()
    return [step.line(system) or f"({step.what})" for step in plan(system).steps]


@pytest.fixture
def debian(tmp_path: Path) -> MadeSystem:
    return made_linux(tmp_path)


# the steps, by system


LOADING = [
    f"echo {shlex.quote(KEPT.strip())} | sudo tee /etc/modprobe.d/livehead-camera.conf",
    "echo v4l2loopback | sudo tee /etc/modules-load.d/livehead-camera.conf",
    f"sudo modprobe v4l2loopback {OPTIONS}",
]


def test_debian(debian: MadeSystem) -> None:
    assert lines(debian) == [
        "sudo apt-get update",
        f"sudo apt-get install -y linux-headers-{KERNEL} v4l2loopback-dkms",
        f"sudo dkms autoinstall -k {KERNEL}",
        *LOADING,
    ]
    debian.write(f"/lib/modules/{KERNEL}/build/Makefile")
    assert "sudo apt-get install -y v4l2loopback-dkms" in lines(debian)


def test_root_needs_no_sudo(debian: MadeSystem) -> None:
    debian.is_root = True
    assert not [line for line in lines(debian) if "sudo" in line]


@pytest.mark.parametrize("ids", ["ID=ubuntu\nID_LIKE=debian", 'ID=linuxmint\nID_LIKE="ubuntu debian"'])
def test_relatives_of_debian(tmp_path: Path, ids: str) -> None:
    assert lines(made_linux(tmp_path, ids))[0] == "sudo apt-get update"


def test_fedora(tmp_path: Path) -> None:
    made = made_linux(tmp_path, 'NAME="Fedora Linux"\nID=fedora\n')
    made.kernel = FEDORA
    (only,) = lines(made)
    assert only.startswith("(enable the repository 'RPM Fusion free'")
    made.write("/etc/yum.repos.d/rpmfusion-free.repo")
    assert lines(made) == [
        f"sudo dnf install -y kernel-devel-{FEDORA} akmod-v4l2loopback",
        f"sudo akmods --force --kernels {FEDORA}",
        *LOADING,
    ]
    made.write("/run/ostree-booted")
    assert lines(made) == [
        "sudo rpm-ostree install akmod-v4l2loopback",
        "(restart the computer, then run 'avatar setup-camera' again)",
    ]


def test_arch(tmp_path: Path) -> None:
    made = made_linux(tmp_path, "ID=endeavouros\nID_LIKE=arch\n")
    made.kernel = "6.6.60-1-lts"
    assert "running kernel is not installed any more" in lines(made)[0]
    made.write("/lib/modules/6.6.60-1-lts/pkgbase", "linux-lts\n")
    assert lines(made) == [
        "sudo pacman -S --needed --noconfirm linux-lts-headers v4l2loopback-dkms",
        "sudo dkms autoinstall -k 6.6.60-1-lts",
        *LOADING,
    ]


def test_another_distribution_is_told_what_it_needs(tmp_path: Path) -> None:
    (only,) = lines(made_linux(tmp_path, "ID=void\n"))
    assert only == f"(install v4l2loopback for the kernel {KERNEL}, then run 'avatar setup-camera' again)"


def test_installed_but_not_loaded(debian: MadeSystem) -> None:
    debian.install_module()
    assert lines(debian) == LOADING


def test_for_another_kernel_it_is_built_for_this_one(debian: MadeSystem) -> None:
    debian.install_module("6.1.0-50-amd64")
    assert f"sudo dkms autoinstall -k {KERNEL}" in lines(debian)


def test_a_number_that_another_camera_has_is_left_to_it(debian: MadeSystem) -> None:
    debian.install_module()
    debian.write("/sys/class/video4linux/video10/name", "bcm2835-codec-decode\n")
    assert "video_nr=11" in lines(debian)[-1]


def test_loaded_without_a_device(debian: MadeSystem) -> None:
    debian.load([])
    assert lines(debian) == [
        "sudo modprobe -r v4l2loopback",
        *LOADING,
    ]


def test_cameras_that_chrome_does_not_list_are_kept_and_mended(debian: MadeSystem) -> None:
    debian.load([(0, 'OBS "Virtual", Camera'), (7, "b")], caps="N,N")
    assert lines(debian)[1].count('card_label="OBS Virtual Camera,b"') == 1
    given = "devices=2 video_nr=0,7 'card_label=OBS Virtual Camera,b' exclusive_caps=1,1"
    assert lines(debian)[-1] == f"sudo modprobe v4l2loopback {given}"


def test_who_uses_the_module_is_to_end_first(debian: MadeSystem) -> None:
    debian.load(caps="N")
    debian.open_device(812, "zoom", "/dev/video10")
    debian.open_device(90, "obs", "/dev/video10")
    debian.open_device(91, "cheese", "/dev/video0")
    assert lines(debian)[0] == "(end obs (90), zoom (812): the module is in use)"


def test_all_is_well(debian: MadeSystem) -> None:
    debian.load()
    debian.start_with_module()
    found = plan(debian.system())
    assert found.well
    assert found.ready == "Avatar (/dev/video10)"


def test_one_good_camera_is_enough(debian: MadeSystem) -> None:
    debian.load([(3, "Old"), (10, "Avatar")], caps="N,Y")
    debian.start_with_module()
    assert plan(debian.system()).ready == "Avatar (/dev/video10)"


def test_a_camera_that_is_gone_after_a_restart(debian: MadeSystem) -> None:
    debian.load()
    assert lines(debian) == LOADING[:2]
    debian.write("/etc/modules", "loop\nv4l2loopback\n")
    debian.write("/etc/modprobe.d/v4l2.conf", "options v4l2loopback exclusive_caps=0\n")
    found = plan(debian.system())
    assert len(found.steps) == 2
    assert found.hints == ["/etc/modprobe.d/v4l2.conf has options of v4l2loopback, too: see that they agree"]


def test_a_user_who_may_not_use_it(debian: MadeSystem) -> None:
    debian.load()
    debian.start_with_module()
    debian.can_use = False
    first, second = lines(debian)
    assert first == "sudo usermod -aG video ada"
    assert second.startswith("(log out and in again")
    debian.write("/etc/group", "video:x:44:bob,ada\n")
    assert lines(debian) == [second]
    assert not plan(debian.system()).ready


@pytest.mark.parametrize(("variable", "hinted"), [(b"\x06\0\0\0\x01", True), (b"\x06\0\0\0\x00", False)])
def test_secure_boot(debian: MadeSystem, variable: bytes, hinted: bool) -> None:
    name = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    debian.write(name)
    (debian.root / name).write_bytes(variable)
    hints = plan(debian.system()).hints
    assert bool(hints) == hinted
    assert all("sudo mokutil --import /var/lib/dkms/mok.pub" in hint for hint in hints)


def test_places_without_kernel_modules(debian: MadeSystem) -> None:
    (debian.root / "proc/modules").unlink()
    assert "without loadable modules" in plan(debian.system()).impossible
    debian.write("/.dockerenv")
    assert "container (docker)" in plan(debian.system()).impossible
    debian.kernel = "5.15.153.1-microsoft-standard-WSL2"
    assert "install the program on Windows itself" in plan(debian.system()).impossible
    debian.load()  # the host's device was given to the container
    assert plan(debian.system()).ready
    (debian.root / "dev/video10").unlink()
    assert plan(debian.system()).impossible.endswith("start the container with --device /dev/video10")


def test_macos(tmp_path: Path) -> None:
    start = "open -a OBS --args --startvirtualcam"
    assert lines(made_mac(tmp_path / "a"))[:2] == [
        "(install OBS Studio 30 or newer (obsproject.com) into Applications)",
        start,
    ]
    assert lines(made_mac(tmp_path / "b", obs="29.1.3"))[0] == "(update OBS Studio 29.1.3 to 30 or newer)"
    untouched = lines(made_mac(tmp_path / "c", obs="30.2.3"))
    assert untouched[0] == start
    assert "Camera Extensions" in untouched[1]
    assert "'Stop Virtual Camera'" in untouched[2]
    (waiting,) = lines(made_mac(tmp_path / "d", obs="30.2.3", extension="activated waiting for user"))
    assert waiting == untouched[1]
    gone = made_mac(tmp_path / "e", obs="30.2.3", extension="terminated waiting to uninstall on reboot")
    assert lines(gone)[0].startswith("(restart the Mac")
    well = made_mac(tmp_path / "f", obs="30.2.3", extension="activated enabled")
    assert plan(well.system()).well


def test_macos_before_extensions(tmp_path: Path) -> None:
    old = made_mac(tmp_path, version="12.7", obs="28.0.0")
    assert not plan(old.system()).ready
    old.write("/Library/CoreMediaIO/Plug-Ins/DAL/obs-mac-virtualcam.plugin/Contents/Info.plist")
    assert plan(old.system()).well


def test_windows(tmp_path: Path) -> None:
    made = MadeSystem(tmp_path, platform="win32")
    assert lines(made) == ["(install OBS Studio, which brings the camera (obsproject.com))"]
    assert "UnityCapture" in plan(made.system()).hints[0]
    made.answers["winget --version"] = "v1.9\n"
    assert lines(made) == ["winget install --exact --id OBSProject.OBSStudio"]
    made.write("/Program Files/obs-studio/bin/64bit/obs64.exe")
    (script,) = lines(made)
    assert r"'C:\Program Files\obs-studio\data\obs-plugins\win-dshow\virtualcam-install.bat'" in script
    made.registry[OBS_KEY] = ""
    assert plan(made.system()).ready == "OBS Virtual Camera"
    del made.registry[OBS_KEY]
    made.registry[r"CLSID\{5C2CD55C-92AD-4999-8666-912BD3E70010}"] = "Unity Video Capture"
    assert plan(made.system()).ready == "Unity Video Capture"


def test_other_systems(tmp_path: Path) -> None:
    assert "freebsd14" in plan(MadeSystem(tmp_path, platform="freebsd14").system()).impossible


# the command


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Puts a made-up system in the place of this one, and lets nothing be run on this one."""

    def forbidden(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a program of the real system: {arguments}")

    monkeypatch.setattr(subprocess, "run", forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    return monkeypatch


def call(on: pytest.MonkeyPatch, made: MadeSystem, *options: str) -> int:
    on.setattr(camera_setup, "this_system", made.system)
    return main.main(["setup-camera", *options])


def test_it_shows_the_steps_and_changes_nothing(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    before = sorted(debian.root.rglob("*"))
    assert call(on, debian) == 0
    text = capsys.readouterr().out
    assert re.search(r"^1\. bring the list.*\n     sudo apt-get update\n2\. ", text, re.MULTILINE)
    assert "'avatar setup-camera --yes'" in text
    assert (debian.ran, sorted(debian.root.rglob("*"))) == ([], before)


def test_with_yes_it_makes_a_camera_that_lasts(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    assert call(on, debian, "--yes") == 0
    assert debian.ran[1] == f"sudo apt-get install -y linux-headers-{KERNEL} v4l2loopback-dkms"
    assert debian.ran[-1] == f"sudo modprobe v4l2loopback {OPTIONS}"
    assert debian.read(linux.OPTIONS_FILE) == KEPT
    assert debian.read(linux.START_FILE) == "v4l2loopback\n"
    assert kernel_module.exclusive_caps(debian.system(), debian.system().cameras()) == {"/dev/video10": True}
    text = capsys.readouterr().out
    assert text.splitlines()[0] == "bring the list of packages up to date: sudo apt-get update"
    assert "There is a virtual camera: Avatar (/dev/video10)." in text
    assert call(on, debian, "--yes") == 0
    assert len(debian.ran) == 6


def test_with_yes_it_mends_a_camera(on: pytest.MonkeyPatch, debian: MadeSystem) -> None:
    debian.install_module()
    debian.load([(0, "OBS Cam"), (4, "b")], caps="N,N")
    assert call(on, debian, "--yes") == 0
    assert plan(debian.system()).ready == "OBS Cam (/dev/video0), b (/dev/video4)"


def test_a_person_is_asked_for_what_only_a_person_can(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    debian.load(caps="N")
    debian.open_device(812, "zoom", "/dev/video10")
    assert call(on, debian, "--yes") == 1
    assert "error: the next step is yours: end zoom (812)" in capsys.readouterr().err
    assert debian.ran == []


def test_a_group_is_joined_once_the_device_is_there(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    debian.install_module()
    debian.can_use = False
    assert call(on, debian, "--yes") == 1
    assert debian.ran[-2:] == [f"sudo modprobe v4l2loopback {OPTIONS}", "sudo usermod -aG video ada"]
    assert "log out and in again" in capsys.readouterr().err


def test_a_step_that_fails_ends_it(on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture) -> None:
    debian.failing["apt-get"] = 100
    assert call(on, debian, "--yes") == 1
    assert "error: 'sudo apt-get update' failed with status 100" in capsys.readouterr().err
    assert len(debian.ran) == 1


def test_without_sudo_root_is_asked_for(on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture) -> None:
    debian.lacking.add("sudo")
    assert call(on, debian, "--yes") == 1
    told = capsys.readouterr().err
    assert "error: there is no sudo here: run 'avatar setup-camera' without --yes" in told
    assert "in a terminal of root" in told
    debian.is_root = True
    assert call(on, debian, "--yes") == 0


def test_a_program_that_is_not_there_is_named(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    debian.is_root = True
    debian.lacking.add("dkms")
    assert call(on, debian, "--yes") == 1
    assert capsys.readouterr().err == "avatar: error: dkms: No such file or directory\n"


def test_steps_that_help_nothing_are_not_taken_for_success(
    on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture
) -> None:
    debian.install_module()
    debian.failing["modprobe"] = 0  # it says it did
    with pytest.raises(VirtualCameraError, match="something is missing still"):
        camera_setup.carry_out(debian.system(), lambda line: None)
    assert debian.ran.count(f"sudo modprobe v4l2loopback {OPTIONS}") == 1


def test_where_nothing_can_be_done(on: pytest.MonkeyPatch, debian: MadeSystem, capsys: Capture) -> None:
    debian.write("/run/.containerenv")
    for options in ([], ["--yes"]):
        assert call(on, debian, *options) == 1
        assert "no virtual camera can be made here: this is a container (podman)" in capsys.readouterr().err


def test_this_system_can_be_described() -> None:
    system = camera_setup.this_system()
    assert system.user
    assert (system.root / "").is_dir()
    assert system.ask(["no-such-program-anywhere"]) == ""
    assert system.capabilities("/dev/no-such-device") is None


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can ask for somebody else")
def test_under_sudo_the_caller_is_who_wants_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not in pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        closed, open_to_all = Path(folder, "closed"), Path(folder, "open")
        for path, mode in ((closed, 0o600), (open_to_all, 0o666)):
            path.touch()
            path.chmod(mode)
        assert camera_setup.this_system().may_use(closed)
        monkeypatch.setenv("SUDO_USER", "nobody")
        system = camera_setup.this_system()
        assert not system.may_use(closed)
        assert system.may_use(open_to_all)
        assert system.user == "nobody"
        assert "root" not in system.groups
        monkeypatch.setenv("SUDO_USER", "nobody of that name")
        assert camera_setup.this_system().may_use(closed)
