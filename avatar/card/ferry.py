"""What goes to the card and comes back: a frame takes one copy each way."""

from __future__ import annotations

from typing import Any, NewType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatar.records import U8

Ticket = NewType("Ticket", int)
"""What `Parcel.add` gives for an array, and `Ferry.up` takes back."""

_ALIGNED = 16
"""Arrays begin at multiples of so many bytes, whatever their dtype."""
_TORCH = {np.dtype(np.uint8): torch.uint8, np.dtype(np.float32): torch.float32}


class Parcel:
    """Arrays that are to go up together: uint8 or float32, of any shape."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self.places: list[int] = []
        """Where each begins, bytes."""
        self.size = 0

    def add(self, array: NDArray[Any]) -> Ticket:
        """Put one more in; it must not be changed before it has gone up."""
        self.arrays.append(array)
        self.places.append(self.size)
        self.size += -(-array.nbytes // _ALIGNED) * _ALIGNED
        return Ticket(len(self.arrays) - 1)


class Landed:
    """The arrays of a parcel as tensors on the device."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, ticket: Ticket) -> Tensor:
        return self._tensors[ticket]


class Ferry:
    """One pinned buffer for the way up and one for the way down.

    Args:
        device: where to; on a processor it copies all the same.
        size: (width, height) of the frames that come down.
    """

    def __init__(self, device: torch.device, size: tuple[int, int]) -> None:
        self._device = device
        self._up = self._host(0)
        self._there = torch.empty(0, dtype=torch.uint8, device=device)
        self._down = self._host(size[1] * size[0] * 3).view(size[1], size[0], 3)
        self._frame = self._down.numpy()
        self._bytes = self._up.numpy()

    def up(self, parcel: Parcel) -> Landed:
        """Take a parcel to the device, on the stream that is current.

        What came before it is overwritten: the frame that was made of it has come down.
        """
        if len(self._bytes) < parcel.size:
            self._up = self._host(2 * parcel.size)
            self._there = torch.empty_like(self._up, device=self._device)
            self._bytes = self._up.numpy()
        for array, place in zip(parcel.arrays, parcel.places, strict=True):
            room = self._bytes[place : place + array.nbytes].view(array.dtype)
            room.reshape(array.shape)[...] = array
        self._there[: parcel.size].copy_(self._up[: parcel.size], non_blocking=True)
        return Landed(
            [
                self._there[place : place + array.nbytes].view(_TORCH[array.dtype]).view(array.shape)
                for array, place in zip(parcel.arrays, parcel.places, strict=True)
            ]
        )

    def down(self, frame: Tensor) -> U8:
        """Wait for a frame (H, W, 3) uint8, and take it from the device into an array of its own."""
        self._down.copy_(frame, non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.current_stream(self._device).synchronize()
        return self._frame.copy()

    def _host(self, size: int) -> Tensor:
        return torch.empty(size, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
