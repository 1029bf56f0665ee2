"""The canvas on the device, and the head mixed into it: the same as `composite.Compositor`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avatar.composite import Compositor


class Canvas:
    """What stands still.

    Args:
        composite: the stage whose work this does.
        side: side S of the portraits, pixels.
        device: where it is to lie.
    """

    def __init__(self, composite: Compositor, side: int, device: torch.device) -> None:
        self._still = torch.from_numpy(np.array(composite.canvas)).to(device)
        part, rest, weight = composite.mixing()
        left, top = composite.placement.head.left, composite.placement.head.top
        self._rows, self._columns = slice(part.top, part.bottom), slice(part.left, part.right)
        self._rest, self._weight = (torch.from_numpy(each).to(device) for each in (rest, weight))
        resizing = torch.from_numpy(composite.resizing(side)).to(device)
        # Only the part of the head that is seen is made.
        self._down = resizing[part.top - top : part.bottom - top]
        self._across = resizing[part.left - left : part.right - left].T.contiguous()

    def __call__(self, portrait: Tensor) -> Tensor:
        """A frame (H, W, 3) uint8 of a portrait (1, 3, S, S), 0..255."""
        head = self._down @ portrait[0] @ self._across
        frame = self._still.clone()
        mixed = torch.addcmul(self._rest, self._weight, head.permute(1, 2, 0))
        frame[self._rows, self._columns] = mixed.clamp(0, 255).to(torch.uint8)
        return frame
