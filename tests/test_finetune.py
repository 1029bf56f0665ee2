"""Networks adapted to one person: what is taught, what is stored, and who uses it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_caches import drawn_view, talking, write_caches
from made_motions import rigid
from made_people import made_identity
from made_windows import EXACT, made_networks

from avatar.errors import AvatarError, IdentityFileError
from avatar.generate import (
    NetworkGenerator,
    Trained,
    condition,
    load_networks,
    networks_of,
    psi_of,
    save_networks,
)
from avatar.identity.file import load_identity, save_identity
from avatar.identity.sanity import NUMBERS_MAX, TENSORS_MAX, check_identity
from avatar.model.generator import blend
from avatar.model.presets import PRESETS
from avatar.records import Identity
from avatar.train import finetune as tuning
from avatar.train.checkpoint import load_critics
from avatar.train.data.batches import collate
from avatar.train.data.samples import Sample
from avatar.train.finetune import BATCH, TUNED, finetune
from avatar.train.loop import CHECKPOINT, train
from avatar.train.losses import pyramid_l1
from avatar.train.options import DEFAULTS
from avatar.train.own_views import OwnViews, mirrored, moved_away
from avatar.train.processes import Processes
from avatar.train.step import Judges
from avatar.warp import ViewWarper

SIDE = 256


def person(views: int) -> Identity:
    """A drawn person with so many views, as it could be stored."""
    found = tuple(drawn_view(face, SIDE, seed=3) for face in talking(max(views, 2), seed=1)[:views])
    plate = np.full((SIDE, SIDE, 3), 120, np.uint8)
    return replace(made_identity(), views=found, plate=plate, neutral=found[0].landmarks)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    file = tmp_path_factory.mktemp("networks") / "tiny.safetensors"
    save_networks(file, "tiny", made_networks("tiny"), 10)
    return load_networks(file, "tiny")


@pytest.fixture(scope="module")
def several() -> Identity:
    return person(3)


@pytest.fixture(scope="module")
def tuned(several: Identity, trained: Trained) -> Identity:
    return finetune(several, trained, steps=30, judges=Judges())


def error(identity: Identity, trained: Trained) -> float:
    """Of the identity's own views, each made of the others."""
    views = OwnViews(identity.views, trained.preset.size, trained.preset.style, seed=9)
    batch = collate([views.nearest(target) for target in range(len(identity.views))])
    psi = psi_of(identity, trained).expand(len(batch.target), -1)
    with torch.no_grad():
        drawn = networks_of(identity, trained).draw(batch.warps, batch.drawing, psi, batch.look)
        person = blend(drawn, batch.warps[:, 0, :3])
    return float(pyramid_l1(person, batch.target, batch.matte))


# What it does


def test_the_person_is_drawn_better(several: Identity, tuned: Identity, trained: Trained) -> None:
    assert error(tuned, trained) < 0.7 * error(several, trained)


def test_the_published_networks_stay_as_they_are(
    several: Identity, tuned: Identity, trained: Trained
) -> None:
    fresh = made_networks("tiny").state_dict()
    for name, value in trained.networks.state_dict().items():
        torch.testing.assert_close(value, fresh[name].half().float(), rtol=0, atol=0)
    assert networks_of(several, trained) is trained.networks
    assert networks_of(tuned, trained) is not trained.networks
    assert not any(each.requires_grad for each in trained.networks.parameters())


def test_the_same_again_gives_the_same(several: Identity, trained: Trained) -> None:
    one, other = (finetune(several, trained, steps=3, judges=Judges()).conditioning for _ in range(2))
    assert one is not None and other is not None and one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor, other.tensors[name])
    another = finetune(several, trained, steps=3, judges=Judges(), seed=1).conditioning
    assert another is not None and (another.tensors["psi"] != one.tensors["psi"]).any()


def test_it_takes_no_more_steps_than_it_may(several: Identity, trained: Trained) -> None:
    told: list[tuple[int, int]] = []
    finetune(several, trained, steps=4, judges=Judges(), progress=lambda *done: told.append(done))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    untouched = finetune(several, trained, steps=0, judges=Judges())
    assert torch.equal(psi_of(untouched, trained), psi_of(several, trained))


def test_it_ends_when_the_picture_held_back_gets_worse(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what drew that one best is kept: here, the beginning."""
    identity = person(4)

    def spoil(adam: torch.optim.Optimizer, loss: torch.Tensor) -> None:
        """Paint everything, in no colour that is in the picture."""
        adam.step()  # with no gradient: it only counts
        for group in adam.param_groups:
            for parameter in group["params"]:
                if parameter.shape == (32,):  # the bias of the last layer: paint, and its red, green and blue
                    parameter.data[5] += 10
                    parameter.data[8:20] += 5

    monkeypatch.setattr(tuning, "_go_down", spoil)
    for name, value in (("LOOK", 2), ("PATIENCE", 2)):
        monkeypatch.setattr(tuning, name, value)
    told: list[int] = []
    found = finetune(identity, trained, steps=50, judges=Judges(), progress=lambda done, _: told.append(done))
    assert told == [1, 2, 3, 4]
    assert torch.equal(psi_of(found, trained), psi_of(identity, trained))
    own, published = (networks_of(each, trained).state_dict() for each in (found, identity))
    for key, value in published.items():
        torch.testing.assert_close(own[key], value, rtol=1e-3, atol=1e-3)


def test_the_picture_held_back_is_not_learnt_from(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []

    def of(self: OwnViews, targets: list[int]) -> list[Sample]:
        asked.append(targets)
        return []

    monkeypatch.setattr(OwnViews, "of", of)
    for views in (1, 3, 4, 6, 8):
        psi = psi_of(person(views), trained)
        taught, kept, held_back = tuning._samples(person(views), trained, psi, 0)
        assert (0 if held_back is None else len(held_back.target)) == (views + 1) // 4 * (views >= 4)
        assert taught == kept == []
    assert asked == [[0], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4, 5], [0, 1, 3, 4, 5, 7]]


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_trained_is_there_and_fits_into_a_file(name: str) -> None:
    generator = PRESETS[name].networks().generator
    parameters = dict(generator.named_parameters())
    names = [each for each in parameters if each.startswith(TUNED[name])]
    assert all(any(each.startswith(beginning) for each in names) for beginning in TUNED[name])
    numbers = sum(parameters[each].numel() for each in names)
    assert numbers + 20_000 < NUMBERS_MAX and len(names) < TENSORS_MAX - 2


def test_the_papers_networks_learn_a_person_too(several: Identity, tmp_path: Path) -> None:
    file = tmp_path / "small.safetensors"
    save_networks(file, "paper-small", made_networks("paper-small"), 10)
    small = load_networks(file, "paper-small")
    small = replace(small, preset=replace(small.preset, size=64))  # for speed
    found = finetune(several, small, steps=2, judges=Judges())
    assert found.conditioning is not None
    assert "generator.middle.0.conv1.weight" in found.conditioning.tensors
    assert error(found, small) != error(several, small)


# What is stored


def test_psi_and_layers_come_back_from_the_file(tuned: Identity, trained: Trained, tmp_path: Path) -> None:
    save_identity(tuned, tmp_path / "me.avatar")
    loaded = load_identity(tmp_path / "me.avatar")
    assert loaded.conditioning is not None and tuned.conditioning is not None
    names = loaded.conditioning.tensors.keys()
    assert names == tuned.conditioning.tensors.keys()
    assert {"psi", "embedding", "generator.head.weight", "generator.decode2.bias"} <= names
    assert not any(name.startswith("generator.stem") for name in names)
    assert torch.equal(psi_of(loaded, trained), psi_of(tuned, trained))
    own, theirs = (networks_of(each, trained).state_dict() for each in (loaded, tuned))
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    # JPEG has changed the other views a little.
    assert error(loaded, trained) == pytest.approx(error(tuned, trained), rel=0.1)


def test_a_call_shows_the_person_with_his_own_layers(
    several: Identity, tuned: Identity, trained: Trained
) -> None:
    motion = rigid(several, turn=(0, 0.1, 0))
    warped = ViewWarper(several.front, SIDE)(motion)
    before, after = (
        NetworkGenerator(each, SIDE, trained, EXACT)(warped, motion).rgb for each in (several, tuned)
    )
    assert (before != after).any()
    assert tuned.conditioning is not None
    layers = {
        name: tensor for name, tensor in tuned.conditioning.tensors.items() if name in ("psi", "embedding")
    }
    psi_alone = replace(tuned, conditioning=replace(tuned.conditioning, tensors=layers))
    assert (NetworkGenerator(psi_alone, SIDE, trained, EXACT)(warped, motion).rgb != after).any()


def test_other_weights_do_not_use_it(tuned: Identity, several: Identity, tmp_path: Path) -> None:
    file = tmp_path / "others.safetensors"
    save_networks(file, "tiny", made_networks("tiny", seed=1), 10)
    others = load_networks(file, "tiny")
    assert torch.equal(psi_of(tuned, others), psi_of(several, others))
    assert networks_of(tuned, others) is others.networks


@pytest.mark.parametrize(
    "wrong",
    [
        {"psi": np.zeros(3, np.float32)},
        {"generator.head.weight": np.zeros((2, 3, 3, 3), np.float32)},
        {"generator.nothing": np.zeros(4, np.float32)},
        {"projection.weight": np.zeros(4, np.float32)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_says_it_is_of_these_networks_and_is_not_is_refused(
    several: Identity, trained: Trained, wrong: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]
) -> None:
    stored = condition(several, trained)
    bad = replace(several, conditioning=replace(stored, tensors={**stored.tensors, **wrong}))
    for use in (psi_of, networks_of):
        with pytest.raises(IdentityFileError, match="does not fit"):
            use(bad, trained)


# The views


def test_a_single_view_is_made_of_pixels_that_were_away() -> None:
    view = person(1).front
    samples = OwnViews([view], 64, "layers", seed=0).of([0])
    off = []
    for sample in samples:
        cover = sample.target[..., 3] > 200
        off.append(np.abs(sample.warps[0, ..., :3].astype(int) - sample.target[..., :3])[cover].mean())
        assert sample.warps[0, ..., 3].mean() > 40
    assert 1 < np.mean(off) < 20 and np.std(off) > 0.1
    assert 0 < sum(bool(sample.warps[1].any()) for sample in samples) < len(samples)


def test_of_several_views_the_first_sample_is_as_in_a_call() -> None:
    views = person(5).views
    one, other = (OwnViews(views, 64, "layers", seed=seed) for seed in (0, 1))
    a, b = one.of([2]), other.of([2])
    np.testing.assert_array_equal(a[0].warps, b[0].warps)
    assert a[0].warps[1].any()
    assert any((x.warps != y.warps).any() for x, y in zip(a, b, strict=True))
    np.testing.assert_array_equal(one.nearest(2).warps, a[0].warps)


def test_a_view_that_was_moved_away_is_still_a_view() -> None:
    identity = person(1)
    for seed in range(4):
        moved = moved_away(identity.front, np.random.default_rng(seed))
        assert (moved.landmarks != identity.front.landmarks).any()
        check_identity(replace(identity, views=(moved,)))


def test_a_mirror_shows_the_other_side() -> None:
    view = person(1).front
    twice = mirrored(mirrored(view))
    np.testing.assert_array_equal(twice.texture, view.texture)
    np.testing.assert_allclose(twice.landmarks, view.landmarks, atol=1e-6)
    np.testing.assert_array_equal(twice.blendshapes, view.blendshapes)
    once = mirrored(view)
    np.testing.assert_allclose(once.landmarks[33], view.landmarks[263] * (-1, 1, 1) + (1, 0, 0), atol=1e-6)


# With a discriminator


def test_critics_of_a_run_take_part(
    several: Identity, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(DEFAULTS["tiny"], bf16=False)
    files = write_caches(tmp_path)
    alone = Processes()
    train(
        tmp_path,
        files,
        [],
        options,
        samples=4,
        judges=Judges(),
        processes=alone,
        say=lambda line: None,
        workers=0,
    )
    checkpoint = tmp_path / CHECKPOINT
    embedding = torch.from_numpy(condition(several, trained).tensors["embedding"])
    critics = load_critics(checkpoint, PRESETS["tiny"], embedding)
    column = critics.get_parameter("whole.projection.columns.weight")
    assert torch.equal(column[0], embedding) and len(column) == 1
    plain = finetune(several, trained, steps=2, judges=Judges())
    judged = finetune(several, trained, steps=2, judges=Judges(), checkpoint=checkpoint)
    assert not torch.equal(psi_of(plain, trained), psi_of(judged, trained))
    for wrong in (tmp_path / "none.safetensors", files[0]):
        with pytest.raises(AvatarError):
            finetune(several, trained, steps=2, judges=Judges(), checkpoint=wrong)
    with pytest.raises(AvatarError, match="has no critics of the preset live"):
        load_critics(checkpoint, PRESETS["live"], torch.zeros(128))


@pytest.mark.parametrize("count", [1, 4])
def test_views_are_drawn_elsewhere_as_before(trained: Trained, count: int) -> None:
    identity = person(count)
    psi = psi_of(identity, trained)
    taught, kept, _ = tuning._samples(identity, trained, psi, 0)
    assert len(taught) == len(kept)
    batch = collate(kept)
    with torch.no_grad():
        drawn = trained.networks.draw(batch.warps, batch.drawing, psi.expand(len(kept), -1), batch.look)
    made = blend(drawn, batch.warps[:, 0, :3]).clamp(0, 1)
    torch.testing.assert_close(batch.target, made, rtol=0, atol=0.01)
    assert (batch.drawing[0] != batch.drawing[1]).any()
    stream = tuning._batches(taught, kept, seed=0)
    for number in range(3):
        step = next(stream)
        assert len(step.target) == BATCH
        wanted = np.random.default_rng(number * BATCH).random(2, np.float32)
        assert step.place.tolist() == wanted.tolist()
        assert any((step.target[0] == collate([sample]).target[0]).all() for sample in taught)
        assert any((step.target[1] == collate([sample]).target[0]).all() for sample in kept)


def test_every_sample_comes_before_any_comes_again() -> None:
    samples = OwnViews(person(3).views, 64, "layers", seed=0).of([0, 1, 2])
    stream = tuning._batches(samples, samples[:1], seed=0)
    shown = torch.cat([next(stream).warps[: BATCH // 2] for _ in range(2 * len(samples) // BATCH)])
    wanted = collate(samples).warps
    assert all(any(torch.equal(one, other) for other in shown) for one in wanted)
