"""Steps of training, one after the other. On a card each kind of step is recorded once, then played.

A step is some thousand small pieces of work. To name them to a card one by one takes longer than the card
takes for them: 30 ms for a batch of 32 at 256 px on an H100 (weights/TRAINING.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from avatar.errors import AvatarError
from avatar.train.data.batches import Batch, PackedBatch
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions
from avatar.train.processes import Processes
from avatar.train.report import errors
from avatar.train.step import Judges, critic_losses, generator_losses, make

PLAIN_FIRST = 3
"""So many steps of a kind are taken plainly before one is recorded: libraries make up their minds in them."""

Figures = dict[str, Tensor]
"""Losses and errors of a step by name, each a single number."""


class Steps:
    """What takes one step after the other.

    Args:
        nets: what is taught.
        options: the numbers of the run.
        judges: networks that others have trained, on the processes' device.
        processes: this one and those it trains with. Alone on a card it records.
    """

    def __init__(
        self, nets: TrainedTogether, options: TrainOptions, judges: Judges, processes: Processes
    ) -> None:
        self._nets, self._options, self._judges, self._processes = nets, options, judges, processes
        device = processes.device
        self._stream: Any = None
        if device.type == "cuda" and processes.count == 1:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.adams: dict[str, Optimizer] = {
            "optimizer_g": self._adam(nets.networks, options.rate),
            "optimizer_d": self._adam(nets.critics, options.rate_discriminator),
        }
        self._flawed = torch.zeros((), dtype=torch.bool, device=device)
        self._there: dict[str, Tensor] = {}
        """The arrays of the present batch, where the recordings look for them."""
        self._taken: dict[tuple[bool, bool], int] = {}
        self._recorded: dict[tuple[bool, bool], tuple[Any, Figures]] = {}

    def __call__(
        self,
        packed: PackedBatch,
        seen: int,
        *,
        settled: float,
        decay: float,
        with_critic: bool,
        teach_critic: bool,
    ) -> Figures:
        """Take a step.

        Raises:
            AvatarError: the losses are no numbers; where steps are played, `check` tells it later.

        Args:
            packed: the samples.
            seen: how many came before them.
            settled: what is left of the rates, 0..1.
            decay: of the moving average.
            with_critic: whether the critics have a say,
            teach_critic: and whether they learn.
        """
        for adam, rate in zip(
            self.adams.values(), (self._options.rate, self._options.rate_discriminator), strict=True
        ):
            _set_rate(adam, rate * settled)
        if self._stream is None:
            figures = self._step(packed.to(self._processes.device), with_critic, teach_critic, seen)
        else:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._put(packed)
                figures = self._played(with_critic, teach_critic)
            torch.cuda.current_stream().wait_stream(self._stream)
        self._nets.follow(decay)
        return figures

    def check(self, seen: int) -> None:
        """Raise AvatarError if the losses of any step until now were no numbers; waits for a card."""
        if self._flawed:
            raise AvatarError(f"after {seen} samples the losses are no numbers; the last checkpoint is kept")

    def _adam(self, module: nn.Module, rate: float) -> Adam:
        if self._stream is None:
            return Adam(module.parameters(), rate, self._options.betas)
        changing = torch.tensor(rate, device=self._processes.device)
        return Adam(module.parameters(), changing, self._options.betas, capturable=True)

    def _step(self, batch: Batch, with_critic: bool, teach_critic: bool, seen: int | None = None) -> Figures:
        """A step; `seen` None: nothing in it waits for a card, so it can be recorded."""
        nets, options = self._nets, self._options
        made = make(nets, batch, bf16=options.bf16)
        terms = generator_losses(nets, batch, made, options, self._judges, with_critic=with_critic)
        total = torch.stack([*terms.values()]).sum()
        self._flawed.logical_or_(~torch.isfinite(total.detach()))
        if seen is not None:
            self.check(seen)  # before the networks are spoilt
        self._go_down("optimizer_g", total)
        if teach_critic:
            for _ in range(options.critic_steps):
                terms["critic"] = critic_losses(nets, batch, made.shown.detach(), options)
                self._go_down("optimizer_d", terms["critic"])
        return {**{name: term.detach() for name, term in terms.items()}, **errors(batch, made)}

    def _go_down(self, name: str, loss: Tensor) -> None:
        adam = self.adams[name]
        parameters = [each for group in adam.param_groups for each in group["params"]]
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._processes.average_gradients(parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self._options.clip or math.inf)
        self._flawed.logical_or_(~torch.isfinite(norm))
        adam.step()

    def _put(self, packed: PackedBatch) -> None:
        """Bring a batch to where the recordings look for it."""
        for name, array in packed.arrays.items():
            if name not in self._there:
                shape = list(array.shape)
                if name in ("references", "valid"):  # as many as there may be: a recording has one shape
                    shape[1] = self._options.views
                self._there[name] = array.new_zeros(shape, device=self._processes.device)
            there = self._there[name]
            if array.shape != there.shape:
                there.zero_()
                there = there[:, : array.shape[1]]
            there.copy_(array, non_blocking=True)

    def _played(self, with_critic: bool, teach_critic: bool) -> Figures:
        """A step of the batch that is there: taken plainly at first, then recorded, then played."""
        kind = (with_critic, teach_critic)

        def work() -> Figures:
            return self._step(PackedBatch(self._there).to(self._processes.device), *kind)

        taken = self._taken.get(kind, 0)
        self._taken[kind] = taken + 1
        if taken < PLAIN_FIRST:
            return work()
        if kind not in self._recorded:
            self._recorded.clear()  # of the kind before, which does not come again: its memory is needed
            self._recorded[kind] = _record(work, self._stream)
        graph, figures = self._recorded[kind]
        graph.replay()
        return {name: figure.clone() for name, figure in figures.items()}


def _record(work: Callable[[], Figures], stream: Any) -> tuple[Any, Figures]:
    """`work` as a graph, and where it leaves its figures."""
    graph = torch.cuda.CUDAGraph()
    recording: AbstractContextManager[None] = torch.cuda.graph(
        # What another thread may ask of the card meanwhile must not spoil this.
        graph,
        stream=stream,
        capture_error_mode="thread_local",
    )
    with recording:
        figures = work()
    return graph, figures


def _set_rate(adam: Optimizer, rate: float) -> None:
    for group in adam.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
