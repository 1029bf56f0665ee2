"""How a network on a card is asked, with stand-ins for TensorRT and the card: addresses, streams and graphs.

The engine of the stand-in reads and writes the memory that it was told of, and draws with the plain network.
What only a card can show, `tests/test_card.py` shows where there is one.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from made_motions import driven
from made_windows import EXACT, made_networks
from numpy.typing import NDArray

from avatar.generate import save_networks
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS
from avatar.pipeline import Renderer
from avatar.records import Identity
from avatar.runtime import card_runtime, tensorrt_runtime
from avatar.runtime.card_runtime import CardRuntime
from avatar.runtime.cuda_runtime import CudaRuntime
from avatar.runtime.frame import OUTPUTS, still_inputs
from avatar.runtime.probe import load_probe
from avatar.runtime.tensorrt_runtime import TensorRtRuntime
from avatar.runtime.torch_runtime import TorchRuntime

TINY = PRESETS["tiny"]


class _Logger:
    ERROR = 0

    def __init__(self, level: int) -> None:
        self.level = level


class Card:
    """A card whose only engine is a plain network."""

    def __init__(self, plain: TorchRuntime, arrays: dict[str, NDArray[Any]]) -> None:
        self._plain = plain
        maps = plain.draw({name: torch.from_numpy(array) for name, array in arrays.items()})
        self._inputs = list(arrays)
        self._like = arrays | {name: each.numpy() for name, each in zip(OUTPUTS, maps, strict=True)}
        self._addresses: dict[str, int] = {}
        self.current: Any = None
        """The stream that work is given to."""

    def library(self) -> Any:
        names = list(self._like)
        engine = SimpleNamespace(
            num_io_tensors=len(names),
            get_tensor_name=names.__getitem__,
            get_tensor_shape=lambda name: self._like[name].shape,
            get_tensor_dtype=lambda name: self._like[name].dtype,
            create_execution_context=lambda: SimpleNamespace(
                set_tensor_address=self._addresses.__setitem__, execute_async_v3=self._execute
            ),
        )
        loader = SimpleNamespace(deserialize_cuda_engine=lambda _: engine)
        return SimpleNamespace(Runtime=lambda _: loader, Logger=_Logger, nptype=np.dtype, __version__="0")

    def _execute(self, stream: int) -> None:
        assert self.current is not None and stream == self.current.cuda_stream
        maps = self._plain.draw({name: torch.from_numpy(self._memory(name)) for name in self._inputs})
        for name, made in zip(OUTPUTS, maps, strict=True):
            self._memory(name)[:] = made.numpy()

    def _memory(self, name: str) -> NDArray[Any]:
        like = self._like[name]
        there = (ctypes.c_uint8 * like.nbytes).from_address(self._addresses[name])
        return np.ndarray(like.shape, like.dtype, memoryview(there))

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def recorded(self, work: Callable[[], None], stream: Any) -> Any:
        """What stands for a graph.

        It plays on the stream that is current, whatever it was recorded on, and keeps none of the memory that
        was recorded: neither a network's weights nor an engine's context.
        """
        there = weakref.ref(work)

        def replay() -> None:
            assert self.current is stream
            recorded = there()
            assert recorded is not None, "what was recorded is gone: a card would read others' memory"
            recorded()

        return SimpleNamespace(replay=replay)


@pytest.fixture
def tiny() -> Networks:
    return made_networks("tiny").eval().requires_grad_(False)


@pytest.fixture(params=["rtx", "cuda"])
def runtime(
    request: pytest.FixtureRequest, tiny: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CardRuntime:
    """`tiny` on the stand-in of a card, whose memory is the processor's."""
    still = still_inputs(TINY, tiny.projection.out_features)
    card = Card(TorchRuntime(tiny.generator, "fp32"), dict(still.arrays()))
    monkeypatch.setattr(tensorrt_runtime, "import_module", lambda _: card.library())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a stand-in")
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    stream = SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", card.stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.clone)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda module: module)
    monkeypatch.setattr(card_runtime, "_recorded", card.recorded)
    made: CardRuntime
    if request.param == "cuda":
        made = CudaRuntime(tiny.generator, still, "fp32")
    else:
        file = tmp_path / "network.engine"
        file.write_bytes(b"an engine")
        made = TensorRtRuntime("rtx", file, "fp32")
    assert made.device == torch.device("cuda", 0)
    made.device = torch.device("cpu")
    return made


def test_a_network_is_asked_on_its_own_stream(runtime: CardRuntime, tiny: Networks) -> None:
    plain = TorchRuntime(tiny.generator, "fp32")
    for frame in load_probe().inputs(TINY, tiny)[:2]:
        made, wanted = runtime(frame), plain(frame)
        for name in OUTPUTS:
            np.testing.assert_allclose(getattr(made, name), getattr(wanted, name), atol=1e-6)


def test_tensors_go_in_and_come_out_where_they_lie(runtime: CardRuntime, tiny: Networks) -> None:
    plain = TorchRuntime(tiny.generator, "fp32")
    for frame in load_probe().inputs(TINY, tiny)[:2]:
        tensors = {name: torch.from_numpy(array) for name, array in frame.arrays().items()}
        with torch.cuda.stream(runtime.stream):
            made = runtime.draw(tensors)
        for one, other in zip(made, plain.draw(tensors), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    with pytest.raises(AssertionError):
        runtime.draw(tensors)  # on another stream


def test_a_renderer_draws_where_its_network_is(
    runtime: CardRuntime, tiny: Networks, astronaut_identity: Identity, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    weights = tmp_path / "tiny.safetensors"
    save_networks(weights, "tiny", tiny, 1)

    def render() -> Renderer:
        return Renderer(
            astronaut_identity,
            head_size=128,
            size=(320, 180),
            generator="tiny",
            weights=weights,
            wanted=EXACT,
        )

    motion = driven(astronaut_identity, {"jawOpen": 0.6})
    wanted = render()(motion, 0, 0).rgb
    monkeypatch.setattr("avatar.generate.network_generator.open_runtime", lambda *_: runtime)
    there = render()
    assert there._card is not None and there.runtime == runtime.told
    apart = np.abs(there(motion, 0, 0).rgb.astype(int) - wanted)
    assert apart.mean() < 0.5 and apart.max() <= 4
