"""Several processes that train together, as `torchrun` starts them; alone if it did not.

Each takes every so many-th batch; gradients are averaged, so that all hold the same networks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor, distributed, nn


class Processes:
    """This process among those that train together."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    @property
    def device(self) -> torch.device:
        """Where this one works."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and says things."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes."""
        if self.count == 1:
            return
        for parameter in parameters:
            # One without a gradient here may have one there: all must send the same.
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            distributed.all_reduce(gradient)
            parameter.grad = gradient / self.count

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give the first process' values to all, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def close(self) -> None:
        """Let the others go."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
