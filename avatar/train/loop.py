"""The training loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avatar.model.live import LiveOutput, blend
from avatar.tools import clock
from avatar.train import losses
from avatar.train.checkpoint import load_checkpoint, save_checkpoint
from avatar.train.data.batches import Batch, batches
from avatar.train.data.samples import SampleOptions
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions
from avatar.train.sheet import contact_sheet

Perceptual = Callable[[Tensor], Sequence[Tensor]]

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often what is done, in samples."""

    log: int = 400
    checkpoint: int = 4_000
    sheet: int = 8_000


@dataclass(frozen=True, slots=True)
class Made:
    """A batch as the networks see it."""

    output: LiveOutput
    person: Tensor
    """(B, 3, R, R)."""
    shown: Tensor
    """The person before the real background: what is not the person carries no loss."""
    embedding: Tensor


def train(
    run: Path,
    files: Sequence[Path],
    held_back: Sequence[Path],
    options: TrainOptions,
    *,
    samples: int,
    perceptual: Perceptual | None,
    rhythm: Rhythm | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
) -> TrainedTogether:
    """Train until `samples` samples have been seen, going on from the checkpoint in `run` if there is one.

    Args:
        run: folder for checkpoints, figures and contact sheets.
        files: cached clips to learn from.
        held_back: cached clips of other people, to look at.
        options: the numbers.
        samples: when to stop.
        perceptual: gives feature maps of pictures (B, 3, H, W), 0..1; None leaves that loss out.
        rhythm: how often to log, save and look.
        say: takes one line about how it goes.
        workers: processes that make samples.
    """
    rhythm = rhythm or Rhythm()
    torch.manual_seed(options.seed)
    nets = TrainedTogether.build(len(files))
    optimizers = {
        "optimizer_g": torch.optim.Adam(nets.networks.parameters(), options.rate, options.betas),
        "optimizer_d": torch.optim.Adam(
            nets.discriminator.parameters(), options.rate_discriminator, options.betas
        ),
    }
    seen = 0
    if (run / CHECKPOINT).is_file():
        seen = load_checkpoint(run / CHECKPOINT, nets, optimizers)
        say(f"going on after {seen} samples")
    sample = SampleOptions(size=options.size, views=options.views)
    stream = batches(
        files, sample, seed=options.seed, size=options.batch, first=seen // options.batch, workers=workers
    )
    looked_at = _held_back_batch(held_back, sample)
    meter = _Meter()
    while seen < samples:
        batch = next(stream)
        with_critic = seen >= options.adversarial_from
        made = make(nets, batch)
        terms = generator_losses(nets, batch, made, options, perceptual, with_critic=with_critic)
        optimizers["optimizer_g"].zero_grad(set_to_none=True)
        sum(terms.values(), start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        optimizers["optimizer_g"].step()
        if seen >= options.adversarial_from // 2:
            critic = critic_losses(nets, batch, made.shown.detach())
            optimizers["optimizer_d"].zero_grad(set_to_none=True)
            critic.backward()  # type: ignore[no-untyped-call]
            optimizers["optimizer_d"].step()
            terms["critic"] = critic
        nets.follow(min(options.average, 1 - 10 / (10 + seen / options.batch)))
        before, seen = seen, seen + options.batch
        meter.add(terms, batch, made)
        if seen // rhythm.log > before // rhythm.log:
            line = meter.line(seen)
            with (run / METRICS).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            say(line)
        if seen // rhythm.checkpoint > before // rhythm.checkpoint or seen >= samples:
            save_checkpoint(run / CHECKPOINT, nets, optimizers, seen)
        if looked_at and (seen // rhythm.sheet > before // rhythm.sheet or seen >= samples):
            say(json.dumps(_look(nets, looked_at, run / f"sheet-{seen:07d}.png")))
    return nets


def make(nets: TrainedTogether, batch: Batch, *, average: bool = False) -> Made:
    """Let the networks, or their average, make a batch."""
    networks = nets.average if average else nets.networks
    embedding = networks.embed(batch.references, batch.valid)
    output = networks(batch.warps, batch.drawing, embedding)
    person = blend(output, batch.warps[:, 0, :3])
    cover = batch.matte * batch.weight
    return Made(output, person, cover * person + (1 - cover) * batch.target, embedding)


def generator_losses(
    nets: TrainedTogether,
    batch: Batch,
    made: Made,
    options: TrainOptions,
    perceptual: Perceptual | None,
    *,
    with_critic: bool,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is what generator and embedder go down."""
    cover = batch.matte * batch.weight
    focus = cover * (1 + options.boxes * losses.box_mask(batch.boxes, batch.target.shape[-1]))
    terms = {
        "l1": options.l1 * losses.pyramid_l1(made.person, batch.target, focus),
        "alpha": options.alpha * (batch.weight * (made.output.alpha - batch.matte).abs()).mean(),
        "flow": options.flow * losses.smooth_flow(made.output.flow),
    }
    if perceptual is not None:
        terms["perceptual"] = options.perceptual * _perceptual(batch, made, perceptual)
    if with_critic:
        critic = nets.discriminator.requires_grad_(False)
        score, patches, features = critic(made.shown.clamp(0, 1), batch.drawing, batch.clip)
        with torch.no_grad():
            real = critic(batch.target, batch.drawing, batch.clip)[2]
        terms["adversarial"] = -options.adversarial * (score.mean() + patches.mean())
        terms["matching"] = options.matching * losses.feature_distance(features, real)
        columns = critic.columns(batch.clip)
        terms["match"] = options.match * (made.embedding - columns).abs().mean()
        nets.discriminator.requires_grad_(True)
    return terms


def critic_losses(nets: TrainedTogether, batch: Batch, shown: Tensor) -> Tensor:
    """What the discriminator goes down."""
    real_score, real_patches, _ = nets.discriminator(batch.target, batch.drawing, batch.clip)
    made_score, made_patches, _ = nets.discriminator(shown.clamp(0, 1), batch.drawing, batch.clip)
    whole = losses.hinge_real(real_score) + losses.hinge_made(made_score)
    return whole + losses.hinge_real(real_patches) + losses.hinge_made(made_patches)


def _perceptual(batch: Batch, made: Made, perceptual: Perceptual) -> Tensor:
    """Feature distance of the whole and, on their own, of mouth and eyes."""
    whole = (made.shown, batch.target)
    boxes = tuple(losses.cut_boxes(picture, batch.boxes, losses.BOX_SIZE) for picture in whole)
    total = torch.zeros(())
    for seen, wanted in (whole, boxes):
        features = perceptual(seen.clamp(0, 1))
        with torch.no_grad():
            real = perceptual(wanted)
        total = total + losses.feature_distance(features, real)
    return total


class _Meter:
    """Means over the samples since the last line."""

    def __init__(self) -> None:
        self._start_ns = clock.now_ns()
        self._clear()

    def _clear(self) -> None:
        self._sums: dict[str, float] = {}
        self._batches = 0
        self._samples = 0

    def add(self, terms: dict[str, Tensor], batch: Batch, made: Made) -> None:
        for name, value in {**{k: v.detach() for k, v in terms.items()}, **errors(batch, made)}.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        self._batches += 1
        self._samples += len(batch.clip)

    def line(self, seen: int) -> str:
        now = clock.now_ns()
        figures = {name: round(value / self._batches, 5) for name, value in self._sums.items()}
        speed = self._samples / ((now - self._start_ns) / 1e9)
        self._start_ns = now
        self._clear()
        return json.dumps({"samples": seen, "per_second": round(speed, 2), **figures})


@torch.no_grad()
def errors(batch: Batch, made: Made) -> dict[str, Tensor]:
    """Mean absolute error (0..255) of the person and of mouth and eyes, of the networks and of the warp."""
    cover = batch.matte * batch.weight
    boxes = cover * losses.box_mask(batch.boxes, batch.target.shape[-1])
    found = {}
    for name, picture in (("made", made.person), ("warp", batch.warps[:, 0, :3])):
        off = (picture - batch.target).abs().mean(dim=1, keepdim=True) * 255
        found[f"person_{name}"] = (off * cover).sum() / cover.sum()
        found[f"boxes_{name}"] = (off * boxes).sum() / boxes.sum()
    return found


def _held_back_batch(files: Sequence[Path], options: SampleOptions) -> list[Batch]:
    if not files:
        return []
    plain = SampleOptions(options.size, options.views, options.reference_size, options.style, augment=False)
    stream: Iterator[Batch] = batches(files, plain, seed=1, size=8, workers=0)
    return [next(stream) for _ in range(8)]


@torch.no_grad()
def _look(nets: TrainedTogether, looked_at: Sequence[Batch], path: Path) -> dict[str, float]:
    """Make the held-back samples with the average: a contact sheet, and the mean errors."""
    sums: dict[str, float] = {}
    rows = []
    for batch in looked_at:
        made = make(nets, batch, average=True)
        for name, value in errors(batch, made).items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(looked_at)
        rows.append((batch, made.person, made.output.keep, made.output.alpha))
    contact_sheet(path, rows[:3])
    return {f"held_back_{name}": round(value, 4) for name, value in sums.items()}
