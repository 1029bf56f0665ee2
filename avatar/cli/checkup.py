"""What `avatar doctor` looks at: each function examines one topic and gives its findings."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from avatar import __version__
from avatar.errors import AvatarError
from avatar.tools import system_libraries

DISTRIBUTION = "livehead"

OTHER_OPENCVS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
"""They write into the same folder as the one we use; which of them is imported is then chance."""

LITTLE_SPACE = 200 * 2**20
PURPOSE = {"tests": "test", "train": "train and to measure likeness"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    topic: str
    name: str
    state: Literal["ok", "missing", "wrong", "info"]
    """There; not there; there, but in need of mending; worth knowing."""
    text: str
    remedy: str = ""
    """What to do about it, if anything."""


def examine() -> list[Finding]:
    """All findings, topic by topic."""
    topics = (
        *(_program, _packages, _libraries, _models, _cameras, _virtual_cameras, _pipewire_camera, _sound),
        *(_runtimes, _display),
    )
    return [finding for topic in topics for finding in topic()]


def _program() -> Iterator[Finding]:
    yield Finding("program", DISTRIBUTION, "info", f"{__version__} in {Path(__file__).resolve().parents[1]}")
    good = (3, 11) <= sys.version_info < (3, 14)
    yield Finding(
        "program",
        "Python",
        "ok" if good else "missing",
        f"{platform.python_version()} at {sys.executable}",
        "" if good else "use Python 3.11, 3.12 or 3.13",
    )
    yield Finding("program", "system", "info", f"{platform.platform()}, {os.cpu_count()} processors")


def requirements() -> dict[str, str]:
    """What the installed program requires: package -> what to tell pip; empty if it was never installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    needed = [line.partition(";")[0].strip() for line in lines if "extra ==" not in line]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0]: line for line in needed}


def _packages() -> Iterator[Finding]:
    required = requirements()
    if not required:
        text = "runs without being installed, so that what it requires is not known"
        yield Finding("packages", DISTRIBUTION, "info", text, _pip("."))
    for package, requirement in required.items():
        version = _version(package)
        if version:
            yield Finding("packages", package, "ok", version)
        else:
            yield Finding("packages", package, "missing", "not installed", _pip(f'"{requirement}"'))
    for package in OTHER_OPENCVS:
        version = _version(package)
        if version:
            text = f"{version} is a second OpenCV and may be in the way"
            remedy = f"pip uninstall {package}, then {_pip('--force-reinstall opencv-contrib-python')}"
            yield Finding("packages", package, "info", text, remedy)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _pip(what: str) -> str:
    return f"python -m pip install {what}"


def _libraries() -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        return
    missing = system_libraries.missing_libraries()
    for name in system_libraries.PACKAGES:
        if name in missing and name in system_libraries.FOR_MEDIAPIPE:
            text = "cannot be loaded; needed for --tracker mediapipe alone"
            yield Finding("system libraries", name, "info", text, system_libraries.install_line([name]))
        elif name in missing:
            remedy = system_libraries.install_line([name])
            yield Finding("system libraries", name, "missing", "cannot be loaded", remedy)
        else:
            yield Finding("system libraries", name, "ok", "found")


def _models() -> Iterator[Finding]:
    from avatar import weights

    try:
        entries = list(weights.manifest().values())
        cache = weights.cache_dir()
    except AvatarError as error:
        yield Finding("models", "manifest", "missing", str(error), "install the program again")
        return
    for entry in entries:
        name = entry.name
        try:
            path = weights.resolve(name, offline=True, progress=lambda line: None)
            yield Finding("models", name, "ok", f"{path}, hash is right")
        except AvatarError as error:
            if entry.needed_for == "run":
                yield Finding("models", name, "missing", _reason(name, error), "avatar fetch-models")
                continue
            fetch = "avatar fetch-models" + (" --training" if entry.needed_for == "train" else "")
            yield Finding("models", name, "info", f"not here; needed to {PURPOSE[entry.needed_for]}", fetch)
    yield _space(cache)


def _reason(name: str, error: AvatarError) -> str:
    return str(error).removeprefix(f"{name}: ").split(";")[0]


def _space(cache: Path) -> Finding:
    there = cache
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    text = f"{cache}, {free / 2**30:.1f} GiB free"
    if free < LITTLE_SPACE:
        return Finding("models", "cache", "missing", text, "free some space, or set AVATAR_CACHE to a folder")
    return Finding("models", "cache", "ok", text)


def _cameras() -> Iterator[Finding]:
    try:
        from avatar.capture import list_cameras

        cameras = [camera for camera in list_cameras() if not camera.virtual]
    except (AvatarError, ImportError, OSError) as error:
        yield Finding("cameras", "cameras", "missing", f"could not be listed: {error}")
        return
    for camera in cameras:
        yield Finding("cameras", f"--camera {camera.index}", "ok", camera.name)
    if not cameras:
        yield Finding("cameras", "cameras", "missing", "none found", "plug one in; 'avatar demo' needs none")


def _virtual_cameras() -> Iterator[Finding]:
    try:
        from avatar.camera_setup import find_traps, this_system
    except (ImportError, OSError) as error:
        yield Finding("virtual cameras", "virtual camera", "missing", f"could not be looked for: {error}")
        return
    system = this_system()
    traps = find_traps(system)
    bad = {trap.name for trap in traps if trap.kind == "wrong"}
    if not any(trap.kind == "missing" for trap in traps):
        for camera in system.cameras():
            if camera.device not in bad:
                yield Finding("virtual cameras", camera.device, "ok", camera.name)
    for trap in traps:
        yield Finding("virtual cameras", trap.name, trap.kind, trap.text, trap.remedy)


def _pipewire_camera() -> Iterator[Finding]:
    try:
        from avatar.output import has_pipewire, missing_for_pipewire_camera

        if not has_pipewire():
            return
        reason = missing_for_pipewire_camera()
    except (ImportError, OSError) as error:
        reason = str(error)
    text = "can be made, for programs that take cameras from PipeWire" if reason is None else reason
    yield Finding("virtual cameras", "--output pipewire", "info" if reason else "ok", text)


def _sound() -> Iterator[Finding]:
    yield _sound_of_calls()
    if not sys.platform.startswith("linux"):
        return
    try:
        from avatar.audio import sound_server, which_microphone

        with sound_server() as server:
            yield Finding("sound", "server", "ok", str(server.server_info().server_name))
        yield Finding("sound", "--audio", "ok", f"can delay {which_microphone(None)}")
    except AvatarError as error:
        yield Finding("sound", "--audio", "info", str(error))


def _sound_of_calls() -> Finding:
    name = "microphone and loudspeaker of calls"
    try:
        from avatar.call.devices import PORTAUDIO_HINT, why_no_devices

        why = why_no_devices()
    except (AvatarError, ImportError, OSError) as error:
        return Finding("sound", name, "info", f"could not be looked for: {error}")
    if why is None:
        return Finding("sound", name, "ok", "PortAudio is there; which devices there are was not looked at")
    remedy = PORTAUDIO_HINT if sys.platform.startswith("linux") else ""
    return Finding("sound", name, "info", f"{why}; 'avatar call' goes on without", remedy)


def _runtimes() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        remedy = _pip(f'"{requirements().get("torch", "torch")}"')
        yield Finding("runtimes", "torch", "missing", f"cannot be imported: {error}", remedy)
        return
    yield Finding("runtimes", "torch cpu", "ok", f"{torch.get_num_threads()} threads")
    try:
        from avatar.runtime import openvino_runtime

        able = ", ".join(openvino_runtime.precisions())
        yield Finding("runtimes", "openvino", "ok", f"{able} on {openvino_runtime.device()}")
    except AvatarError as error:
        yield Finding("runtimes", "openvino", "info", f"{error}; plain PyTorch is slower", _pip("openvino"))
    from avatar.runtime.card_runtime import why_no_card
    from avatar.runtime.store import kept

    with contextlib.suppress(AvatarError):  # without a folder for them there are none
        for engine in kept():
            yield Finding("runtimes", "engine", "info", str(engine))
    if (why := why_no_card()) is None:
        for number in range(torch.cuda.device_count()):
            yield Finding("runtimes", f"torch cuda:{number}", "ok", torch.cuda.get_device_name(number))
    else:
        yield Finding("runtimes", "torch cuda", "info", f"{why}; no NVIDIA card is needed")


def _display() -> Iterator[Finding]:
    try:
        from avatar.output import missing_display

        reason = missing_display()
    except (ImportError, OSError) as error:
        reason = str(error)
    if reason is None:
        yield Finding("display", "window", "ok", "can be opened")
    else:
        yield Finding("display", "window", "info", f"none can be opened: {reason}", "use another --output")
