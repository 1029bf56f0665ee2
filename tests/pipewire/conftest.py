"""A sound and video server of the tests' own: PipeWire and WirePlumber , heard by nobody."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = {
    "dbus-daemon": "dbus",
    "pipewire": "pipewire",
    "wireplumber": "wireplumber",
    "pipewire-pulse": "pipewire-pulse",
    "pactl": "pulseaudio-utils",
}
"""What is needed, and the Debian package of each."""
WAIT_S = 15.0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder (XDG_RUNTIME_DIR) of a running server; the environment leads all programs to it."""
    missing = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("pipewire")
    folder.chmod(0o700)
    bus = f"unix:path={folder}/bus"
    settings = {
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "DBUS_SESSION_BUS_ADDRESS": bus,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for name in ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE"):
            patch.delenv(name, raising=False)
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command, ready in (
                (["dbus-daemon", "--session", "--nofork", f"--address={bus}"], folder / "bus"),
                (["pipewire"], folder / "pipewire-0"),
                (["wireplumber"], None),
                (["pipewire-pulse"], folder / "pulse/native"),
            ):
                log = (folder / f"{command[0]}.log").open("wb")
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
                log.close()
                if ready is not None:
                    _wait_for(ready)
            yield folder
        finally:
            for program in reversed(running):
                program.terminate()
                program.wait(5.0)


def _wait_for(path: Path) -> None:
    end = time.monotonic() + WAIT_S
    while not path.exists():
        if time.monotonic() > end:
            logs = "\n".join(log.read_text() for log in path.parent.glob("*.log"))
            pytest.fail(f"{path} did not come: {logs}")
        time.sleep(0.05)


@pytest.fixture
def desk_microphone(server: Path) -> Iterator[str]:
    """A microphone on a desk, as the server sees it: what is played to the sink `desk` is what it hears."""
    modules = [_load("module-null-sink", "sink_name=desk", "channels=1", "rate=48000")]
    _wait_until_listed("desk.monitor")
    modules.append(
        _load("module-remap-source", "source_name=desk_microphone", "master=desk.monitor", "channels=1")
    )
    _wait_until_listed("desk_microphone")
    # Or the server makes another the usual one, and moves there whoever listens to this one.
    subprocess.run(["pactl", "set-default-source", "desk_microphone"], check=True)
    yield "desk_microphone"
    for module in reversed(modules):
        # A test may have unplugged it.
        subprocess.run(["pactl", "unload-module", module], capture_output=True)


def _load(*words: str) -> str:
    """The server's number of a module."""
    loaded = subprocess.run(["pactl", "load-module", *words], check=True, capture_output=True, text=True)
    return loaded.stdout.strip()


def _wait_until_listed(source: str) -> None:
    end = time.monotonic() + WAIT_S
    while (
        source
        not in subprocess.run(["pactl", "list", "short", "sources"], capture_output=True, text=True).stdout
    ):
        assert time.monotonic() < end
        time.sleep(0.05)
