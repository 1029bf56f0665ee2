"""What `bench.quality` found, as a document, a table for people and a line for each clip."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatar.records import U8
from bench import cross_driving, scores

WIDTH = 15
"""Of a column for people."""
METHODS = ("model", "finetuned", "warp_only", "copy")


@dataclass(slots=True)
class Row:
    """What one method did with one clip, or with one picture driven by it."""

    clip: str
    person: str
    method: str
    figures: dict[str, float | None]
    frames: int = 0
    unseen: int = 0
    """Real pictures without a face that is found."""
    akd_floor: float | None = None
    """See `scores.Judged`."""
    picture: str = ""
    """What was driven, if it is another person's."""


@dataclass(slots=True)
class Found:
    """All that was measured."""

    rows: list[Row] = field(default_factory=list)
    cross: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a clip or picture was left out."""
    strips: list[U8] = field(default_factory=list)
    seconds: float = 0.0


def report(found: Found) -> dict[str, Any]:
    """The measured part of the JSON document."""
    return {
        "clips": len({row.clip for row in found.rows}),
        "people": len({row.person for row in found.rows}),
        "skipped": found.skipped,
        **{method: _mean(found.rows, method, scores.NAMES) for method in METHODS},
        "runtimes": {
            method: _mean(found.rows, method, scores.NAMES)
            for method in dict.fromkeys(row.method for row in found.rows)
            if method not in METHODS
        },
        **scores.over_people(
            [(row.person, {"akd_floor": row.akd_floor}) for row in found.rows], ["akd_floor"]
        ),
        "cross": {
            "pictures": len({row.picture for row in found.cross}),
            **{method: _mean(found.cross, method, cross_driving.NAMES) for method in METHODS},
        }
        if found.cross
        else None,
        "seconds": round(found.seconds, 1),
    }


def _mean(rows: Sequence[Row], method: str, names: Sequence[str]) -> dict[str, float | int | None] | None:
    own = [(row.person, row.figures) for row in rows if row.method == method]
    return scores.over_people(own, names) if own else None


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a line per row, empty where a figure is not known or not of that kind.

    Raises:
        OSError: the place cannot be written.
    """
    names = [*scores.NAMES, *(name for name in cross_driving.NAMES if name not in scores.NAMES)]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["clip", "person", "picture", "method", "frames", "unseen", "akd_floor", *names])
        for row in rows:
            figures = [row.akd_floor, *(row.figures.get(name) for name in names)]
            told = ["" if value is None else f"{value:.6g}" for value in figures]
            table.writerow([row.clip, row.person, row.picture, row.method, row.frames, row.unseen, *told])


def table(document: Mapping[str, Any]) -> str:
    """The means for people: a column for each method."""
    shown = [name for name in METHODS if document[name] is not None]
    means = {name: document[name] for name in shown} | document["runtimes"]
    lines = [f"{document['clips']} clips of {document['people']} people, {document['shots']} shot(s)"]
    lines += ["", f"{'':<18}" + "".join(f"{name:>{WIDTH}}" for name in means)]
    lines += [
        f"{figure:<18}" + "".join(_cell(mean[figure]) for mean in means.values()) for figure in scores.NAMES
    ]
    lines += [f"{'floor of akd':<18}{_cell(document['akd_floor'])}"]
    if (cross := document["cross"]) is not None:
        lines += ["", f"driving {cross['pictures']} other pictures"]
        lines += [
            f"{figure:<18}" + "".join(_cell(cross[name][figure]) for name in shown)
            for figure in cross_driving.NAMES
        ]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return f"{'-':>{WIDTH}}" if value is None else f"{value:{WIDTH}.4f}"
