"""Several processes that train together, as `torchrun` starts them; alone if it did not.

Each takes every so many-th batch; gradients are averaged, so that all hold the same networks. All must see
the same folders. With CUDA each has a card of its own; by us it has been run with one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType

import torch
from torch import Tensor, distributed, nn

from avatar.errors import AvatarError
from avatar.tools.cores import usable_cores

HELPERS_MAX = 8
"""Each opens all clips for itself, some gigabytes of memory."""
PATIENCE = timedelta(days=2)
"""How long the others wait for the first to prepare the clips."""


class Processes:
    """This process among those that train together; to be closed, or used with `with`."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = torch.device("cpu")
        """Where this one works."""
        if torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(self.device)
        if self.count > 1:
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=PATIENCE)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and says things."""
        return self.rank == 0

    @property
    def helpers(self) -> int:
        """How many processes had better make samples for this one: a card takes them faster than one can."""
        if self.device.type == "cpu":
            return 1
        here = int(os.environ.get("LOCAL_WORLD_SIZE", str(self.count)))
        return min(HELPERS_MAX, max(1, usable_cores() // here - 1))

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            distributed.barrier()

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

    def agree(self, number: int, what: str) -> None:
        """Raise AvatarError, in all processes, if they hold different numbers of `what`."""
        if self.count == 1:
            return
        found: list[int | None] = [None] * self.count
        distributed.all_gather_object(found, number)
        if len(set(found)) > 1:
            raise AvatarError(f"the processes found different {what} {found}: all must see the same folders")

    def close(self) -> None:
        """Let the others go."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
