"""Whether anything grows while the program runs on and on: `python -m bench.soak [--minutes 10]`.

Prints a row per interval and a verdict; the last line of standard output is one JSON document. Exit status 1
when memory, latency, threads or open files grew beyond the bounds below.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from avatar.tools import clock
from avatar.tools.stats import NS_PER_MS, percentile
from bench import machine
from bench.latency import WARM_UP_S, add_rig

if TYPE_CHECKING:
    from avatar.records import Frame

MAX_MEMORY_MIB = 24.0
"""Growth of resident memory from the first third of the rows to the last one."""
MAX_AGE_MS = 8.0
"""Growth of the median age, likewise: a quarter of a frame."""
MAX_FPS_LOSS = 0.5
LEAST_ROWS = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One interval of the run."""

    minute: float
    fps: float
    age_p50_ms: float | None
    rss_mib: float | None
    threads: int
    files: int | None


class Sampler:
    """Stands in for the output: takes the age of each frame, and a row at the end of each interval."""

    def __init__(self, every_s: float) -> None:
        self.rows: list[Row] = []
        self._every_ns = round(every_s * 1e9)
        self._start_ns = self._row_ns = clock.now_ns()
        self._ages: list[float] = []

    def __call__(self, frame: Frame) -> None:
        """Note one frame."""
        now = clock.now_ns()
        self._ages.append((now - frame.captured_ns) / NS_PER_MS)
        if now - self._row_ns >= self._every_ns:
            self._take_row(now)

    def _take_row(self, now: int) -> None:
        row = Row(
            minute=round((now - self._start_ns) / 60e9, 2),
            fps=round(len(self._ages) / ((now - self._row_ns) / 1e9), 2),
            age_p50_ms=round(percentile(self._ages, 50), 2),
            rss_mib=rss_mib(),
            threads=threads(),
            files=open_files(),
        )
        self.rows.append(row)
        print(as_line(row), flush=True)
        self._row_ns, self._ages = now, []


HEAD = f"{'minute':>8}{'fps':>8}{'age p50':>9}{'RSS MiB':>9}{'threads':>9}{'files':>7}"


def as_line(row: Row) -> str:
    """The row for people."""
    cells = (row.minute, row.fps, row.age_p50_ms, row.rss_mib, row.threads, row.files)
    widths = (8, 8, 9, 9, 9, 7)
    return "".join(
        f"{'-' if cell is None else cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )


def rss_mib() -> float | None:
    """Resident memory [MiB] now; None where the system does not tell."""
    kib = _proc_status("VmRSS")
    return None if kib is None else round(kib / 1024, 1)


def threads() -> int:
    """Threads of the process, those of the libraries included where the system tells them."""
    return _proc_status("Threads") or threading.active_count()


def open_files() -> int | None:
    """Open file descriptors; None where the system does not tell."""
    for folder in (Path("/proc/self/fd"), Path("/dev/fd")):
        if folder.is_dir():
            return sum(1 for _ in folder.iterdir())
    return None


def _proc_status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), None)


def growth(rows: Sequence[Row], settling: int = 0) -> dict[str, float]:
    """By how much each figure's median rose from the first third of the rows to the last one.

    The age has so many rows to settle, which are left out of its thirds.
    """
    found: dict[str, float] = {}
    for name in ("rss_mib", "age_p50_ms", "threads", "files", "fps"):
        looked_at = rows[settling:] if name == "age_p50_ms" else rows
        third = max(1, len(looked_at) // 3)
        early = [value for row in looked_at[:third] if (value := getattr(row, name)) is not None]
        late = [value for row in looked_at[-third:] if (value := getattr(row, name)) is not None]
        if early and late:
            found[name] = round(median(late) - median(early), 2)
    return found


def complaints(rows: Sequence[Row], settling: int = 0) -> list[str]:
    """What grew too much, a line each; none when the soak is passed. `settling` is as of `growth`."""
    if len(rows) < LEAST_ROWS:
        return [f"only {len(rows)} rows: too short to tell"]
    grown = growth(rows, settling)
    found = []
    if grown.get("rss_mib", 0) > MAX_MEMORY_MIB:
        found.append(f"memory grew by {grown['rss_mib']} MiB, {MAX_MEMORY_MIB:g} are allowed")
    if grown.get("age_p50_ms", 0) > MAX_AGE_MS:
        found.append(f"the median age grew by {grown['age_p50_ms']} ms, {MAX_AGE_MS:g} are allowed")
    if grown.get("fps", 0) < -MAX_FPS_LOSS:
        found.append(f"the frame rate fell by {-grown['fps']} fps, {MAX_FPS_LOSS:g} are allowed")
    third = max(1, len(rows) // 3)
    for name in ("threads", "files"):
        counts = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        # Some live for moments only, and are there in this row or that one: what grows passes all before.
        if counts and (late := median(counts[-third:])) > (before := max(counts[:third])):
            found.append(f"{name} grew from at most {before} to {late:g}, none may")
    return found


def soak(arguments: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """Warm up, run for so many minutes, give the rows and the summary of the run."""
    from bench.rig import open_rig

    seconds = 60 * arguments.minutes
    with open_rig(
        source=arguments.source,
        portrait=arguments.portrait,
        size=arguments.size,
        head=arguments.head,
        fit=arguments.fit,
        generator=arguments.generator,
        wanted=shared.wanted_runtime(arguments),
        weights=arguments.weights,
    ) as rig:
        rig.run(WARM_UP_S)
        print(HEAD, flush=True)
        sampler = Sampler(min(60.0, seconds / 6))
        summary = rig.run(seconds, output=sampler)
    return sampler.rows, summary.as_json()


def main(argv: Sequence[str] | None = None) -> int:
    """Soak and print; 0 passed, 1 something grew or failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak",
        description="Run for minutes and see whether memory, latency, threads or open files grow.",
        formatter_class=shared.HelpFormatter,
    )
    add_rig(parser)
    parser.add_argument(
        "--minutes",
        type=shared.number_in(0.05, 1440),
        default=10.0,
        metavar="N",
        help="length (default: %(default)g)",
    )
    arguments = parser.parse_args(argv)
    try:
        rows, summary = soak(arguments)
    except (AvatarError, OSError) as error:
        print(f"bench.soak: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    wrong = complaints(rows)
    print("passed: nothing grew" if not wrong else "failed: " + "; ".join(wrong))
    document = {
        "passed": not wrong,
        "complaints": wrong,
        "growth": growth(rows) if rows else {},
        "rows": [asdict(row) for row in rows],
        "summary": summary,
        "machine": machine.describe(),
    }
    print(json.dumps(document))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
