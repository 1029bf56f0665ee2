"""A run from a folder of clips to a file of networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avatar.errors import AvatarError
from avatar.generate import load_networks, save_networks
from avatar.model.blocks import load_folded
from avatar.tools.cores import usable_cores
from avatar.train.data.clip_cache import load_clip
from avatar.train.data.layout import clips_of
from avatar.train.data.prepare import PrepareOptions, Progress, prepare
from avatar.train.loop import CHECKPOINT, Rhythm, train
from avatar.train.networks import TrainedTogether
from avatar.train.options import TrainOptions, load_options
from avatar.train.pretrained import load_identity, load_perceptual
from avatar.train.processes import Processes
from avatar.train.step import Judges

OPTIONS = "options.json"
BAD_CLIPS = "bad-clips.txt"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run reads and writes."""

    data: Path
    """Folder of clips, see `data.layout`."""
    out: Path
    """Folder of the run: options, figures, contact sheets, checkpoint, networks."""
    cache: Path
    """Folder of the prepared clips; runs may share it."""
    weights: Path | None = None
    """Published networks to begin with."""


def run(
    places: Places,
    options: TrainOptions,
    *,
    samples: int,
    rhythm: Rhythm,
    say: Callable[[str], None],
    progress: Progress,
    workers: int | None = None,
) -> Path:
    """Prepare what is not prepared yet, then train until `samples` samples have been seen.

    Returns:
        The file of the networks.

    Raises:
        AvatarError: no usable clips, options that differ from those the run began with, or a file that cannot
            be read or written.
    """
    with Processes() as processes:
        if not processes.first:
            say, progress = _silent, _silent
        judges = Judges(
            load_perceptual().to(processes.device),
            load_identity().to(processes.device).embed_windows if options.identity else None,
        )
        if processes.first:
            places.out.mkdir(parents=True, exist_ok=True)
            _keep_options(places.out, options)
            _prepared(places, workers, say, progress)
        processes.wait()
        files = _prepared(places, 1, _silent, _silent)
        learnt, held_back = hold_back(files, options.hold_back)
        if not learnt:
            raise AvatarError(f"{places.data}: there is no clip to learn from")
        too_few = "" if held_back or not options.hold_back else ": too few people to hold any back for sheets"
        say(f"{len(learnt)} clips to learn from, {len(held_back)} to look at{too_few}")
        weights = places.weights
        begin = None if weights is None else lambda nets: begin_with(nets, weights, options.preset)
        target = places.out / f"{options.preset}.safetensors"
        train(
            places.out,
            learnt,
            held_back,
            options,
            samples=samples,
            judges=judges,
            processes=processes,
            begin=begin,
            rhythm=rhythm,
            say=say,
            keep=lambda nets, seen: save_networks(target, options.preset, nets.average, seen),
            workers=processes.helpers,
        )
    return target


def _silent(*_: object) -> None:
    """Say nothing: another process does."""


def _prepared(
    places: Places, workers: int | None, say: Callable[[str], None], progress: Progress
) -> list[Path]:
    """The cached clips, made if they are missing; what is wrong with bad ones is written down."""
    workers = workers or usable_cores()
    clips = clips_of(places.data)
    files, bad = prepare(clips, places.cache, PrepareOptions(), workers=workers, progress=progress)
    if bad and say is not _silent:
        lines = [f"{name}\t{flaw}\n" for name, flaw in bad.items()]
        (places.out / BAD_CLIPS).write_text("".join(lines), encoding="utf-8")
        say(f"{len(bad)} clips are of no use: {places.out / BAD_CLIPS} says why")
    return files


def _keep_options(out: Path, options: TrainOptions) -> None:
    path = out / OPTIONS
    if path.is_file() and (out / CHECKPOINT).is_file() and load_options(path) != options:
        raise AvatarError(f"{path}: the run began with other options; give the same ones, or another --out")
    options.save(path)


def hold_back(files: Sequence[Path], people: int) -> tuple[list[Path], list[Path]]:
    """Split cached clips into those to learn from and those of so many people that are only looked at.

    Of few people none is held back: never more than one in four.
    """
    whose = {file: load_clip(file).person for file in files}
    names = sorted(set(whose.values()))
    count = min(people, len(names) // 4)
    back = {names[i * len(names) // count] for i in range(count)}
    return [f for f in files if whose[f] not in back], [f for f in files if whose[f] in back]


def begin_with(nets: TrainedTogether, weights: Path, preset: str) -> None:
    """Put published networks in the place of fresh ones; the discriminator stays fresh."""
    state = load_networks(weights, preset).networks.state_dict()
    for networks in (nets.networks, nets.average):
        load_folded(networks, state)
