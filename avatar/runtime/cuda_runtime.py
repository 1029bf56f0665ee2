"""The plain network on an NVIDIA card, for which a PyTorch with CUDA is enough."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avatar.runtime.card_runtime import CardRuntime
from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameNetwork, halved

PRECISIONS = ("fp16", "fp32")
"""The fastest first."""
_flags = threading.Lock()
"""What cuDNN is told holds for all threads."""


def halves_are_fast() -> bool:
    """Whether the card is of the first generation with matrix units for half precision (Volta), or later."""
    return torch.cuda.get_device_capability() >= (7, 0)


class CudaRuntime(CardRuntime):
    """PyTorch on the card.

    Args:
        generator: in evaluation mode; a copy of it goes there.
        still: inputs of the right shapes.
        precision: one of `PRECISIONS`.
    """

    def __init__(self, generator: nn.Module, still: FrameInputs, precision: str) -> None:
        drawn_by = halved(generator) if precision == "fp16" else copy.deepcopy(generator)
        network = FrameNetwork(drawn_by).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        on_card: FrameNetwork = network.cuda()
        inputs = still.arrays()

        def prepare(card: Mapping[str, Tensor], _: Any) -> Callable[[], None]:
            def work() -> None:
                # The fastest of all ways to convolve, but no TF32: float32 is asked for.
                fast = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
                with _flags, torch.inference_mode(), fast:
                    maps = on_card(**{name: card[name] for name in inputs})
                    for name, made in zip(OUTPUTS, maps, strict=True):
                        card[name].copy_(made)

            return work

        side = still.best.shape[0]
        half = side // 2
        shapes = ((1, 2, half, half), (1, side, side), (1, 3, side, side), (1, side, side))
        blank = {name: np.zeros(shape, np.float32) for name, shape in zip(OUTPUTS, shapes, strict=True)}
        told = f"PyTorch {torch.__version__}, {precision}, on {torch.cuda.get_device_name()}"
        super().__init__("cuda", precision, told, {**inputs, **blank}, prepare)
