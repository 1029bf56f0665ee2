"""The training loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avatar.model.precision import bf16_is_fast
from avatar.model.presets import PRESETS
from avatar.tools import clock
from avatar.train.checkpoint import digest_of, load_checkpoint, save_checkpoint
from avatar.train.data.batches import batches
from avatar.train.data.samples import SampleOptions
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions
from avatar.train.processes import Processes
from avatar.train.report import Meter, append_line, cut_lines, held_back_batches, look
from avatar.train.step import Judges
from avatar.train.stepping import Steps

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often what is done, in samples unless something else is said."""

    log: int = 400
    checkpoint: int = 4_000
    checkpoint_s: float = 300.0
    """A checkpoint is not older than this either [s]: some networks take minutes for a hundred samples."""
    sheet: int = 8_000

    def due(self, every: int, before: int, seen: int) -> bool:
        """Whether a multiple of `every` lies behind `before` and not behind `seen`."""
        return seen // every > before // every


def train(
    run: Path,
    files: Sequence[Path],
    held_back: Sequence[Path],
    options: TrainOptions,
    *,
    samples: int,
    judges: Judges,
    processes: Processes,
    begin: Callable[[TrainedTogether], None] | None = None,
    keep: Callable[[TrainedTogether, int], None] | None = None,
    rhythm: Rhythm | None = None,
    say: Callable[[str], None] = print,
    workers: int = 1,
) -> TrainedTogether:
    """Train until `samples` samples have been seen, going on from the checkpoint in `run` if there is one.

    Raises:
        AvatarError: the checkpoint is of other clips or networks, or the losses are no numbers any more.

    Args:
        run: folder for checkpoints, figures and contact sheets.
        files: cached clips to learn from.
        held_back: cached clips of other people, to look at.
        options: the numbers.
        samples: when to stop.
        judges: networks that others have trained, on the processes' device.
        processes: this one and those it trains with.
        begin: prepares fresh networks, for instance with published weights; not if there is a checkpoint.
        keep: puts the networks away for use, after so many samples; called with every checkpoint.
        rhythm: how often to log, save and look.
        say: takes one line about how it goes.
        workers: processes that make samples.
    """
    rhythm, preset, device = rhythm or Rhythm(), PRESETS[options.preset], processes.device
    options = replace(options, bf16=options.bf16 and bf16_is_fast(device.type))
    clips = digest_of(files)
    torch.manual_seed(options.seed)
    nets = TrainedTogether.build(preset, len(files)).to(device)
    steps = Steps(nets, options, judges, processes)
    seen = 0
    if (run / CHECKPOINT).is_file():
        seen = load_checkpoint(run / CHECKPOINT, nets, steps.adams, clips)
        say(
            f"going on after {seen} samples"
            if seen < samples
            else f"all of its {samples} samples have been seen; ask for more to go on"
        )
    elif begin is not None:
        begin(nets)
    processes.agree(seen, "checkpoints")
    processes.share(nets.tensors())
    if processes.first:
        cut_lines(run / METRICS, seen)
    step = options.batch * processes.count
    sample = SampleOptions(options.size, options.views, preset.reference_size, preset.style)
    stream = batches(
        files,
        sample,
        seed=options.seed,
        size=options.batch,
        first=seen // options.batch + processes.rank,
        step=processes.count,
        workers=workers,
    )
    looked_at = held_back_batches(held_back, sample, device) if processes.first else []
    meter, saved_ns = Meter(), clock.now_ns()

    while seen < samples:
        figures = steps(
            next(stream),
            seen,
            settled=options.settled(seen, samples),
            decay=min(options.average, 1 - 10 / (10 + seen / step)),
            with_critic=seen >= options.adversarial_from,
            teach_critic=seen >= options.adversarial_from // 2,
        )
        before, seen = seen, seen + step
        done = seen >= samples
        if not processes.first:
            continue
        meter.add(figures, options.batch)
        if rhythm.due(rhythm.log, before, seen):
            steps.check(before)
            say(append_line(run / METRICS, meter.line(seen)))
        late = clock.now_ns() - saved_ns > rhythm.checkpoint_s * 1e9
        if late or done or rhythm.due(rhythm.checkpoint, before, seen):
            saved_ns = clock.now_ns()
            steps.check(before)
            save_checkpoint(run / CHECKPOINT, nets, steps.adams, seen, clips)
            if keep is not None:
                keep(nets, seen)
        if looked_at and (rhythm.due(rhythm.sheet, before, seen) or done):
            say(json.dumps(look(nets, looked_at, run / f"sheet-{seen:07d}.png")))
    return nets
