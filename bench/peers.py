"""How long a frame takes others: `python -m bench.peers --fomm DIR --liveportrait DIR --bilayer DIR`.

The networks of other programs, from their own checkouts and with random weights, against `live` on the same
machine in the same run: the part that is done for every frame. Ours is the whole driven frame, from the
picture of the camera to the finished one: tracker, retargeting, warp, network, composite; as it is by default
(head 512 on 1280x720), and at the 256 pixels of FOMM and bi-layer (LivePortrait makes 512). The last line of
standard output is one JSON document; `bench/README.md` says what is in the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar.capture import VideoFile
from avatar.cli import arguments as shared
from avatar.demo import demo_portrait
from avatar.errors import AvatarError
from avatar.pipeline import Renderer, enroll_picture
from avatar.retarget import Retargeter
from avatar.runtime import Wanted
from avatar.tools.close_ups import observed
from avatar.track import FaceTracker
from avatar.weights import resolve
from bench import machine, plot
from bench.peer_networks import PEERS
from bench.rig import open_clip

WARM_UP = 20
FRAMES = 90
"""Of ours that are measured, before the others and after them."""
SHARES = ("p10", "p50", "p95")
SIZES = {"live": (512, (1280, 720)), "live at 256": (256, (568, 568))}
"""Side of the head, 2.1 heights of the face, and a canvas on which it is so big: the most that is drawn by
default, and the size that most of the others have, which make such a head and nothing else."""


NAMES = {"fomm": "First Order Motion Model", "liveportrait": "LivePortrait", "bilayer": "bi-layer model"}


def ours(wanted: Wanted, head: int, canvas: tuple[int, int]) -> list[float]:
    """Milliseconds of each driven frame, one after the other.

    Args:
        wanted: what runs the network.
        head: side of the head [px].
        canvas: (width, height) of the picture around it.
    """
    identity = enroll_picture(demo_portrait(), name="astronaut")
    renderer = Renderer(identity, head_size=head, size=canvas, mode="fill", wanted=wanted)
    retarget = Retargeter(identity)
    took = []
    with (
        contextlib.closing(open_clip(resolve("carphone_clip"), paced=False)) as clip,
        FaceTracker() as track,
    ):
        for number in range(WARM_UP + FRAMES):
            frame = _next(clip)
            begin = time.perf_counter()
            renderer(retarget(observed(track(frame), frame)), frame.index, frame.captured_ns)
            if number >= WARM_UP:
                took.append((time.perf_counter() - begin) * 1e3)
    return took


def _next(clip: VideoFile) -> Any:
    frame = clip()
    if frame is None:
        raise AvatarError("the clip has come to its end")
    return frame


def theirs(
    name: str, checkout: Path | None, rounds: int, threads: int, fan: Path | None = None
) -> dict[str, Any]:
    """What `bench.peer_networks` says of one of them, or why it says nothing."""
    if checkout is None:
        return {"frames": {}, "reason": f"--{name} was not given"}
    command = [sys.executable, "-m", "bench.peer_networks", name, str(checkout.resolve())]
    command += ["--rounds", str(rounds), "--threads", str(threads)]
    command += ["--fan", str(fan.resolve())] if fan is not None else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        frames: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return {"frames": frames, "reason": None, "commit": machine.commit(checkout)}
    except (IndexError, ValueError):
        why = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
        return {"frames": {}, "reason": f"{checkout}: {why.strip()}"}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All of them, ours before and after; gives the JSON document."""
    wanted = shared.wanted_runtime(options)
    before = {name: ours(wanted, *size) for name, size in SIZES.items()}
    peers = {
        name: theirs(name, getattr(options, name), options.rounds, options.threads, options.fan)
        for name in PEERS
    }
    after = {name: ours(wanted, *size) for name, size in SIZES.items()}
    own = {
        name: {
            **_percentiles(before[name] + after[name]),
            "before": _percentiles(before[name])["p50"],
            "after": _percentiles(after[name])["p50"],
        }
        for name in SIZES
    }
    for found in peers.values():
        for frame in found["frames"].values():
            frame["times"] = {name: round(frame["p50"] / own[name]["p50"], 1) for name in SIZES}
    return {**own, **peers, "machine": machine.describe()}


def _percentiles(took: Sequence[float]) -> dict[str, float]:
    return {share: round(float(np.percentile(took, int(share[1:]))), 2) for share in SHARES}


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    lines = [f"{'':<34}{'ms a frame':>12}" + "".join(f"{f'times {name}':>18}" for name in SIZES)]
    lines += [f"{name:<34}{document[name]['p50']:>12.1f}" for name in SIZES]
    for name in PEERS:
        found = document[name]
        if found["reason"] is not None:
            lines.append(f"{name:<34}{'-':>12}  {found['reason']}")
        for what, frame in found["frames"].items():
            times = "".join(f"{each:>18.1f}" for each in frame["times"].values())
            lines.append(f"{f'{name}, {what}':<34}{frame['p50']:>12.1f}{times}")
    return "\n".join(lines)


def draw(document: dict[str, Any], path: Path) -> None:
    """The medians on a logarithmic scale; who was not measured is left out."""
    rows = {f"livehead, {name}": document[name] for name in SIZES}
    for name, whose in NAMES.items():
        rows |= {f"{whose}, {what}": frame for what, frame in document[name]["frames"].items()}
    with plot.drawn(path, size=(7.2, 3.0)) as (axes,):
        axes.set_xscale("log")
        first = document[next(iter(SIZES))]["p50"]
        labels = [f"{row['p50']:.0f} ms, {row['p50'] / first:.1f} x" for row in rows.values()]
        middle, most = ([row[share] for row in rows.values()] for share in ("p50", "p95"))
        plot.bars(axes, list(rows), middle, most, labels)
        axes.set_xlabel("ms a frame: dot p50, line to p95; livehead: the whole frame, others: networks alone",
                        fontsize=8)  # fmt: skip
        plot.signed(axes, document["machine"])


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    for name, what in NAMES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"checkout of {what}")
    parser.add_argument("--fan", type=Path, metavar="DIR",
                        help="face-alignment 1.1.1, unpacked: the tracker of bi-layer")  # fmt: skip
    count = shared.whole_number_in(1, 1000)
    parser.add_argument("--rounds", type=count, default=8, metavar="N", help="frames of each (default: 8)")
    parser.add_argument("--threads", type=count, default=2, metavar="N", help="of theirs (default: 2)")
    shared.add_runtime(parser)
    plot.add_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
    options = build_parser().parse_args(argv)
    try:
        plot.check(options.plot)
        document = measure(options)
        if options.plot is not None:
            draw(document, options.plot)
    except (AvatarError, OSError) as error:
        print(f"bench.peers: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(table(document))
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
