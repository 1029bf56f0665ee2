"""The loop: it learns, goes on exactly where it was, and begins with published networks."""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from made_caches import write_caches
from made_windows import awake, made_networks
from safetensors.torch import load_file
from torch import Tensor

from avatar.errors import AvatarError
from avatar.generate import load_networks, save_networks
from avatar.model.blocks import fold_spectral
from avatar.model.presets import PRESETS
from avatar.train import losses, report
from avatar.train.data.batches import batches
from avatar.train.data.samples import SampleOptions
from avatar.train.loop import CHECKPOINT, METRICS, Rhythm, train
from avatar.train.networks import TrainedTogether
from avatar.train.options import DEFAULTS, TrainOptions, load_options
from avatar.train.processes import Processes
from avatar.train.run import begin_with, hold_back
from avatar.train.step import Judges, critic_losses, generator_losses, make

TINY = replace(DEFAULTS["tiny"], bf16=False)
STEP = TINY.batch
CPU = torch.device("cpu")
NEVER = 10**9


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_caches(tmp_path_factory.mktemp("clips"))


def trained(
    run: Path, files: list[Path], steps: int, options: TrainOptions = TINY, log: int = 1
) -> tuple[TrainedTogether, list[dict[str, float]]]:
    """The networks after so many steps, and the lines of figures."""
    run.mkdir(exist_ok=True)
    nets = train(
        run,
        files,
        [],
        options,
        samples=steps * options.batch,
        judges=Judges(),
        processes=Processes(),
        rhythm=Rhythm(log=log, checkpoint=NEVER, sheet=NEVER),
        say=lambda line: None,
        workers=0,
    )
    return nets, [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


# Learning


def test_one_clip_is_learnt_by_heart(files: list[Path]) -> None:
    """In 40 steps the error on four samples falls below 0.6 of the bare warp's."""
    preset = PRESETS["tiny"]
    sample = SampleOptions(64, 2, preset.reference_size, preset.style, augment=False)
    batch = next(batches(files[:1], sample, seed=0, size=4, workers=0)).to(CPU)
    torch.manual_seed(0)
    nets = TrainedTogether.build(preset, 1)
    adam = torch.optim.Adam(nets.networks.parameters(), 1e-3, (0.9, 0.99))

    def error(person: Tensor) -> float:
        return float(losses.pyramid_l1(person, batch.target, batch.matte * batch.weight).detach())

    for _ in range(40):
        made = make(nets, batch)
        terms = generator_losses(nets, batch, made, TINY, Judges(), with_critic=False)
        adam.zero_grad(set_to_none=True)
        sum(terms.values(), start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert error(make(nets, batch).person) < 0.6 * error(batch.warps[:, 0, :3])


@pytest.mark.parametrize("name", ["tiny", "paper-small"])
def test_a_step_teaches_all_that_is_trained(files: list[Path], name: str) -> None:
    preset = PRESETS[name]
    options = replace(DEFAULTS[name], size=64, bf16=False)
    sample = SampleOptions(64, 2, preset.reference_size, preset.style)
    batch = next(batches(files, sample, seed=0, size=2, workers=0)).to(CPU)
    torch.manual_seed(0)
    nets = TrainedTogether.build(preset, len(files))
    awake(nets.networks)
    made = make(nets, batch)
    sum(
        generator_losses(nets, batch, made, options, Judges(), with_critic=True).values(),
        start=torch.zeros(()),
    ).backward()  # type: ignore[no-untyped-call]
    still = [
        name for name, each in nets.networks.named_parameters() if each.grad is None or not each.grad.any()
    ]
    assert still == []
    assert all(each.grad is None for each in nets.critics.parameters())
    critic_losses(nets, batch, made.shown.detach(), options).backward()  # type: ignore[no-untyped-call]
    assert all(each.grad is not None for each in nets.critics.parameters())


def test_texture_asks_for_strength_and_not_for_place() -> None:
    torch.manual_seed(0)
    real = torch.nn.functional.avg_pool2d(torch.rand(2, 3, 66, 66), 3, 1)
    cover = torch.ones(2, 1, 64, 64)
    soft = torch.nn.functional.avg_pool2d(real, 3, 1, 1)
    beside = real.roll(1, dims=-1)
    assert losses.texture(real, real, cover) == 0
    assert losses.texture(beside, real, cover) < 0.3 * losses.texture(soft, real, cover)
    assert losses.boxes_l1(beside, real, cover) > losses.boxes_l1(soft, real, cover)
    half = cover.clone()
    half[..., 32:] = 0
    half_soft = torch.cat([real[..., :32], soft[..., 32:]], dim=-1)
    assert losses.texture(half_soft, real, half) < 0.2 * losses.texture(soft, real, half)


def test_the_average_follows() -> None:
    torch.manual_seed(0)
    nets = TrainedTogether.build(PRESETS["tiny"], 1)
    before = {name: value.clone() for name, value in nets.average.state_dict().items()}
    awake(nets.networks)
    nets.follow(0.75)
    for name, value in nets.average.state_dict().items():
        wanted = before[name] + 0.25 * (nets.networks.state_dict()[name] - before[name])
        torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize("name", ["tiny", "paper-small"])
def test_people_who_are_held_back_are_looked_at(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(report, "LOOKED_AT", 1)
    preset = PRESETS[name]
    batch = report.held_back_batches(
        files[:1], SampleOptions(64, 2, preset.reference_size, preset.style), CPU
    )
    nets = TrainedTogether.build(preset, 1)
    figures = report.look(nets, batch, tmp_path / "sheet.png")
    assert figures.keys() == {
        f"held_back_{what}_{of}" for what in ("person", "boxes") for of in ("made", "warp")
    }
    assert report.look(nets, batch, tmp_path / "again.png") == figures
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None and sheet.shape == (4 * 64, 2 * 7 * 64, 3)


# Going on


def test_a_run_that_was_stopped_goes_on_exactly(files: list[Path], tmp_path: Path) -> None:
    straight, figures = trained(tmp_path / "straight", files, 6)
    trained(tmp_path / "halves", files, 3)
    again, halves = trained(tmp_path / "halves", files, 6)
    assert len(figures) == len(halves) == 6
    for one, other in zip(figures, halves, strict=True):
        assert {**one, "per_second": 0} == {**other, "per_second": 0}
    for part in ("networks", "average", "critics"):
        for name, value in getattr(straight, part).state_dict().items():
            assert torch.equal(value, getattr(again, part).state_dict()[name]), name
    kept, resumed = (load_file(tmp_path / run / CHECKPOINT) for run in ("straight", "halves"))
    assert kept.keys() == resumed.keys() and all(torch.equal(kept[key], resumed[key]) for key in kept)
    assert any(key.startswith("optimizer_g.") for key in kept)


def test_a_finished_run_does_nothing_more(files: list[Path], tmp_path: Path) -> None:
    _, before = trained(tmp_path / "run", files, 2)
    _, after = trained(tmp_path / "run", files, 2)
    assert before == after


def test_a_file_that_is_no_checkpoint_is_told(files: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(run, files, 1)
    with pytest.raises(AvatarError, match="cannot go on from this checkpoint"):
        trained(run, files[:1], 2)  # columns of two clips
    save_networks(run / CHECKPOINT, "tiny", made_networks("tiny"), 1)
    with pytest.raises(AvatarError, match="not a checkpoint"):
        trained(run, files, 2)


@pytest.mark.parametrize("name", ["tiny", "paper-small"])
def test_a_run_begins_with_published_networks_alone(name: str, tmp_path: Path) -> None:
    file = tmp_path / "published.safetensors"
    save_networks(file, name, made_networks(name), 1000)
    torch.manual_seed(5)
    nets = TrainedTogether.build(PRESETS[name], 3)
    begin_with(nets, file, name)
    published = load_networks(file, name).networks.state_dict()
    for part in (nets.networks, nets.average):
        found = fold_spectral(part.eval()).state_dict()
        for key, value in published.items():
            torch.testing.assert_close(found[key], value, rtol=0.1, atol=1e-6)
    assert all(each.requires_grad for each in nets.networks.parameters())
    with pytest.raises(AvatarError):
        begin_with(nets, tmp_path / "missing.safetensors", name)


# The numbers of a run


def test_the_rates_fall_in_the_last_share_of_a_run() -> None:
    options = replace(TINY, settle=0.25)
    assert [options.settled(seen, 80) for seen in (0, 40, 60, 70, 75, 80)] == [1, 1, 1, 0.5, 0.25, 0]
    assert replace(TINY, settle=0.0).settled(79, 80) == 1


def test_a_run_that_settles_moves_less_at_its_end(files: list[Path], tmp_path: Path) -> None:
    """The first step is that of a run of full rate; the second has half of it, so it ends elsewhere."""
    full, _ = trained(tmp_path / "full", files, 2)
    settled, _ = trained(tmp_path / "settled", files, 2, replace(TINY, settle=1.0))
    still, _ = trained(tmp_path / "still", files, 1, replace(TINY, settle=0.0))
    steps = [
        sum(
            float((one - other).detach().abs().sum())
            for one, other in zip(nets.networks.parameters(), still.networks.parameters(), strict=True)
        )
        for nets in (full, settled)
    ]
    assert 0 < steps[1] < 0.7 * steps[0]


def test_the_critic_of_the_window_sees_a_piece_of_it(files: list[Path]) -> None:
    preset = PRESETS["tiny"]
    sample = SampleOptions(64, 2, preset.reference_size, preset.style)
    batch = next(batches(files, sample, seed=0, size=2, workers=0)).to(CPU)
    nets = TrainedTogether.build(preset, len(files))
    seen: list[tuple[int, ...]] = []
    nets.critics["whole"].register_forward_pre_hook(
        lambda _, given: seen.extend(tuple(x.shape) for x in given[:2])
    )
    critic_losses(nets, batch, batch.target, replace(TINY, piece=32))
    critic_losses(nets, batch, batch.target, replace(TINY, piece=64))
    assert [shape[-2:] for shape in seen] == [(32, 32)] * 4 + [(64, 64)] * 4


def test_options_come_back_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    for options in DEFAULTS.values():
        options.save(file)
        assert load_options(file) == options
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "leraning_rate": 1}))
    with pytest.raises(AvatarError, match="leraning_rate"):
        load_options(file)
    file.write_text("[")
    with pytest.raises(AvatarError, match=r"options\.json"):
        load_options(file)


def test_every_preset_has_options_of_its_own() -> None:
    assert DEFAULTS.keys() == PRESETS.keys()
    assert all(options.preset == name for name, options in DEFAULTS.items())
    assert len({dataclasses.astuple(options) for options in DEFAULTS.values()}) == len(DEFAULTS)


def test_what_is_due_is_due_once() -> None:
    rhythm = Rhythm(log=10)
    seen = [at for at in range(0, 60, 4) if rhythm.due(rhythm.log, at, at + 4)]
    assert seen == [8, 16, 28, 36, 48, 56]


def test_people_are_held_back_whole_and_never_most_of_them(tmp_path: Path) -> None:
    files = write_caches(tmp_path, people=5)
    learnt, back = hold_back(files, 3)
    assert len(learnt) == 4 and len(back) == 1 and sorted([*learnt, *back]) == files
    assert hold_back(files[:3], 3) == (files[:3], [])
    assert hold_back(files, 0) == (files, [])


def test_a_checkpoint_of_other_clips_or_cut_short_is_refused(files: list[Path], tmp_path: Path) -> None:
    trained(tmp_path / "run", files, steps=1)
    with pytest.raises(AvatarError, match="it learnt from other clips"):
        trained(tmp_path / "run", files[::-1], steps=2)
    whole = (tmp_path / "run" / CHECKPOINT).read_bytes()
    (tmp_path / "run" / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AvatarError, match="cannot go on from this checkpoint"):
        trained(tmp_path / "run", files, steps=2)


def test_losses_that_are_no_numbers_end_the_run_and_keep_the_checkpoint(
    files: list[Path], tmp_path: Path
) -> None:
    trained(tmp_path / "run", files, steps=1)
    kept = (tmp_path / "run" / CHECKPOINT).read_bytes()
    with pytest.raises(AvatarError, match="no numbers"):
        trained(tmp_path / "run", files, steps=2, options=replace(TINY, l1=float("nan")))
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == kept


def test_a_checkpoint_is_never_older_than_some_minutes(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a slow run must not lose half an hour."""
    saved: list[int] = []
    ticks = itertools.count(0, 200 * 10**9)
    monkeypatch.setattr("avatar.train.loop.clock.now_ns", lambda: next(ticks))
    monkeypatch.setattr("avatar.train.loop.save_checkpoint", lambda *given: saved.append(given[3]))
    run = tmp_path / "run"
    run.mkdir()
    train(
        run, files, [], TINY, samples=7 * TINY.batch, judges=Judges(), processes=Processes(),
        rhythm=Rhythm(log=NEVER, checkpoint=NEVER, sheet=NEVER), say=lambda line: None, workers=0,
    )  # fmt: skip
    assert len(saved) > 2 and saved[-1] == 7 * TINY.batch
