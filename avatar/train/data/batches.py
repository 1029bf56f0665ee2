"""Samples as tensors, a batch at a time, in any process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from avatar.model.expression import DriverLook
from avatar.records import U8
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
    number: int = 0
    """Of its first sample."""

    @property
    def look(self) -> DriverLook:
        """What is seen of the driver."""
        return DriverLook(self.close_ups, self.boxes, self.trust)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        if self.target.device == device:
            return self
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        moved = {name: x.to(device, non_blocking=True) for name, x in fields.items() if name != "number"}
        return Batch(**moved, number=self.number)


def collate(samples: Sequence[Sample], number: int = 0) -> Batch:
    """One batch of `samples`, the first of that number."""
    count = max(sample.count for sample in samples)  # what no sample has need not be embedded
    targets = _pictures([sample.target for sample in samples])
    places = torch.arange(count)
    return Batch(
        warps=_pictures([sample.warps for sample in samples]),
        drawing=_pictures([sample.drawing for sample in samples]),
        target=targets[:, :3].contiguous(),
        matte=targets[:, 3:].contiguous(),
        weight=_pictures([sample.weight[..., None] for sample in samples]),
        references=_pictures([sample.references[:count] for sample in samples]),
        valid=torch.stack([(places < sample.count).float() for sample in samples]),
        boxes=torch.from_numpy(np.stack([sample.boxes for sample in samples])),
        points=torch.from_numpy(np.stack([sample.points for sample in samples])),
        close_ups=torch.from_numpy(np.stack([sample.close_ups for sample in samples])).float().div_(255),
        trust=torch.tensor([sample.trust for sample in samples]),
        clip=torch.tensor([sample.clip for sample in samples]),
        number=number,
    )


def _pictures(arrays: Sequence[U8]) -> Tensor:
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked.movedim(-1, -3).float().div_(255).contiguous()


class _Batches(Dataset[Batch]):
    """Batches by number. The samples are opened in the process that makes them."""

    def __init__(self, files: Sequence[Path], options: SampleOptions, seed: int, size: int) -> None:
        self._made = (files, options, seed)
        self._size = size
        self._samples: Samples | None = None

    def __getitem__(self, number: int) -> Batch:
        if self._samples is None:
            cv2.setNumThreads(1)
            self._samples = Samples(*self._made)
        first = number * self._size
        return collate([self._samples[first + i] for i in range(self._size)], first)


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
) -> Iterator[Batch]:
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
