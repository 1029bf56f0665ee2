"""Sound and video servers of the tests' own, heard by nobody."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NEEDED = {
    "pipewire": {
        "dbus-daemon": "dbus",
        "pipewire": "pipewire",
        "wireplumber": "wireplumber",
        "pipewire-pulse": "pipewire-pulse",
    },
    "pulseaudio": {"pulseaudio": "pulseaudio"},
}
"""For each kind of server, the programs that it takes, and the Debian package of each."""
WAIT_S = 15.0


@contextlib.contextmanager
def running_server(kind: str, folder: Path) -> Iterator[Path]:
    """A server of that kind in `folder`, to which the environment leads all programs."""
    programs = {**NEEDED[kind], "pactl": "pulseaudio-utils"}
    missing = sorted(package for program, package in programs.items() if shutil.which(program) is None)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder.chmod(0o700)
    bus = f"unix:path={folder}/bus"
    settings = {
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "DBUS_SESSION_BUS_ADDRESS": bus,
    }
    sound = folder / "pulse/native"
    commands: list[tuple[list[str], Path | None]] = [
        (["dbus-daemon", "--session", "--nofork", f"--address={bus}"], folder / "bus"),
        (["pipewire"], folder / "pipewire-0"),
        (["wireplumber"], None),
        (["pipewire-pulse"], sound),
    ]
    if kind == "pulseaudio":
        options = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--load=module-native-protocol-unix"]
        commands = [(["pulseaudio", *options], sound)]
    running: list[subprocess.Popen[bytes]] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for name in ("PULSE_SERVER", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE"):
            patch.delenv(name, raising=False)
        try:
            for command, ready in commands:
                with (folder / f"{command[0]}.log").open("wb") as log:
                    running.append(subprocess.Popen(command, stdout=log, stderr=log))
                if ready is not None:
                    _wait_for(ready)
            yield folder
        finally:
            for program in reversed(running):
                program.terminate()
                program.wait(5.0)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder (XDG_RUNTIME_DIR) of a running server: PipeWire, or what the test's parameter names."""
    kind = getattr(request, "param", "pipewire")
    with running_server(kind, tmp_path_factory.mktemp(kind)) as folder:
        yield folder


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
