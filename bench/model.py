"""What draws, alone: `python -m bench.model [--preset live] [--threads 2] [--rounds 40]`.

The network of a frame in every runtime and precision that can be had here, turn about, so that what else the
machine does hits all alike; beside it the fastest that this processor multiplies matrices. The last line of
standard output is one JSON document; `bench/README.md` explains its figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from avatar.cli import arguments as shared
from avatar.errors import AvatarError, ModelError
from avatar.generate import open_networks
from avatar.model.blocks import fold_spectral
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS
from avatar.runtime import FrameInputs, Runtime, Wanted, open_runtime
from avatar.runtime.frame import FrameNetwork
from avatar.runtime.probe import load_probe
from avatar.weights import manifest
from bench import machine

CANDIDATES = (
    ("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"),
    ("tensorrt", "fp16"), ("rtx", "fp16"),
)  # fmt: skip
WARM_UP = 5
SIDE = 2048
"""Of the matrices that are multiplied to see how fast it can be."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure(preset: str, weights: Path | None, rounds: int, threads: int) -> dict[str, Any]:
    """All runtimes, turn about; gives the JSON document."""
    torch.set_num_threads(threads)
    networks, whose = _networks(preset, weights)
    frames = load_probe().inputs(PRESETS[preset], networks)
    opened: dict[str, Runtime] = {}
    found: dict[str, dict[str, Any]] = {}
    for runtime, precision in CANDIDATES:
        name = f"{runtime} {precision}"
        try:
            opened[name] = open_runtime(Wanted(runtime, precision), PRESETS[preset], networks)
        except ModelError as error:
            found[name] = {"p10": None, "p50": None, "p95": None, "reason": str(error)}
    took: dict[str, list[float]] = {name: [] for name in opened}
    for number in range(WARM_UP + rounds):
        for name, runs in opened.items():
            ms = _ms(partial(runs, frames[number % len(frames)]))
            if number >= WARM_UP:
                took[name].append(ms)
    gmac = multiplications(networks, frames[0]) / 1e9
    peaks = {name: peak(kind) for name, kind in TYPES.items()}
    for name, runs in opened.items():
        shares = {share: float(np.percentile(took[name], int(share[1:]))) for share in ("p10", "p50", "p95")}
        gflops = 2 * gmac / shares["p10"] * 1e3
        limit = peaks.get(runs.precision)
        found[name] = {
            **{share: round(ms, 2) for share, ms in shares.items()},
            "gflops": round(gflops, 1),
            "of_peak": None if limit is None else round(gflops / limit, 3),
            "reason": None,
            "told": runs.told,
        }
    return {
        "preset": preset,
        "weights": whose,
        "gmac": round(gmac, 3),
        "threads": threads,
        "matmul_gflops": {name: round(value, 1) for name, value in peaks.items()},
        "runtimes": {
            f"{runtime} {precision}": found[f"{runtime} {precision}"] for runtime, precision in CANDIDATES
        },
        "machine": machine.describe(),
    }


def _networks(preset: str, weights: Path | None) -> tuple[Networks, str]:
    """Networks of a preset, and whose they are: fresh ones where none come with the program."""
    if weights is None and preset not in manifest():
        torch.manual_seed(0)
        return fold_spectral(PRESETS[preset].networks().eval()).requires_grad_(False), "fresh"
    return open_networks(preset, weights).networks, "shipped" if weights is None else weights.name


def multiplications(networks: Networks, frame: FrameInputs) -> float:
    """Multiply-adds of a frame: half of what `torch.utils.flop_counter` counts."""
    tensors = [torch.from_numpy(array) for array in frame.arrays().values()]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        FrameNetwork(networks.generator)(*tensors)
    return float(counter.get_total_flops()) / 2


def peak(kind: torch.dtype, rounds: int = 8) -> float:
    """The most GFLOP/s of multiplying two square matrices with torch's threads."""
    a, b = (torch.rand(SIDE, SIDE).to(kind) for _ in range(2))
    a @ b
    return 2 * SIDE**3 / min(_ms(lambda: a @ b) for _ in range(rounds)) / 1e6


def _ms(job: Callable[[], object]) -> float:
    begin = time.perf_counter()
    job()
    return (time.perf_counter() - begin) * 1e3


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    about, peaks = document["machine"], document["matmul_gflops"]
    lines = [
        f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, commit {about['commit']}",
        f"{document['preset']} ({document['weights']} weights), {document['gmac']:.2f} GMAC a frame",
        "matrices: " + ", ".join(f"{value:.0f} GFLOP/s in {name}" for name, value in peaks.items()),
        "",
        f"{'[ms]':<18}{'p10':>8}{'p50':>8}{'p95':>8}{'GFLOP/s':>10}{'of peak':>9}",
    ]
    for name, found in document["runtimes"].items():
        if found["p50"] is None:
            lines.append(f"{name:<18}not measured: {found['reason']}")
            continue
        share = "-" if found["of_peak"] is None else f"{found['of_peak']:.0%}"
        cells = "".join(f"{found[key]:>8.2f}" for key in ("p10", "p50", "p95"))
        lines.append(f"{name:<18}{cells}{found['gflops']:>10.0f}{share:>9}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.model",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    count = shared.whole_number_in(1, 10_000)
    parser.add_argument("--preset", choices=[*shared.PRESETS, "tiny"], default="live")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="networks of a training run")
    parser.add_argument("--rounds", type=count, default=40, metavar="N", help="frames of each (default: 40)")
    parser.add_argument("--threads", type=count, default=2, metavar="N", help="of PyTorch (default: 2)")
    options = parser.parse_args(argv)
    try:
        document = measure(options.preset, options.weights, options.rounds, options.threads)
    except (AvatarError, OSError) as error:
        print(f"bench.model: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(table(document))
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
