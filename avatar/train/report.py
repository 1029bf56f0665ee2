"""How a run goes: lines of figures, and held-back people to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from avatar.tools import clock
from avatar.tools.tensor_file import replace_file
from avatar.train import losses
from avatar.train.data.batches import Batch, batches
from avatar.train.data.samples import SampleOptions
from avatar.train.networks import TrainedTogether
from avatar.train.sheet import contact_sheet
from avatar.train.step import Made, make

LOOKED_AT = 8
"""Batches of held-back samples,"""
ON_SHEET = 3
"""and how many of these are drawn."""


class Meter:
    """Means over the samples since the last line."""

    def __init__(self) -> None:
        self._start_ns = clock.now_ns()
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, list[Tensor]] = {}
        self._samples = 0

    def add(self, figures: dict[str, Tensor], samples: int) -> None:
        """Take in a batch of so many; figures become numbers in `line`, so that no card is waited for."""
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(value)
        self._samples += samples

    def line(self, seen: int) -> dict[str, float]:
        """The means, the samples seen and samples a second; the next line begins anew."""
        now = clock.now_ns()
        figures = {name: round(float(torch.stack(values).mean()), 5) for name, values in self._sums.items()}
        speed = self._samples / ((now - self._start_ns) / 1e9)
        self._start_ns = now
        self._clear()
        return {"samples": seen, "per_second": round(speed, 2), **figures}


@torch.no_grad()
def errors(batch: Batch, made: Made) -> dict[str, Tensor]:
    """Mean absolute error (0..255) of the person and of mouth and eyes, of the networks and of the warp."""
    cover = batch.matte * batch.weight
    boxes = cover * losses.box_mask(batch.boxes, batch.target.shape[-1])
    found = {}
    for name, picture in (("made", made.person), ("warp", batch.warps[:, 0, :3])):
        off = (picture - batch.target).abs().mean(dim=1, keepdim=True) * 255
        found[f"person_{name}"] = (off * cover).sum() / cover.sum()
        found[f"boxes_{name}"] = (off * boxes).sum() / boxes.sum()
    return found


def held_back_batches(files: Sequence[Path], options: SampleOptions, device: torch.device) -> list[Batch]:
    """The samples of held-back clips that are looked at, always the same."""
    if not files:
        return []
    plain = SampleOptions(options.size, options.views, options.reference_size, options.style, augment=False)
    stream = batches(files, plain, seed=1, size=8, workers=0)
    return [next(stream).to(device) for _ in range(LOOKED_AT)]


@torch.no_grad()
def look(nets: TrainedTogether, looked_at: Sequence[Batch], path: Path) -> dict[str, float]:
    """Make the held-back samples with the average: a contact sheet, and the mean errors."""
    sums: dict[str, float] = {}
    rows = []
    for batch in looked_at:
        made = make(nets, batch, average=True)
        for name, value in errors(batch, made).items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(looked_at)
        rows.append((batch, made.person, made.drawn.keep, made.drawn.alpha))
    contact_sheet(path, rows[:ON_SHEET])
    return {f"held_back_{name}": round(value, 4) for name, value in sums.items()}


def append_line(path: Path, figures: dict[str, float]) -> str:
    """Add a line of JSON to a file; returns it."""
    line = json.dumps(figures)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    return line


def cut_lines(path: Path, seen: int) -> None:
    """Take the lines out of a file that lie after so many samples: they will be written again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["samples"] <= seen]
        replace_file(path, "".join(kept).encode())
