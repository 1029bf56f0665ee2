"""Samples as tensors, a batch at a time, in any process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from avatar.model.expression import DriverLook
from avatar.train.data.samples import Sample, SampleOptions, Samples


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples; pictures are float32, 0..1, channels first. What each is stands in `samples.Sample`."""

    warps: Tensor
    """(B, 2, 5, R, R)."""
    drawing: Tensor
    target: Tensor
    """(B, 3, R, R)."""
    matte: Tensor
    """(B, 1, R, R)."""
    weight: Tensor
    """(B, 1, R, R)."""
    references: Tensor
    """(B, K, 4 + D, r, r)."""
    valid: Tensor
    """(B, K)."""
    boxes: Tensor
    """(B, 3, 3)."""
    points: Tensor
    """(B, 478, 2)."""
    close_ups: Tensor
    """(B, 3, CLOSE_UP, CLOSE_UP)."""
    trust: Tensor
    """(B,)."""
    clip: Tensor
    """(B,) int64."""
    place: Tensor
    """(2,), 0..1: where the piece lies that losses look at, x and y, in parts of the room there is."""

    @property
    def look(self) -> DriverLook:
        """What is seen of the driver."""
        return DriverLook(self.close_ups, self.boxes, self.trust)


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """B samples as they go from process to process and to the device, a quarter as large."""

    arrays: dict[str, Tensor]
    """By the names of `Batch`. uint8 are `warps` (B, 2, R, R, 5), `drawing` (B, R, R, D), `target`
    (B, R, R, 4), with the matte behind the colours, `weight` (B, R, R, 1), `references` (B, K, r, r, 4 + D)
    and `close_ups` (B, 3, C, C); the others are as there."""

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, its pictures float32, 0..1, channels first."""
        moved = {name: array.to(device) for name, array in self.arrays.items()}
        colours, matte = torch.split(moved.pop("target"), [3, 1], dim=-1)
        moved |= {"target": colours, "matte": matte}
        pictures = {name: _unpacked(moved.pop(name)) for name in _PICTURES}
        close_ups = moved.pop("close_ups").float().div_(255)
        return Batch(**moved, **pictures, close_ups=close_ups)


_PICTURES = ("warps", "drawing", "target", "matte", "weight", "references")
"""Those whose channels are last in a packed batch."""


def pack(samples: Sequence[Sample], number: int = 0) -> PackedBatch:
    """One batch of `samples`, the first of that number."""
    count = max(sample.count for sample in samples)  # what no sample has need not be embedded
    places = torch.arange(count)

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))

    arrays = {name: stacked(name) for name in ("warps", "drawing", "target", "boxes", "points", "close_ups")}
    arrays |= {
        "weight": stacked("weight")[..., None],
        "references": torch.from_numpy(np.stack([sample.references[:count] for sample in samples])),
        "valid": torch.stack([(places < sample.count).float() for sample in samples]),
        "trust": torch.tensor([sample.trust for sample in samples]),
        "clip": torch.tensor([sample.clip for sample in samples]),
        "place": torch.from_numpy(np.random.default_rng(number).random(2, np.float32)),
    }
    return PackedBatch(arrays)


def collate(samples: Sequence[Sample], number: int = 0) -> Batch:
    """One batch of `samples`, the first of that number, on the processor."""
    return pack(samples, number).to(torch.device("cpu"))


def _unpacked(pictures: Tensor) -> Tensor:
    """(..., H, W, C) uint8 to (..., C, H, W), 0..1."""
    return pictures.movedim(-1, -3).float().div_(255).contiguous()


class _Batches(Dataset[PackedBatch]):
    """Batches by number. The samples are opened in the process that makes them."""

    def __init__(self, files: Sequence[Path], options: SampleOptions, seed: int, size: int) -> None:
        self._made = (files, options, seed)
        self._size = size
        self._samples: Samples | None = None

    def __getitem__(self, number: int) -> PackedBatch:
        if self._samples is None:
            cv2.setNumThreads(1)
            helpers = get_worker_info()
            self._samples = Samples(*self._made, sharing=1 if helpers is None else helpers.num_workers)
        first = number * self._size
        return pack([self._samples[first + i] for i in range(self._size)], first)


class _Onwards(Sampler[int]):
    """`first`, `first` + `step`, ... without end."""

    def __init__(self, first: int, step: int) -> None:
        self._first, self._step = first, step

    def __iter__(self) -> Iterator[int]:
        number = self._first
        while True:
            yield number
            number += self._step


def batches(
    files: Sequence[Path],
    options: SampleOptions,
    *,
    seed: int,
    size: int,
    first: int = 0,
    step: int = 1,
    workers: int = 1,
) -> Iterator[PackedBatch]:
    """Batch `first`, `first` + `step`, ...: the same for the same numbers, however many workers make them.

    Args:
        files: of the cache.
        options: of the samples.
        seed: of the drawing.
        size: samples of a batch.
        first: number of the first one; one process of several starts with its rank,
        step: and takes each so many-th.
        workers: processes that make them beside this one; 0: this one does.
    """
    loader = DataLoader(
        _Batches(files, options, seed, size),
        batch_size=None,
        sampler=_Onwards(first, step),
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)
