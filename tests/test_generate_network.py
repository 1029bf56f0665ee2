"""The generate stage with a network: what it says is applied where it was said, at the picture's own size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_motions import driven, rigid
from made_windows import EXACT, ROUGH, awake
from safetensors.numpy import load_file, save_file

from avatar.errors import ModelError
from avatar.generate import (
    NetworkGenerator,
    WarpGenerator,
    condition,
    load_networks,
    network_generator,
    open_generator,
    psi_of,
    save_networks,
)
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS
from avatar.pipeline import Renderer, with_conditioning
from avatar.records import Identity
from avatar.tools.close_ups import CLOSE_UP, boxes_of
from avatar.warp import ViewWarper

SIDE = 160
TINY = PRESETS["tiny"]


def fresh(seed: int = 0) -> Networks:
    torch.manual_seed(seed)
    return TINY.networks()


def head(networks: Networks) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the last convolution, which is all zero in fresh networks."""
    layer = networks.generator.head
    assert isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
    return layer.weight.data, layer.bias.data


def saved(networks: Networks, path: Path, preset: str = "tiny") -> Path:
    save_networks(path, preset, networks, 7)
    return path


def keeping(networks: Networks) -> Networks:
    """Networks that say: keep every pixel of the best warp."""
    networks.generator.get_parameter("mouth_bias").data.zero_()
    head(networks)[1][8 + 4 * 3 : 8 + 4 * 4] = 10.0  # four pixels of the logit for the best warp
    return networks


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(fresh(), tmp_path / "tiny.safetensors")


@pytest.mark.parametrize("side", [SIDE, 2 * SIDE + 1])
def test_networks_that_keep_all_give_the_bare_warp(
    astronaut_identity: Identity, tmp_path: Path, side: int
) -> None:
    trained = load_networks(saved(keeping(fresh()), tmp_path / "keep.safetensors"), "tiny")
    motion = driven(astronaut_identity, {"jawOpen": 0.5})
    warped = ViewWarper(astronaut_identity.front, side)(motion)
    bare = WarpGenerator(astronaut_identity, side)(warped, motion).rgb
    made = NetworkGenerator(astronaut_identity, side, trained, EXACT)(warped, motion).rgb
    assert made.shape == (side, side, 3) and made.dtype == np.uint8
    assert np.abs(made.astype(int) - bare).max() <= 2


def test_paint_reaches_the_face_and_fades_before_the_window_ends(
    astronaut_identity: Identity, tmp_path: Path
) -> None:
    networks = fresh()
    bias = head(networks)[1]
    bias[5] = 10.0  # the logit for paint
    bias[8 : 8 + 4] = 5.0  # its red
    bias[8 + 4 : 8 + 12] = -5.0  # green and blue
    trained = load_networks(saved(networks, tmp_path / "red.safetensors"), "tiny")
    bare = WarpGenerator(astronaut_identity, SIDE)
    motion = rigid(astronaut_identity)
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    made = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)(warped, motion).rgb
    nose = (astronaut_identity.front.landmarks[4, :2] * SIDE).astype(int)
    assert (np.abs(made[nose[1], nose[0]].astype(int) - (255, 0, 0)) < 20).all()
    rim = np.ones((SIDE, SIDE), bool)
    rim[8:-8, 8:-8] = False  # the window is 2.1 of the crop's 2.8 faces
    assert np.abs(made.astype(int) - bare(warped, motion).rgb)[rim].max() <= 1


@pytest.mark.parametrize(("added", "appears"), [(0.3, False), (0.95, True)])
def test_more_of_the_person_appears_only_where_the_network_is_sure(
    astronaut_identity: Identity, tmp_path: Path, added: float, appears: bool
) -> None:
    networks = keeping(fresh())
    head(networks)[1][8 + 4 * 5 : 8 + 4 * 6] = float(np.arctanh(added))
    trained = load_networks(saved(networks, tmp_path / "wide.safetensors"), "tiny")
    motion = rigid(astronaut_identity)
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    green = replace(warped, person=np.full_like(warped.person, (0, 255, 0)))
    made = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)(green, motion).rgb
    bare = WarpGenerator(astronaut_identity, SIDE)(green, motion).rgb
    beside = warped.alpha < 10
    assert (np.abs(made.astype(int) - bare)[beside].max() > 100) == appears


def test_the_flow_moves_pixels_of_the_crop(astronaut_identity: Identity, tmp_path: Path) -> None:
    networks = keeping(fresh())
    head(networks)[1][0] = 5.0  # each pixel comes from farther right, by the most that is allowed
    trained = load_networks(saved(networks, tmp_path / "shift.safetensors"), "tiny")
    motion = rigid(astronaut_identity)
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    made = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)(warped, motion).rgb
    bare = WarpGenerator(astronaut_identity, SIDE)(warped, motion).rgb
    step = round(0.04 * 2.1 / 2.8 * SIDE)
    middle = np.s_[SIDE // 2 - 20 : SIDE // 2 + 20, SIDE // 2 - 20 : SIDE // 2 + 20]
    moved, still = (
        np.abs(made[middle] - np.roll(bare, -by, axis=1)[middle].astype(int)).mean() for by in (step, 0)
    )
    assert moved < 0.5 * still


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_a_few_rows_at_a_time_are_all_at_once(
    astronaut_identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: float
) -> None:
    networks = fresh()
    awake(networks)
    trained = load_networks(saved(networks, tmp_path / "awake.safetensors"), "tiny")
    motion = rigid(astronaut_identity, turn=(0, 0, turn))
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    generate = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)
    made = {}
    for rows in (7, SIDE):
        monkeypatch.setattr(network_generator, "STRIP", rows)
        made[rows] = generate(warped, motion).rgb.astype(int)
    assert np.abs(made[7] - made[SIDE]).max() <= 1
    bare = WarpGenerator(astronaut_identity, SIDE)(warped, motion).rgb
    assert np.abs(made[7] - bare).max() > 20


def test_what_the_camera_saw_of_the_driver_changes_the_mouth_alone(
    astronaut_identity: Identity, tmp_path: Path
) -> None:
    networks = fresh()
    awake(networks)
    networks.generator.get_parameter("tell4.weight").data *= 30
    trained = load_networks(saved(networks, tmp_path / "awake.safetensors"), "tiny")
    motion = driven(astronaut_identity, {"jawOpen": 0.5})
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    generator = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)
    ramp = np.tile(np.arange(CLOSE_UP, dtype=np.uint8) * 8, (3, CLOSE_UP, 1))
    teeth = ramp.copy()
    teeth[0] = ramp[0].T
    made = [
        generator(warped, replace(motion, close_ups=seen, trust=trust)).rgb.astype(int)
        for seen, trust in ((None, 0.0), (ramp, 1.0), (teeth, 1.0), (teeth, 0.0))
    ]
    assert (made[0] == made[3]).all() and np.abs(made[0] - made[1]).max() > 2
    changed = np.abs(made[2] - made[1]).max(axis=2)
    x, y, side = boxes_of(motion.landmarks[:, :2] * SIDE)[0].tolist()
    rows, columns = np.nonzero(changed > changed.max() / 4)
    assert changed.max() > 2 and abs(np.median(columns) - x) < side and abs(np.median(rows) - y) < side


def test_a_second_view_changes_the_picture(astronaut_identity: Identity, tmp_path: Path) -> None:
    networks = fresh()
    head(networks)[1][8 + 4 * 4 : 8 + 4 * 5] = 10.0  # the logit for the second view
    trained = load_networks(saved(networks, tmp_path / "other.safetensors"), "tiny")
    motion = rigid(astronaut_identity)
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    grey = replace(warped, person=np.full_like(warped.person, 128))
    generator = NetworkGenerator(astronaut_identity, SIDE, trained, EXACT)
    alone = generator(warped, motion).rgb
    both = generator(replace(warped, other=grey), motion).rgb
    nose = (astronaut_identity.front.landmarks[4, :2] * SIDE).astype(int)
    assert np.abs(both[nose[1], nose[0]].astype(int) - 128).max() <= 3
    assert np.abs(alone.astype(int) - both).max() > 20


def test_stored_parameters_are_used_if_they_are_of_these_networks(
    astronaut_identity: Identity, file: Path, tmp_path: Path
) -> None:
    trained = load_networks(file, "tiny")
    stored = condition(astronaut_identity, trained)
    assert torch.equal(
        psi_of(replace(astronaut_identity, conditioning=stored), trained), psi_of(astronaut_identity, trained)
    )
    marked = replace(stored, tensors={**stored.tensors, "psi": np.full_like(stored.tensors["psi"], 3)})
    assert (psi_of(replace(astronaut_identity, conditioning=marked), trained) == 3).all()
    others = load_networks(saved(fresh(seed=1), tmp_path / "others.safetensors"), "tiny")
    anew = psi_of(replace(astronaut_identity, conditioning=marked), others)
    assert torch.equal(anew, psi_of(astronaut_identity, others))


def test_networks_come_back_as_they_were_written(file: Path) -> None:
    trained = load_networks(file, "tiny")
    assert trained.samples == 7 and trained.preset is TINY and len(trained.sha256) == 64
    wanted = fresh().state_dict()
    for name, value in trained.networks.state_dict().items():
        assert torch.allclose(value, wanted[name], atol=1e-3), name
        assert value.dtype == torch.float32


def test_bf16_is_near_float32(astronaut_identity: Identity, file: Path) -> None:
    trained = load_networks(file, "tiny")
    motion = driven(astronaut_identity, {"jawOpen": 0.6})
    warped = ViewWarper(astronaut_identity.front, SIDE)(motion)
    exact, rough = (
        NetworkGenerator(astronaut_identity, SIDE, trained, wanted)(warped, motion).rgb.astype(int)
        for wanted in (EXACT, ROUGH)
    )
    assert np.abs(exact - rough).mean() < 1


def test_other_files_are_refused_in_one_line(
    file: Path, tmp_path: Path, astronaut_identity: Identity
) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        open_generator("live", astronaut_identity, SIDE, weights=tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match=r"tiny\.safetensors: is damaged or not a file of trained networks"):
        open_generator("live", astronaut_identity, SIDE, weights=file)
    tensors = load_file(file)
    tensors["projection.bias"][0] = np.nan
    bad = tmp_path / "nan.safetensors"
    header = {"format": "livehead-networks", "version": "1", "preset": "tiny", "samples": "1"}
    save_file(tensors, bad, header)
    with pytest.raises(ModelError, match=r"projection\.bias"):
        load_networks(bad, "tiny")
    save_file(tensors, bad, {**header, "preset": "live"})
    with pytest.raises(ModelError, match="preset live, not tiny"):
        load_networks(bad, "tiny")


def test_a_preset_without_weights_says_how_to_get_some(astronaut_identity: Identity) -> None:
    with pytest.raises(ModelError, match="avatar train --preset paper"):
        open_generator("paper", astronaut_identity, SIDE)


def test_enrolled_with_networks_an_identity_knows_its_parameters(
    astronaut_identity: Identity, file: Path
) -> None:
    conditioned = with_conditioning(astronaut_identity, "tiny", file)
    stored = conditioned.conditioning
    assert stored is not None and stored.weights_sha256 == load_networks(file, "tiny").sha256
    assert np.array_equal(
        stored.tensors["psi"], condition(astronaut_identity, load_networks(file, "tiny")).tensors["psi"]
    )


def test_weights_of_other_shapes_are_refused_in_one_line(file: Path, tmp_path: Path) -> None:
    tensors = load_file(file)
    tensors["projection.bias"] = tensors["projection.bias"][1:].copy()
    other = tmp_path / "other.safetensors"
    save_file(
        tensors, other, {"format": "livehead-networks", "version": "1", "preset": "tiny", "samples": "1"}
    )
    with pytest.raises(ModelError, match=r"projection\.bias is \(\d+,\), not"):
        load_networks(other, "tiny")


@pytest.mark.parametrize(("name", "other"), [("warp", False), ("live", True)])
def test_the_second_view_is_moved_only_for_who_looks_at_it(
    astronaut_identity: Identity, name: str, other: bool
) -> None:
    several = replace(astronaut_identity, views=astronaut_identity.views * 2)
    renderer = Renderer(several, head_size=128, generator=name)
    assert (renderer._warp(rigid(several), 0).other is not None) == other
