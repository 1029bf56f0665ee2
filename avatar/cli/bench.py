"""`avatar bench`: how fast it is here, as a table to paste into a report."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

SECONDS = 10.0
ROUNDS = 20
STARTS = {"import avatar": ["-c", "import avatar"], "avatar --help": ["-m", "avatar.cli.main", "--help"]}

EXAMPLES = """\
  avatar bench                       about a minute; close other programs before
  avatar bench --seconds 30
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "bench",
        run,
        help="measure how fast it is on this computer",
        description="Measure the network in every runtime that can be had here, and then the whole program, "
        "with a clip in the place of the webcam. Prints one table, to be pasted into a report of a problem.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--seconds",
        type=shared.seconds,
        default=SECONDS,
        metavar="N",
        help="of the whole program (default: 10)",
    )
    shared.add_generator(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    try:
        from bench import model
    except ImportError:
        raise AvatarError("the folder bench is not beside the program; install it again") from None

    preset = "live" if arguments.generator == "warp" else arguments.generator
    print("Measuring the network ...", file=sys.stderr)
    networks = model.measure([preset], arguments.weights, ROUNDS, threads=2)
    print("Measuring the whole program ...", file=sys.stderr)
    whole = measured_alone(arguments)
    starts = {name: started(command) for name, command in STARTS.items()}
    print(table(preset, networks, whole, starts))
    return 0


def measured_alone(arguments: argparse.Namespace) -> dict[str, Any]:
    """The document of `bench.latency`, in a process of its own: its memory and its start are no one else's.

    Raises:
        AvatarError: with the last line of what that process said.
    """
    command = [sys.executable, "-m", "bench.latency", "--seconds", str(arguments.seconds)]
    for option in ("generator", "weights", "runtime", "precision"):
        if (value := getattr(arguments, option)) is not None:
            command += [f"--{option}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
        raise AvatarError(why.strip().removeprefix("bench.latency: error: "))
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def started(command: list[str], times: int = 3) -> float:
    """Seconds that a fresh interpreter takes for it: the median."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        took.append(time.perf_counter() - begin)
    return sorted(took)[times // 2]


def table(preset: str, networks: dict[str, Any], whole: dict[str, Any], starts: dict[str, float]) -> str:
    """All of it in Markdown."""
    about, network = whole["machine"], networks["presets"][preset]
    first, memory = whole["first_frame_s"], whole["memory_mb"]
    came = whole["frames"] + whole["dropped"]
    peaks = networks["matmul_gflops"].items()
    rows = [
        ("machine", f"{about['cpu']}, {about['cores']} cores, {about['platform']}, Python {about['python']}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["packages"].items())),
        ("commit", str(about["commit"])),
        *((name, f"{seconds:.2f} s") for name, seconds in starts.items()),
        ("start to first frame", "-" if first is None else f"{first:.1f} s"),
        *((f"network, {name}", _network(found)) for name, found in network["runtimes"].items()),
        ("multiplying matrices", ", ".join(f"{value:.0f} GFLOP/s in {name}" for name, value in peaks)),
        ("drawn by", f"{whole['generator']}, {whole['runtime'] or 'no network'}"),
        ("frame rate", f"{whole['fps']:.1f} of 30, {whole['dropped']} of {came} dropped"),
        ("age at hand-over", _shares(whole["age_ms"])),
        *((f"stage {name}", _shares(values)) for name, values in whole["stages_ms"].items()),
        ("memory at most", "-" if memory is None else f"{memory:.0f} MB"),
    ]
    return "\n".join(
        ["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    )


def _network(found: dict[str, Any]) -> str:
    if found["p50"] is None:
        return f"not measured: {found['reason']}"
    return f"p50 {found['p50']:.1f} ms, p95 {found['p95']:.1f} ms, {found['gflops']:.0f} GFLOP/s"


def _shares(values: dict[str, float | None]) -> str:
    return ", ".join(f"{share} {value:.1f} ms" for share, value in values.items() if value is not None) or "-"
