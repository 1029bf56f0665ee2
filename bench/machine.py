"""What a figure was measured on: it means nothing without."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from avatar.tools.cores import usable_cores

PACKAGES = (
    "livehead", "numpy", "opencv-contrib-python", "mediapipe", "ai-edge-litert", "torch", "openvino", "av",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, Any]:
    """The machine, the versions, the commit and the command, as plain values for JSON."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "commit": commit(),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
    }


def memory_mb() -> float | None:
    """The most memory this process has had [MB]; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 1024), 1)


def since_start_s() -> float | None:
    """Seconds since this process was started, interpreter included; None where the system does not tell.

    Of /proc, in steps of 10 ms as a rule.
    """
    try:
        # Behind the name, which may hold spaces and brackets: field 22 is the start, in ticks since boot.
        fields = (
            Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        began_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, round(time.clock_gettime(time.CLOCK_BOOTTIME) - began_s, 3))
    except (OSError, AttributeError, IndexError, ValueError):
        return None


def cpu_model() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit(checkout: Path = ROOT) -> str | None:
    """Commit of a checkout, of ours as a rule, with "+changes" if it was changed; None if it is none."""
    if not (checkout / ".git").exists():
        return None
    try:
        name = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return name + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
