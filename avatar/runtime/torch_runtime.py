"""The plain network in PyTorch: what every other runtime is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from avatar.errors import ModelError
from avatar.model.precision import bf16_is_fast
from avatar.runtime.frame import FrameInputs, FrameMaps, FrameNetwork


class TorchRuntime:
    """Eager PyTorch on the processor.

    Args:
        generator: in evaluation mode.
        precision: "fp32" or "bf16"; None: bf16 if the processor has instructions for it.

    Raises:
        ModelError: another precision.
    """

    name = "torch"

    def __init__(self, generator: nn.Module, precision: str | None = None) -> None:
        self.precision = precision or ("bf16" if bf16_is_fast("cpu") else "fp32")
        if self.precision not in ("fp32", "bf16"):
            raise ModelError(f"the runtime torch has no {self.precision}; choose fp32 or bf16")
        self.told = f"plain PyTorch, {self.precision}"
        self.device = torch.device("cpu")
        self.stream = None
        self._network = FrameNetwork(generator)

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window."""
        tensors = {name: torch.from_numpy(array) for name, array in inputs.arrays().items()}
        return FrameMaps(*(each[0].contiguous().numpy() for each in self.draw(tensors)))

    def draw(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """The same of tensors, as `TensorNetwork`."""
        bf16 = self.precision == "bf16"
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            maps: Sequence[Tensor] = self._network(**inputs)
        return maps
