"""One batch: what the networks make of it, and what they are told about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar.model.generator import Drawn, blend
from avatar.train import losses
from avatar.train.data.batches import Batch
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions

FACE_SIDE = 112
"""Side of the aligned faces that the identity network looks at [px]."""


@dataclass(frozen=True, slots=True)
class Judges:
    """Networks that others have trained; None leaves their loss out."""

    perceptual: Callable[[Tensor], Sequence[Tensor]] | None = None
    """Feature maps of pictures (B, 3, H, W), 0..1."""
    identity: Callable[[Tensor, Tensor], Tensor] | None = None
    """Embeddings (B, E) of length 1 of pictures and their landmarks (B, 478, 2) [px]."""


@dataclass(frozen=True, slots=True)
class Made:
    """A batch as the networks see it."""

    drawn: Drawn
    person: Tensor
    """(B, 3, R, R)."""
    shown: Tensor
    """The person before the real background: what is not the person carries no loss."""
    embedding: Tensor


def make(nets: TrainedTogether, batch: Batch, *, average: bool = False, bf16: bool = False) -> Made:
    """Let the networks, or their average, make a batch."""
    networks = nets.average if average else nets.networks
    with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=bf16):
        embedding = networks.embed(batch.references, batch.valid)
        drawn = networks.draw(batch.warps, batch.drawing, networks.condition(embedding))
    person = blend(drawn, batch.warps[:, 0, :3])
    cover = batch.matte * batch.weight
    return Made(drawn, person, cover * person + (1 - cover) * batch.target, embedding.float())


def generator_losses(
    nets: TrainedTogether,
    batch: Batch,
    made: Made,
    options: TrainOptions,
    judges: Judges,
    *,
    with_critic: bool,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is what generator and embedder go down."""
    cover = batch.matte * batch.weight
    focus = cover * (1 + options.boxes * losses.box_mask(batch.boxes, batch.target.shape[-1]))
    terms = {"l1": options.l1 * losses.pyramid_l1(made.person, batch.target, focus)}
    if options.alpha:
        terms["alpha"] = options.alpha * (batch.weight * (made.drawn.alpha - batch.matte).abs()).mean()
    if options.flow:
        terms["flow"] = options.flow * losses.smooth_flow(made.drawn.flow)
    with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=options.bf16):
        if judges.perceptual is not None:
            whole = (made.shown.clamp(0, 1), batch.target)
            boxes = [losses.cut_boxes(picture, batch.boxes, losses.BOX_SIZE) for picture in whole]
            terms["perceptual"] = options.perceptual * _distance(judges.perceptual, *whole)
            terms["perceptual_boxes"] = options.perceptual_boxes * _distance(judges.perceptual, *boxes)
        if judges.identity is not None and options.identity:
            points = batch.points * batch.target.shape[-1]
            seen = judges.identity(made.shown.clamp(0, 1), points)
            with torch.no_grad():
                real = judges.identity(batch.target, points)
            terms["identity"] = options.identity * (1 - (seen * real).sum(dim=1)).mean()
        if with_critic:
            terms |= _critic_terms(nets, batch, made, options)
    return terms


def _distance(perceptual: Callable[[Tensor], Sequence[Tensor]], made: Tensor, real: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = perceptual(real)
    return losses.feature_distance(perceptual(made), wanted)


def _critic_terms(
    nets: TrainedTogether, batch: Batch, made: Made, options: TrainOptions
) -> dict[str, Tensor]:
    critic = nets.discriminator.requires_grad_(False)
    verdict = critic(made.shown.clamp(0, 1), batch.drawing, batch.clip)
    with torch.no_grad():
        real = critic(batch.target, batch.drawing, batch.clip)
    columns: Tensor = critic.projection.columns(batch.clip)  # type: ignore[operator, union-attr]
    critic.requires_grad_(True)
    return {
        "adversarial": -options.adversarial * (verdict.score.mean() + verdict.patches.mean()),
        "matching": options.matching * losses.feature_distance(verdict.features, real.features),
        "match": options.match * (made.embedding - columns).abs().mean(),
    }


def critic_losses(nets: TrainedTogether, batch: Batch, shown: Tensor, *, bf16: bool) -> Tensor:
    """What the discriminator goes down; `shown` (B, 3, R, R) as of `Made`, without gradients."""
    with torch.autocast(shown.device.type, torch.bfloat16, enabled=bf16):
        real = nets.discriminator(batch.target, batch.drawing, batch.clip)
        made = nets.discriminator(shown.clamp(0, 1), batch.drawing, batch.clip)
    whole = losses.hinge_real(real.score) + losses.hinge_made(made.score)
    return whole + losses.hinge_real(real.patches) + losses.hinge_made(made.patches)
