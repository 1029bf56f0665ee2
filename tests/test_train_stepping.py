"""Steps that a card plays from a recording: on the processor, with stand-ins for stream and graph.

That a card can record such a step was seen on an H100; what it would stumble over is looked for here.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from made_caches import write_caches
from made_windows import awake
from torch import nn
from torch.optim import Adam
from torch.utils._python_dispatch import TorchDispatchMode

from avatar.errors import AvatarError
from avatar.model.presets import PRESETS
from avatar.train import stepping
from avatar.train.data.batches import PackedBatch, batches
from avatar.train.data.samples import SampleOptions
from avatar.train.networks import TrainedTogether
from avatar.train.options import DEFAULTS, TrainOptions
from avatar.train.pretrained import IdentityNet, PerceptualNet
from avatar.train.pretrained.layers import freeze
from avatar.train.processes import Processes
from avatar.train.step import Judges
from avatar.train.stepping import PLAIN_FIRST, Figures, Steps

TINY = replace(DEFAULTS["tiny"], bf16=False, views=2)
CROSSING = {
    "aten::lift_fresh",
    "aten::is_nonzero",
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::repeat_interleave",
    "aten::masked_select",
}
"""What numbers made on the processor begin with, and what makes the processor wait for a card."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_caches(tmp_path_factory.mktemp("clips"))


def packed(files: list[Path], preset: str, size: int, count: int) -> list[PackedBatch]:
    kind = PRESETS[preset]
    sample = SampleOptions(size, 2, kind.reference_size, kind.style)
    stream = batches(files, sample, seed=0, size=2, workers=0)
    return [next(stream) for _ in range(count)]


def built(preset: str, clips: int) -> TrainedTogether:
    torch.manual_seed(0)
    nets = TrainedTogether.build(PRESETS[preset], clips)
    awake(nets.networks)
    return nets


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations by their names."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("preset", ["live", "paper-small"])
def test_nothing_in_a_step_comes_from_the_processor_or_waits(
    files: list[Path], preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 144  # more than a piece, so that one is cut out
    options = replace(DEFAULTS[preset], size=size, piece=128, identity=0.3, views=2)
    judges = Judges(PerceptualNet(), (identity := IdentityNet()).embed_windows)
    for judge in (judges.perceptual, identity):
        assert isinstance(judge, nn.Module)
        freeze(judge)
    steps = Steps(built(preset, len(files)), options, judges, Processes())
    monkeypatch.setattr(Adam, "step", lambda _: None)  # for a card it is made another way
    (batch,) = packed(files, preset, size, 1)
    with _Operations() as operations:
        steps._step(batch.to(torch.device("cpu")), True, True)
    assert not operations.names.keys() & CROSSING
    assert operations.names["aten::convolution_backward"] > 20  # it has looked
    with _Operations() as operations:  # it would have seen
        torch.ones(3)[[0, 2]].sum().item()
    assert operations.names.keys() & CROSSING


class _Graph:
    """What stands for a graph: it does the work anew, and leaves its figures where the first ones were."""

    def __init__(self, work: Callable[[], Figures]) -> None:
        self._work = work
        self.figures: Figures = {}
        self.played = 0

    def replay(self) -> None:
        self.played += 1
        self.figures.update(self._work())


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[_Graph]:
    """All that are recorded, by steps that think they are on a card."""
    made: list[_Graph] = []

    def record(work: Callable[[], Figures], stream: Any) -> tuple[_Graph, Figures]:
        made.append(_Graph(work))
        return made[-1], made[-1].figures

    @contextmanager
    def entered(stream: Any) -> Iterator[None]:
        yield

    def adam(self: Steps, module: nn.Module, rate: float) -> Adam:
        return Adam(module.parameters(), torch.tensor(rate), self._options.betas, foreach=False)

    stream = SimpleNamespace(wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(stepping, "_record", record)
    monkeypatch.setattr(Steps, "_adam", adam)
    return made


def on_stand_in(nets: TrainedTogether, options: TrainOptions) -> Steps:
    """Steps that are recorded, though their tensors lie on the processor."""
    steps = Steps(nets, options, Judges(), Processes())
    steps._stream = torch.cuda.current_stream()
    steps.adams = {
        "optimizer_g": steps._adam(nets.networks, options.rate),
        "optimizer_d": steps._adam(nets.critics, options.rate_discriminator),
    }
    return steps


def test_played_steps_teach_what_plain_ones_do(files: list[Path], graphs: list[_Graph]) -> None:
    """Also with fewer references than there may be, and with rates that fall."""
    stream = packed(files, "tiny", 64, 2 * PLAIN_FIRST + 6)
    assert len({len(batch.arrays["valid"][0]) for batch in stream}) == 2
    nets = built("tiny", len(files))
    there = on_stand_in(copy.deepcopy(nets), TINY)
    plain = Steps(nets, TINY, Judges(), Processes())
    assert there._stream is not None and plain._stream is None
    for number, batch in enumerate(stream):
        kind = {"with_critic": number > len(stream) // 2, "teach_critic": True}
        options = {"settled": 1 - number / len(stream), "decay": 0.9, **kind}
        one, other = there(batch, 2 * number, **options), plain(batch, 2 * number, **options)  # type: ignore[arg-type]
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-3)
    assert [graph.played for graph in graphs] == [4, 2]
    for one_net, other_net in (
        (there._nets.average, plain._nets.average),
        (there._nets.critics, plain._nets.critics),
    ):
        for one_weight, other_weight in zip(one_net.parameters(), other_net.parameters(), strict=True):
            torch.testing.assert_close(one_weight, other_weight, atol=1e-4, rtol=1e-3)


def test_long_gradients_are_shortened(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: dict[float, list[float]] = {}
    (batch,) = packed(files, "tiny", 64, 1)
    for clip in (1e-3, 0.0):
        steps = Steps(built("tiny", len(files)), replace(TINY, clip=clip), Judges(), Processes())
        seen = lengths.setdefault(clip, [])

        def noted(adam: Adam, seen: list[float] = seen) -> None:
            gradients = [each.grad for group in adam.param_groups for each in group["params"]]
            seen.append(float(torch.stack([each.norm() for each in gradients if each is not None]).norm()))

        monkeypatch.setattr(Adam, "step", noted)
        steps(batch, 0, settled=1.0, decay=0.9, with_critic=True, teach_critic=True)
    assert lengths[1e-3] == pytest.approx([1e-3, 1e-3], rel=0.01)
    assert min(lengths[0.0]) > 0.01


def test_losses_that_are_no_numbers_are_found_at_once_or_when_asked(
    files: list[Path], graphs: list[_Graph]
) -> None:
    broken = replace(TINY, alpha=float("nan"))
    (batch,) = packed(files, "tiny", 64, 1)
    kind = {"settled": 1.0, "decay": 0.9, "with_critic": False, "teach_critic": False}
    nets = built("tiny", len(files))
    with pytest.raises(AvatarError, match="after 6 samples the losses are no numbers"):
        Steps(nets, broken, Judges(), Processes())(batch, 6, **kind)  # type: ignore[arg-type]
    assert all(weight.isfinite().all() for weight in nets.networks.parameters())
    there = on_stand_in(nets, broken)
    there(batch, 6, **kind)  # type: ignore[arg-type]
    with pytest.raises(AvatarError, match="after 8 samples the losses are no numbers"):
        there.check(8)
