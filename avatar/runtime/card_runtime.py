"""What all runtimes on an NVIDIA card have in common: their memory there, and frames as CUDA graphs.

A frame is one upload, one run and one download, recorded once as a CUDA graph and played again. Where all of
a frame is drawn on the card (`avatar.card`) the network takes tensors that are there, and gives such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameMaps

WARM_UP = 3


def why_no_card() -> str | None:
    """Why there is no card to work on; None if there is one."""
    return None if torch.cuda.is_available() else "PyTorch sees no NVIDIA card"


class CardRuntime:
    """A network on the card, to be made complete by `_run`.

    Args:
        blank: what goes in and comes out, by name, as of `FrameInputs.arrays` and `FrameMaps`, with a batch
            of one; the shapes and dtypes are taken.
    """

    name: str
    precision: str
    told: str

    def __init__(self, blank: Mapping[str, NDArray[Any]]) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._host = {
            name: torch.from_numpy(np.zeros_like(like)).pin_memory() for name, like in blank.items()
        }
        self._card = {name: host.cuda() for name, host in self._host.items()}
        self._inputs = [name for name in self._host if name not in OUTPUTS]
        self._graph: torch.cuda.CUDAGraph
        """Of `_once`, to be recorded by the subclass as soon as `_run` can be called."""
        self._run_alone: torch.cuda.CUDAGraph | None = None

    def _run(self) -> None:
        """Draw what lies in `_card`'s inputs into its outputs, on the current stream, which is `stream`."""
        raise NotImplementedError

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window."""
        arrays: dict[str, NDArray[Any]] = dict(inputs.arrays())
        for name in self._inputs:
            self._host[name].numpy()[:] = arrays[name]
        with torch.cuda.stream(self.stream):
            self._graph.replay()
        self.stream.synchronize()
        return FrameMaps(*(self._host[name].numpy()[0].copy() for name in OUTPUTS))

    def draw(self, inputs: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """The same of tensors on the card, as `TensorNetwork`; called on `stream`."""
        if self._run_alone is None:
            self._run_alone = self._recorded(self._run)
        for name in self._inputs:
            self._card[name].copy_(inputs[name], non_blocking=True)
        self._run_alone.replay()
        return [self._card[name] for name in OUTPUTS]

    def _once(self) -> None:
        """Up, run, down, on the stream."""
        for name in self._inputs:
            self._card[name].copy_(self._host[name], non_blocking=True)
        self._run()
        for name in OUTPUTS:
            self._host[name].copy_(self._card[name], non_blocking=True)

    def _recorded(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """`work` as a graph; the library gets ready in the frames before it is recorded."""
        self.stream.wait_stream(torch.cuda.current_stream())  # what lies there now was sent on that one
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                work()
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Another thread may be drawing with another network: what it asks of the card must not spoil this.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            work()
        return graph
