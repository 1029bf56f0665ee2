"""How fast and how late the avatar is: `python -m bench.latency`.

A clip stands in for the camera, in real time, and goes through all that `avatar run` does: tracker,
retargeting, warp, composite. The last line of standard output is one JSON document; `bench/README.md`
explains its figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from bench import machine, plot

if TYPE_CHECKING:
    from avatar.live import Summary
    from avatar.records import Frame

WARM_UP_S = 3.0
"""Runs before the measurement: first frames load code and fill caches."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.latency",
        description="Measure frame rate, age at hand-over, motion lag and stage times of the whole program.",
        formatter_class=shared.HelpFormatter,
    )
    add_rig(parser)
    parser.add_argument(
        "--seconds", type=shared.seconds, default=20.0, metavar="N", help="length (default: %(default)g)"
    )
    parser.add_argument(
        "--unpaced",
        action="store_true",
        help="run the clip as fast as it goes through, every frame: measures throughput, not latency",
    )
    plot.add_option(parser)
    return parser


def add_rig(parser: argparse.ArgumentParser) -> None:
    """The options that say what is measured."""
    parser.add_argument(
        "--source", metavar="FILE", help="video or .motion file (default: a real clip, 640x480 at 30 fps)"
    )
    parser.add_argument(
        "--portrait", type=Path, metavar="PICTURE", help="picture or .avatar file (default: the astronaut)"
    )
    parser.add_argument("--size", type=shared.size, default=shared.DEFAULT_SIZE, metavar="WxH")
    parser.add_argument(
        "--head",
        type=shared.whole_number_in(128, 1024),
        default=shared.DEFAULT_HEAD,
        metavar="PIXELS",
        help="longest side at which the head is drawn (default: %(default)s)",
    )
    parser.add_argument("--fit", choices=shared.FITS, default=shared.FITS[0], help="as of avatar run")
    shared.add_generator(parser)


def measure(arguments: argparse.Namespace, *, warm_up_s: float = WARM_UP_S) -> dict[str, Any]:
    """Warm up, then measure with the same stages; gives the JSON document."""
    from bench.rig import open_rig

    with open_rig(
        source=arguments.source,
        portrait=arguments.portrait,
        size=arguments.size,
        head=arguments.head,
        fit=arguments.fit,
        generator=arguments.generator,
        wanted=shared.wanted_runtime(arguments),
        weights=arguments.weights,
        paced=not arguments.unpaced,
    ) as rig:
        first = FirstFrame()
        rig.run(warm_up_s, lockstep=arguments.unpaced, output=first)
        summary = rig.run(arguments.seconds, lockstep=arguments.unpaced)
        return report(
            summary,
            size=arguments.size,
            head=rig.renderer.head_size,
            generator=rig.generator,
            runtime=rig.renderer.runtime,
            unpaced=arguments.unpaced,
            first_frame_s=first.seconds,
        )


class FirstFrame:
    """An output that keeps nothing but how old the process was when it got its first frame."""

    def __init__(self) -> None:
        self._given = False
        self.seconds: float | None = None
        """None before, and where the system does not tell."""

    def __call__(self, frame: Frame) -> None:
        """Note the first one."""
        if not self._given:
            self._given, self.seconds = True, machine.since_start_s()


def report(
    summary: Summary,
    *,
    size: tuple[int, int],
    head: int,
    generator: str,
    runtime: str | None = None,
    unpaced: bool = False,
    first_frame_s: float | None = None,
) -> dict[str, Any]:
    """The JSON document: what was measured, and on what."""
    found = summary.as_json()
    width, height = size
    return {
        "fps": found["fps"],
        # A clip that nobody paces has no clock that a frame's age could be told by.
        "age_ms": dict.fromkeys(summary.age_ms) if unpaced else summary.age_ms,
        "motion_lag_ms": found["motion_lag_ms"],
        "stages_ms": summary.stages_ms,
        "dropped": summary.dropped_total,
        "repeated": summary.repeated,
        "frames": summary.frames,
        "size": f"{width}x{height}",
        "head": head,
        "generator": generator,
        "runtime": runtime,
        "memory_mb": machine.memory_mb(),
        "first_frame_s": first_frame_s,
        "machine": machine.describe(),
    }


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    age, about = document["age_ms"], document["machine"]
    lines = [
        f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, commit {about['commit']}",
        f"{document['frames']} frames of {document['size']}, head {document['head']}, "
        f"generator {document['generator']} ({document['runtime'] or 'no network'}): "
        f"{document['fps']:.1f} fps, {document['dropped']} dropped, {document['repeated']} repeated",
        "",
        f"{'[ms]':<22}{'p50':>8}{'p95':>8}{'p99':>8}",
        f"{'age at hand-over':<22}" + "".join(_cell(age[share]) for share in ("p50", "p95", "p99")),
        f"{'motion lag':<22}{_cell(document['motion_lag_ms'])}",
        *(
            f"{'  ' + stage:<22}{_cell(values['p50'])}{_cell(values['p95'])}"
            for stage, values in document["stages_ms"].items()
        ),
        "",
        f"first frame {_of(document['first_frame_s'], 's')} after the start of the process; "
        f"memory at most {_of(document['memory_mb'], 'MB')}",
    ]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.1f}"


def _of(value: float | None, unit: str) -> str:
    return "(not told by this system)" if value is None else f"{value:.1f} {unit}"


def draw(document: dict[str, Any], path: Path) -> None:
    """The age and each stage: p50 as bars, lines to p95."""
    stages = {f"  {name}": values for name, values in document["stages_ms"].items()}
    rows = {"age at hand-over": document["age_ms"], **stages}
    known = {name: row for name, row in rows.items() if row["p50"] is not None and row["p95"] is not None}
    with plot.drawn(path, size=(7.2, 3.2)) as (axes,):
        labels = [f"{row['p50']:.1f} / {row['p95']:.1f} ms" for row in known.values()]
        middle, most = ([row[share] for row in known.values()] for share in ("p50", "p95"))
        plot.bars(axes, list(known), middle, most, labels)
        axes.set_title(
            f"{document['generator']}, {document['size']}: {document['fps']:.1f} fps, "
            f"{document['dropped']} of {document['frames'] + document['dropped']} dropped", fontsize=10,
        )  # fmt: skip
        axes.set_xlabel("ms: bar p50, line to p95; stages of different threads overlap", fontsize=8)
        plot.signed(axes, document["machine"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
    arguments = build_parser().parse_args(argv)
    try:
        plot.check(arguments.plot)
        document = measure(arguments)
        if arguments.plot is not None:
            draw(document, arguments.plot)
    except (AvatarError, OSError) as error:
        print(f"bench.latency: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(table(document))
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
