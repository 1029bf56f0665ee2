"""One batch: what the networks make of it, and what they are told about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar.model.discriminator import Verdict
from avatar.model.generator import Drawn, blend
from avatar.train import losses
from avatar.train.data.batches import Batch
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions


@dataclass(frozen=True, slots=True)
class Judges:
    """Networks that others have trained; None leaves their loss out."""

    perceptual: Callable[[Tensor], Sequence[Tensor]] | None = None
    """Feature maps of pictures (B, 3, H, W), 0..1."""
    identity: Callable[[Tensor, Tensor], Tensor] | None = None
    """Embeddings (B, E) of length 1 of head windows and their landmarks (B, 478, 2) [px], without waiting."""


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
        drawn = networks.draw(batch.warps, batch.drawing, networks.condition(embedding), batch.look)
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
    boxes = losses.box_mask(batch.boxes, batch.target.shape[-1])
    focus = cover * (1 + options.boxes * boxes)
    terms = {"l1": options.l1 * losses.pyramid_l1(made.person, batch.target, focus)}
    if options.alpha:
        terms["alpha"] = options.alpha * (batch.weight * (made.drawn.alpha - batch.matte).abs()).mean()
    if options.flow:
        terms["flow"] = options.flow * losses.smooth_flow(made.drawn.flow)
    if options.keep:
        terms["keep"] = options.keep * (cover * (1 - boxes) * (1 - made.drawn.keep)).mean()
    shown = made.shown.clamp(0, 1)
    real_boxes = losses.cut_boxes(batch.target, batch.boxes, losses.BOX_SIZE)
    if options.texture or options.l1_boxes:
        made_boxes, cover_boxes = (
            losses.cut_boxes(x, batch.boxes, losses.BOX_SIZE) for x in (made.shown, cover)
        )
        cut = (made_boxes, real_boxes, cover_boxes)
        terms["l1_boxes"] = options.l1_boxes * losses.boxes_l1(*cut)
        whole = losses.texture(made.shown, batch.target, cover)
        terms["texture"] = options.texture * (whole + losses.texture(*cut) / 2)
    with torch.autocast(batch.target.device.type, torch.bfloat16, enabled=options.bf16):
        if judges.perceptual is not None:
            pair = _piece(options.piece, batch, shown, batch.target)
            terms["perceptual"] = options.perceptual * _distance(judges.perceptual, *pair)
            shown_boxes = losses.cut_boxes(shown, batch.boxes, losses.BOX_SIZE)
            terms["perceptual_boxes"] = options.perceptual_boxes * _distance(
                judges.perceptual, shown_boxes, real_boxes
            )
        if judges.identity is not None and options.identity:
            points = batch.points * batch.target.shape[-1]
            seen = judges.identity(shown, points)
            with torch.no_grad():
                real = judges.identity(batch.target, points)
            terms["identity"] = options.identity * (1 - (seen * real).sum(dim=1)).mean()
        if with_critic:
            terms |= _critic_terms(nets, batch, shown, made.embedding, options)
    return terms


def _piece(side: int, batch: Batch, *pictures: Tensor) -> list[Tensor]:
    """The same square of pictures (B, C, R, R), `side` pixels at most, somewhere else in each batch."""
    room = pictures[0].shape[-1] - side
    if room <= 0:
        return list(pictures)
    # Not cut by numbers of the processor, which a recording would keep.
    first = (batch.place * (room + 1)).long()
    line = torch.arange(side, device=first.device)
    return [x.index_select(2, first[1] + line).index_select(3, first[0] + line) for x in pictures]


def _distance(perceptual: Callable[[Tensor], Sequence[Tensor]], made: Tensor, real: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = perceptual(real)
    return losses.feature_distance(perceptual(made), wanted)


def _verdicts(nets: TrainedTogether, batch: Batch, pictures: Tensor, piece: int) -> list[Verdict]:
    """What the critics say of pictures (B, 3, R, R): of a piece of the window, and of mouth and eyes."""
    found: list[Verdict] = []
    for name, critic in nets.critics.items():
        if name == "whole":
            found.append(critic(*_piece(piece, batch, pictures, batch.drawing), batch.clip))
            continue
        parts = (losses.cut_boxes(x, batch.boxes, losses.BOX_SIZE) for x in (pictures, batch.drawing))
        clips = batch.clip[:, None].expand(batch.boxes.shape[:2]).flatten()
        found.append(critic(*parts, clips))
    return found


def _critic_terms(
    nets: TrainedTogether, batch: Batch, shown: Tensor, embedding: Tensor, options: TrainOptions
) -> dict[str, Tensor]:
    nets.critics.requires_grad_(False)
    seen = _verdicts(nets, batch, shown, options.piece)
    with torch.no_grad():
        real = _verdicts(nets, batch, batch.target, options.piece)
    columns: Tensor = nets.critics["whole"].projection.columns(batch.clip)  # type: ignore[operator, union-attr]
    nets.critics.requires_grad_(True)
    scores, features = shown.new_zeros(()), shown.new_zeros(())
    for name, one, other in zip(nets.critics, seen, real, strict=True):
        share = options.whole if name == "whole" else 1.0
        scores = scores + share * (one.score.mean() + one.patches.mean())
        features = features + share * losses.feature_distance(one.features, other.features)
    return {
        "adversarial": -options.adversarial * scores,
        "matching": options.matching * features,
        "match": options.match * (embedding - columns).abs().mean(),
    }


def critic_losses(nets: TrainedTogether, batch: Batch, shown: Tensor, options: TrainOptions) -> Tensor:
    """What the critics go down; `shown` (B, 3, R, R) as of `Made`, without gradients."""
    with torch.autocast(shown.device.type, torch.bfloat16, enabled=options.bf16):
        real, made = (_verdicts(nets, batch, x, options.piece) for x in (batch.target, shown.clamp(0, 1)))
    total = torch.zeros((), device=shown.device)
    for one, other in zip(real, made, strict=True):
        total = total + losses.hinge_real(one.score) + losses.hinge_made(other.score)
        total = total + losses.hinge_real(one.patches) + losses.hinge_made(other.patches)
    return total
