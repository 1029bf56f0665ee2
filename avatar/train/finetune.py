"""Fine-tuning: published networks adapted to one person's few pictures (Zakharov et al. 2019, sec. 3.3).

As in the paper the embedder is left out: psi begins as P e, and is then a parameter of its own, trained
together with layers of the generator on the pictures themselves. Unlike in the paper

- only the layers in `TUNED` are trained, so that what is stored fits into an .avatar file;
- there is no adversarial loss as a rule, for discriminators are not shipped. With the checkpoint of a
  training run its critics take part, the clip's column replaced by the embedding (w' = w0 + e);
- half of each batch are the pictures elsewhere, in poses and with faces they do not show, to be drawn as
  before: else the networks forget what they know of open mouths and turned heads;
- of four pictures or more each fourth is held back: training ends when those are drawn no better, and what
  drew them best is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avatar.generate import EMBEDDING, LAYERS, PSI, Trained, condition
from avatar.model.generator import blend
from avatar.model.networks import Networks
from avatar.model.precision import bf16_is_fast
from avatar.records import Conditioning, Identity
from avatar.train.checkpoint import load_critics
from avatar.train.data.batches import Batch, collate
from avatar.train.data.samples import Sample
from avatar.train.networks import TrainedTogether
from avatar.train.options import DEFAULTS
from avatar.train.own_views import OwnViews
from avatar.train.step import Judges, Made, critic_losses, generator_losses

STEPS = 100
BATCH = 2
RATE_PSI, RATE = 3e-3, 3e-4
"""Adam's learning rates of psi and of the layers, at the start; they fall to zero in a straight line."""
LOOK = 10
"""Steps between two looks at the pictures that are held back."""
PATIENCE = 3
"""So many looks without progress end it."""
EVERY = 4
"""Each so many-th view is held back."""
TUNED: Mapping[str, tuple[str, ...]] = {
    "live": ("decode4.", "up2.", "decode2.", "head."),
    "tiny": ("decode4.", "up2.", "decode2.", "head."),
    "paper": ("up.1.", "up.2.", "up.3.", "look.", "out."),
    "paper-small": ("",),
}
"""How the names of the layers begin that are trained, by preset."""


@dataclass(slots=True)
class _Tuned:
    """What is trained."""

    networks: Networks
    psi: nn.Parameter
    """(1, P)."""
    embedding: Tensor
    """(E,), what psi began with."""
    layers: dict[str, nn.Parameter]

    def state(self) -> dict[str, Tensor]:
        """A copy of it by name."""
        named = {PSI: self.psi, **self.layers}
        return {name: value.detach().clone() for name, value in named.items()}

    def make(self, batch: Batch, *, bf16: bool) -> Made:
        """As `step.make`, but with psi itself."""
        count = len(batch.target)
        with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=bf16):
            drawn = self.networks.draw(batch.warps, batch.drawing, self.psi.expand(count, -1), batch.look)
        person = blend(drawn, batch.warps[:, 0, :3])
        cover = batch.matte * batch.weight
        shown = cover * person + (1 - cover) * batch.target
        return Made(drawn, person, shown, self.embedding.expand(count, -1))


def finetune(
    identity: Identity,
    trained: Trained,
    *,
    steps: int = STEPS,
    judges: Judges,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
    seed: int = 0,
) -> Identity:
    """Adapt networks to a person.

    Args:
        identity: who; what it holds of an earlier time is not built upon.
        trained: the networks.
        steps: at most so many, of `BATCH` windows each.
        judges: networks that others have trained.
        progress: told how many steps are done, and of how many.
        checkpoint: of a training run of the same preset: its discriminator takes part.
        seed: of all that is drawn by lot.

    Returns:
        The identity with `conditioning` of these networks: psi, and its own layers in half precision. If the
        pictures that are held back were never drawn better than at the start, it has no layers of its own.

    Raises:
        AvatarError: `checkpoint` cannot be read or is of other networks.
    """
    preset = trained.preset
    options = replace(
        DEFAULTS[preset.name], size=preset.size, batch=BATCH, match=0.0, bf16=bf16_is_fast("cpu")
    )
    start = condition(identity, trained)
    tuned = _begin(trained, start)
    critics = nn.ModuleDict() if checkpoint is None else load_critics(checkpoint, preset, tuned.embedding)
    nets = TrainedTogether(tuned.networks, tuned.networks, critics)
    taught, kept, held_back = _samples(identity, trained, torch.from_numpy(start.tensors[PSI])[None], seed)
    stream = _batches(taught, kept, seed)
    adam = torch.optim.Adam(
        [{"params": [tuned.psi], "lr": RATE_PSI}, {"params": list(tuned.layers.values()), "lr": RATE}],
        betas=options.betas,
    )
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, max(steps, 1))
    of_critics = (
        torch.optim.Adam(critics.parameters(), options.rate_discriminator, options.betas)
        if len(critics)
        else None
    )

    def loss(batch: Batch, made: Made, *, judged: bool) -> Tensor:
        terms = generator_losses(nets, batch, made, options, judges, with_critic=judged)
        return sum(terms.values(), start=torch.zeros(()))

    def error(batch: Batch) -> float:
        with torch.no_grad():
            return float(loss(batch, tuned.make(batch, bf16=options.bf16), judged=False))

    best: dict[str, Tensor] | None = None  # never better than at the start
    since = 0
    least = 0.0 if held_back is None else error(held_back)
    for step in range(1, steps + 1):
        batch = next(stream)
        made = tuned.make(batch, bf16=options.bf16)
        _go_down(adam, loss(batch, made, judged=of_critics is not None))
        falling.step()
        if of_critics is not None:
            for _ in range(options.critic_steps):
                _go_down(of_critics, critic_losses(nets, batch, made.shown.detach(), options))
        if progress is not None:
            progress(step, steps)
        if held_back is not None and (step % LOOK == 0 or step == steps):
            seen = error(held_back)
            if seen < least:
                best, least, since = tuned.state(), seen, 0
            else:
                since += 1
                if since == PATIENCE:
                    break
    if held_back is None:
        best = tuned.state()
    return replace(identity, conditioning=start if best is None else _stored(start, best))


def _begin(trained: Trained, start: Conditioning) -> _Tuned:
    """A copy of the generator whose last layers, and psi, can be trained."""
    generator = copy.deepcopy(trained.networks.generator).requires_grad_(False)
    beginnings = TUNED[trained.preset.name]
    layers = {
        LAYERS + name: parameter
        for name, parameter in generator.named_parameters()
        if name.startswith(beginnings)
    }
    for parameter in layers.values():
        parameter.requires_grad_(True)
    psi, embedding = (torch.from_numpy(start.tensors[name].copy()) for name in (PSI, EMBEDDING))
    return _Tuned(trained.networks.with_generator(generator), nn.Parameter(psi[None]), embedding, layers)


def _samples(
    identity: Identity, trained: Trained, psi: Tensor, seed: int
) -> tuple[list[Sample], list[Sample], Batch | None]:
    """What is learnt, what shall be drawn as before, and what is held back."""
    preset, count = trained.preset, len(identity.views)
    views = OwnViews(identity.views, preset.size, preset.style, seed)
    back = range(EVERY // 2, count, EVERY) if count >= EVERY else ()
    shown = [i for i in range(count) if i not in back]
    taught = views.of(shown)
    kept = [_as_before(views.elsewhere(shown[i % len(shown)]), trained, psi) for i in range(len(taught))]
    return taught, kept, collate([views.nearest(i) for i in back]) if back else None


def _as_before(sample: Sample, trained: Trained, psi: Tensor) -> Sample:
    """The sample with what the published networks make of it as its target."""
    batch = collate([sample])
    with torch.no_grad():
        drawn = trained.networks.draw(batch.warps, batch.drawing, psi, batch.look)
        person = blend(drawn, batch.warps[:, 0, :3]).clamp(0, 1)
    target = torch.cat([person, drawn.alpha], dim=1)[0].movedim(0, -1) * 255
    return replace(sample, target=np.asarray(target.round().byte().numpy(), np.uint8))


def _batches(taught: Sequence[Sample], kept: Sequence[Sample], seed: int) -> Iterator[Batch]:
    """Half of a batch of `taught` and half of `kept`, in which each comes once before any comes again."""
    random, number = np.random.default_rng(seed), 0
    waiting: tuple[list[int], list[int]] = ([], [])
    while True:
        chosen = []
        for samples, queue in zip((taught, kept), waiting, strict=True):
            while len(queue) < BATCH // 2:
                queue += random.permutation(len(samples)).tolist()
            chosen += [samples[queue.pop(0)] for _ in range(BATCH // 2)]
        yield collate(chosen, number)
        number += BATCH


def _go_down(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    adam.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()


def _stored(start: Conditioning, best: Mapping[str, Tensor]) -> Conditioning:
    tensors = dict(start.tensors)
    tensors[PSI] = best[PSI][0].numpy()
    for name, value in best.items():
        if name != PSI:
            tensors[name] = value.numpy().astype(np.float16)
    return replace(start, tensors=tensors)
