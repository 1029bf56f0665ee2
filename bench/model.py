"""What draws, alone: `python -m bench.model [--preset live paper] [--rounds 40] [--plot X.png]`.

The network of a frame in every runtime and precision that can be had here, turn about, so that what else the
machine does hits all alike; beside it the fastest that this processor multiplies matrices. The last line of
standard output is one JSON document; `bench/README.md` explains its figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
from avatar.runtime import FrameInputs, Runtime, Wanted, on_card, open_runtime
from avatar.runtime.frame import FrameNetwork
from avatar.runtime.probe import load_probe
from avatar.weights import manifest
from bench import machine, plot

CANDIDATES = (
    ("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"),
    ("tensorrt", "fp16"), ("rtx", "fp16"), ("cuda", "fp16"), ("cuda", "fp32"),
)  # fmt: skip
WARM_UP = 5
LEAST_ROUNDS, MOST_S = 10, 60.0
"""Of a large network so many rounds are enough when so many seconds are over."""
REST_S = 0.01
"""Before each frame, so that no thread of the one before still spins."""
SIDE = 2048
"""Of the matrices that are multiplied to see how fast it can be."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
NOTHING: dict[str, Any] = {"p10": None, "p50": None, "p95": None}


def measure(presets: Sequence[str], weights: Path | None, rounds: int, threads: int) -> dict[str, Any]:
    """All runtimes of each preset; gives the JSON document.

    Args:
        presets: one after the other; the runtimes of each have their turns.
        weights: networks instead of the shipped ones.
        rounds: frames of each runtime, after `WARM_UP` more; `MOST_S` may end them earlier.
        threads: of PyTorch; OpenVINO has as many as its engine was found to be fastest with.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    peaks = Peaks()
    try:
        found = {preset: _measured(preset, weights, rounds, threads, peaks) for preset in presets}
    finally:
        torch.set_num_threads(before)
    return {
        "presets": found,
        "threads": threads,
        "matmul_gflops": {
            f"{kind} x{count}": round(value, 1) for (kind, count), value in peaks.found.items()
        },
        "machine": machine.describe(),
    }


def _measured(preset: str, weights: Path | None, rounds: int, threads: int, peaks: Peaks) -> dict[str, Any]:
    networks, whose = _networks(preset, weights)
    frames = load_probe().inputs(PRESETS[preset], networks)
    opened: dict[str, Runtime] = {}
    found: dict[str, dict[str, Any]] = {f"{runtime} {precision}": {} for runtime, precision in CANDIDATES}
    for runtime, precision in CANDIDATES:
        name = f"{runtime} {precision}"
        try:
            opened[name] = open_runtime(Wanted(runtime, precision), PRESETS[preset], networks)
        except ModelError as error:
            found[name] = {**NOTHING, "reason": str(error)}
    counts = {name: int(getattr(runs, "threads", threads)) for name, runs in opened.items()}
    for name, runs in opened.items():
        if on_card(runs) is None:
            peaks.look(runs.precision, counts[name])
    took = _in_turns(opened, frames, rounds)
    gmac = multiplications(networks, frames[0]) / 1e9
    for name, runs in opened.items():
        # Once more: it may have been disturbed the first time.
        limit = None if on_card(runs) is not None else peaks.look(runs.precision, counts[name])
        shares = {share: float(np.percentile(took[name], int(share[1:]))) for share in NOTHING}
        gflops = 2 * gmac / shares["p10"] * 1e3
        found[name] = {
            **{share: round(ms, 2) for share, ms in shares.items()},
            "gflops": round(gflops, 1),
            "of_peak": None if limit is None else round(gflops / limit, 3),
            "reason": None,
            "told": runs.told,
        }
    rounds = len(next(iter(took.values()), []))
    return {"weights": whose, "gmac": round(gmac, 3), "rounds": rounds, "runtimes": found}


def _in_turns(
    opened: Mapping[str, Runtime], frames: Sequence[FrameInputs], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of each frame of each runtime."""
    took: dict[str, list[float]] = {name: [] for name in opened}
    begin = time.perf_counter()
    for number in range(WARM_UP + rounds):
        if number >= WARM_UP + LEAST_ROUNDS and time.perf_counter() - begin > MOST_S:
            break
        for name, runs in opened.items():
            time.sleep(REST_S)
            ms = _ms(partial(runs, frames[number % len(frames)]))
            if number >= WARM_UP:
                took[name].append(ms)
    return took


class Peaks:
    """The most GFLOP/s of multiplying matrices, by precision and number of threads; the best of all looks."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], float] = {}

    def look(self, precision: str, threads: int) -> float | None:
        """Multiply some; None of a precision that processors do not multiply in."""
        if (kind := TYPES.get(precision)) is None:
            return None
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            best = max(self.found.get((precision, threads), 0.0), peak(kind))
        finally:
            torch.set_num_threads(before)
        self.found[precision, threads] = best
        return best


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
        "matrices: " + ", ".join(f"{value:.0f} GFLOP/s in {name}" for name, value in peaks.items()),
    ]
    for preset, of_it in document["presets"].items():
        lines += ["", f"{preset} ({of_it['weights']} weights), {of_it['gmac']:.2f} GMAC a frame"]
        lines.append(f"{'[ms]':<18}{'p10':>9}{'p50':>9}{'p95':>9}{'GFLOP/s':>10}{'of peak':>9}")
        for name, found in of_it["runtimes"].items():
            if found["p50"] is None:
                lines.append(f"{name:<18}not measured: {found['reason']}")
                continue
            share = "-" if found["of_peak"] is None else f"{found['of_peak']:.0%}"
            cells = "".join(f"{found[key]:>9.2f}" for key in NOTHING)
            lines.append(f"{name:<18}{cells}{found['gflops']:>10.0f}{share:>9}")
    return "\n".join(lines)


def draw(document: dict[str, Any], path: Path) -> None:
    """The medians as bars, for each preset; what was not measured is left out."""
    presets = document["presets"]
    with plot.drawn(path, len(presets), (5.6, 2.8)) as axes:
        for one, (preset, of_it) in zip(axes, presets.items(), strict=True):
            rows = {name: found for name, found in of_it["runtimes"].items() if found["p50"] is not None}
            labels = [f"{row['p50']:.1f} ms, {row['gflops']:.0f} GFLOP/s" for row in rows.values()]
            middle, most = ([row[share] for row in rows.values()] for share in ("p50", "p95"))
            plot.bars(one, list(rows), middle, most, labels)
            one.set_title(f"{preset}, {of_it['gmac']:.1f} GMAC ({of_it['weights']} weights)", fontsize=10)
            one.set_xlabel("ms a frame: bar p50, line to p95", fontsize=8)
        plot.signed(axes[0], document["machine"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.model",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    count = shared.whole_number_in(1, 10_000)
    parser.add_argument(
        "--preset", choices=[*shared.PRESETS, "tiny"], nargs="+", default=["live"], help="(default: live)"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="networks of a training run")
    parser.add_argument("--rounds", type=count, default=40, metavar="N", help="frames of each (default: 40)")
    parser.add_argument("--threads", type=count, default=2, metavar="N", help="of PyTorch (default: 2)")
    plot.add_option(parser)
    options = parser.parse_args(argv)
    try:
        plot.check(options.plot)
        document = measure(options.preset, options.weights, options.rounds, options.threads)
        if options.plot is not None:
            draw(document, options.plot)
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
