"""What all runtimes on an NVIDIA card have in common: their memory there, and a run recorded as a CUDA graph.

Where a whole frame is drawn on the card (`avatar.card`), the network takes tensors that are there, and gives
such. Else a frame is one upload, one run and one download. The run is the same recording both times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameMaps

WARM_UP = 3
"""Runs before the one that is recorded: libraries make up their minds in the first ones."""


def why_no_card() -> str | None:
    """Why there is no card to work on; None if there is one."""
    if torch.version.cuda is None:
        return "this PyTorch is built without CUDA; https://pytorch.org/get-started says how to get another"
    return None if torch.cuda.is_available() else "PyTorch sees no NVIDIA card"


class CardRuntime:
    """A network on the card.

    Args:
        name: what the runtime is called.
        precision: in which numbers it works.
        told: what it is, in words.
        blank: what goes in and comes out, by the names of `FrameInputs.arrays` and `FrameMaps`, with a batch
            of one; shapes and dtypes are taken.
        prepare: is given the same by name as tensors on the card, and the stream; gives what draws the inputs
            among them into the outputs, on that stream, and can be recorded.
    """

    def __init__(
        self,
        name: str,
        precision: str,
        told: str,
        blank: Mapping[str, NDArray[Any]],
        prepare: Callable[[Mapping[str, torch.Tensor], Any], Callable[[], None]],
    ) -> None:
        self.name, self.precision, self.told = name, precision, told
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._host = {
            name: torch.from_numpy(np.zeros(like.shape, like.dtype)).pin_memory()
            for name, like in blank.items()
        }
        self._card = {name: host.cuda() for name, host in self._host.items()}
        self._inputs = [name for name in self._host if name not in OUTPUTS]
        # A graph keeps neither the weights nor the contexts whose addresses it plays: without this, others'
        # tensors would come to lie there.
        self._work = prepare(self._card, self.stream)
        self._graph = _recorded(self._work, self.stream)

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window."""
        arrays: dict[str, NDArray[Any]] = dict(inputs.arrays())
        for name in self._inputs:
            self._host[name].numpy()[:] = arrays[name]
        with torch.cuda.stream(self.stream):
            maps = self.draw({name: self._host[name] for name in self._inputs})
            for name, made in zip(OUTPUTS, maps, strict=True):
                self._host[name].copy_(made, non_blocking=True)
        self.stream.synchronize()
        return FrameMaps(*(self._host[name].numpy()[0].copy() for name in OUTPUTS))

    def draw(self, inputs: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """The same of tensors, as `TensorNetwork`; called on `stream`."""
        for name in self._inputs:
            self._card[name].copy_(inputs[name], non_blocking=True)
        self._graph.replay()
        return [self._card[name] for name in OUTPUTS]


def _recorded(work: Callable[[], None], stream: Any) -> torch.cuda.CUDAGraph:
    """`work` as a graph."""
    stream.wait_stream(torch.cuda.current_stream())  # what lies there now was sent on that one
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    # Another thread may be drawing with another network: what it asks of the card must not spoil this.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        work()
    return graph
