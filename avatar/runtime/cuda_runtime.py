"""The plain network on an NVIDIA card, for which PyTorch is enough."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from avatar.errors import ModelError
from avatar.runtime.card_runtime import CardRuntime
from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameNetwork, halved

PRECISIONS = ("fp16", "fp32")
"""The fastest first."""


class CudaRuntime(CardRuntime):
    """PyTorch on the card.

    Args:
        generator: in evaluation mode; a copy of it goes there.
        still: inputs of the right shapes.
        precision: one of `PRECISIONS`; None: the fastest.

    Raises:
        ModelError: another precision.
    """

    name = "cuda"

    def __init__(self, generator: nn.Module, still: FrameInputs, precision: str | None = None) -> None:
        self.precision = precision or PRECISIONS[0]
        if self.precision not in PRECISIONS:
            raise ModelError(f"the runtime cuda has no {self.precision}; choose {' or '.join(PRECISIONS)}")
        card, version = torch.cuda.get_device_name(), torch.__version__
        self.told = f"PyTorch {version}, {self.precision}, on {card}"
        drawn_by = halved(generator) if self.precision == "fp16" else copy.deepcopy(generator)
        network = FrameNetwork(drawn_by).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network: FrameNetwork = network.cuda()
        inputs = {name: torch.from_numpy(array).cuda() for name, array in still.arrays().items()}
        with self._exactly():
            maps = self._network(**inputs)
        made = {name: each.cpu().numpy() for name, each in zip(OUTPUTS, maps, strict=True)}
        super().__init__({**still.arrays(), **made})
        self._graph = self._recorded(self._once)

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        """The fastest ways to convolve that there are, but no float32 numbers cut to 19 bits."""
        fast = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.inference_mode(), fast:
            yield

    def _run(self) -> None:
        with self._exactly():
            maps = self._network(**{name: self._card[name] for name in self._inputs})
            for name, each in zip(OUTPUTS, maps, strict=True):
                self._card[name].copy_(each)
