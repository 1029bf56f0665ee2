"""The networks of all presets: what is cached, what depends on what, and what they cost."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest
import torch
from made_windows import THIN_PAPER, Windows, awake, made_networks, made_windows
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avatar.model.blocks import (
    fold_spectral,
    instance_norm,
    load_folded,
    smooth_quarters,
    spectral,
    styles_of,
)
from avatar.model.embedder import mean_over_pictures
from avatar.model.expression import CODE, MOUTH_CODE, DriverLook, placed
from avatar.model.generator import Drawn, WindowBytes, blend
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS, Preset
from avatar.tools.drawing import CHANNELS

SMALL = ("live", "tiny", "paper-small")


def parts(drawn: Drawn) -> dict[str, Tensor]:
    return {field.name: getattr(drawn, field.name) for field in fields(drawn)}


def all_at_once(networks: Networks, given: Windows) -> Drawn:
    drawn: Drawn = networks(given.references, given.valid, given.warps, given.drawing, given.look)
    return drawn


@pytest.mark.parametrize("name", SMALL)
def test_what_is_cached_gives_what_all_at_once_gives(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    with torch.inference_mode():
        whole = all_at_once(networks, given)
        psi = networks.condition(networks.embed(given.references, given.valid))
        cached = networks.draw(given.warps, given.drawing, psi, given.look)
    for part, values in parts(whole).items():
        torch.testing.assert_close(parts(cached)[part], values, rtol=0, atol=0)


@pytest.mark.parametrize("name", SMALL)
def test_what_they_say_has_its_shape_and_range(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    with torch.inference_mode():
        drawn = all_at_once(networks, given)
    assert [tuple(values.shape) for values in parts(drawn).values()] == [
        (2, 2, 32, 32),
        (2, 1, 64, 64),
        (2, 3, 64, 64),
        (2, 1, 64, 64),
    ]
    for values in (drawn.keep, drawn.alpha):
        assert 0 <= values.min() and values.max() <= 1
    assert all(values.dtype == torch.float32 for values in parts(drawn).values())


@pytest.mark.parametrize("name", SMALL)
def test_somebody_else_in_the_same_pose_is_drawn_differently(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64, count=1)
    other = made_windows(PRESETS[name], 64, count=1, seed=1)
    with torch.inference_mode():
        embeddings = [networks.embed(one.references, one.valid) for one in (given, other)]
        made = [networks.draw(given.warps, given.drawing, networks.condition(e)).base for e in embeddings]
    assert (embeddings[0] - embeddings[1]).abs().max() > 1e-4
    assert (made[0] - made[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_a_picture_that_is_not_there_says_nothing(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    with torch.inference_mode():
        embeddings = networks.embed(given.references, given.valid)
        alone = networks.embed(given.references[1:, :1], torch.ones(1, 1))
    torch.testing.assert_close(embeddings[1:], alone, rtol=1e-4, atol=1e-5)


# The driver's look


def drawn_for(networks: Networks, given: Windows, look: DriverLook | None) -> Drawn:
    with torch.inference_mode():
        psi = networks.condition(networks.embed(given.references, given.valid))
        return networks.draw(given.warps, given.drawing, psi, look)


@pytest.mark.parametrize("name", ["live", "tiny"])
def test_another_mouth_of_the_driver_is_another_mouth_and_no_other_eye(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 128, count=1)
    close_ups = given.look.close_ups.clone()
    close_ups[:, 0] = close_ups[:, 0].flip(-2)
    code = getattr(networks.generator, "expression").code  # noqa: B009
    with torch.inference_mode():
        moved = (code(close_ups) - code(given.look.close_ups))[0] != 0
    assert moved[:MOUTH_CODE].all() and not moved[MOUTH_CODE:].any()
    made = [
        drawn_for(networks, given, replace(given.look, close_ups=x))
        for x in (close_ups, given.look.close_ups)
    ]
    assert (made[0].base - made[1].base).abs().max() > 1e-4


def test_codes_lie_where_mouth_and_eyes_are() -> None:
    boxes = torch.tensor([[[0.5, 0.75, 0.25], [0.25, 0.25, 0.25], [0.75, 0.25, 0.25]]])
    maps = placed(torch.arange(1.0, CODE + 1)[None], boxes, 32)
    assert maps.shape == (1, CODE, 32, 32)
    for channel, (row, column) in ((0, (24, 16)), (MOUTH_CODE, (8, 8)), (CODE - 1, (8, 24))):
        assert maps[0, channel, row, column] == channel + 1
        maps[0, channel, row - 6 : row + 7, column - 6 : column + 7] = 0
        assert not maps[0, channel].any()


def test_the_drivers_light_and_contrast_say_nothing() -> None:
    networks, given = made_networks("live").eval(), made_windows(PRESETS["live"], 64)
    code = getattr(networks.generator, "expression").code  # noqa: B009
    with torch.inference_mode():
        bright, dark = code(given.look.close_ups), code(0.3 * given.look.close_ups + 0.2)
    assert (bright - dark).abs().max() < 0.1 < bright.abs().max()


@pytest.mark.parametrize("name", ["live", "tiny"])
def test_a_driver_who_is_not_trusted_is_as_one_who_is_not_seen(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    unknown = drawn_for(networks, given, None)
    untrusted = drawn_for(networks, given, replace(given.look, trust=torch.zeros(2)))
    half = drawn_for(networks, given, replace(given.look, trust=torch.full((2,), 0.5)))
    for part, values in parts(unknown).items():
        torch.testing.assert_close(parts(untrusted)[part], values)
    assert (half.base - unknown.base).abs().max() > 1e-4


@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("name", SMALL)
def test_bytes_as_they_lie_in_memory_say_the_same(name: str, second: bool) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    warps, drawing = ((values * 255).round().byte() for values in (given.warps, given.drawing))
    if not second:
        warps[:, 1] = 0
    pictures = torch.cat([warps[:, 0], warps[:, 1], drawing], dim=1).permute(0, 2, 3, 1).contiguous()
    there = torch.full((2,), float(second))
    lain = WindowBytes(pictures, warps[:, 0, 3:4], warps[:, 1, :3], drawing[:, 1:2], there)
    with torch.inference_mode():
        psi = networks.condition(networks.embed(given.references, given.valid))
        wanted = networks.draw(warps.float() / 255, drawing.float() / 255, psi, given.look)
        found = networks.generator.forward_bytes(lain, psi, given.look)  # type: ignore[operator]
    for part, values in parts(wanted).items():
        torch.testing.assert_close(parts(found)[part], values, rtol=1e-4, atol=1e-5)


def test_smooth_quarters_are_what_interpolation_gives() -> None:
    x = torch.rand(2, 3, 5, 7)
    wanted = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(F.pixel_shuffle(smooth_quarters(x), 2), wanted)


def test_the_embedding_is_the_mean_over_the_pictures_that_are_there() -> None:
    embeddings = torch.tensor([[[1.0, 2], [3, 4], [90, 90]]])
    assert mean_over_pictures(embeddings, torch.tensor([[1.0, 1, 0]])).tolist() == [[2, 3]]


@pytest.mark.parametrize("preset", [*(PRESETS[name] for name in SMALL), THIN_PAPER], ids=lambda p: p.name)
def test_every_parameter_learns(preset: Preset) -> None:
    networks = preset.networks()
    awake(networks)
    given = made_windows(preset, 64, reference_size=64)
    drawn = all_at_once(networks, given)
    noise = torch.Generator().manual_seed(1)
    loss = sum(
        ((values * torch.rand(values.shape, generator=noise)).sum() for values in parts(drawn).values()),
        start=torch.zeros(()),
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert unmoved(networks) == []
    critic = preset.discriminator(3)
    awake(critic)
    verdict = critic(given.warps[:, 0, :3], given.drawing, torch.tensor([0, 2]))
    assert verdict.score.shape == (2,) and verdict.patches.shape[:2] == (2, 1)
    (verdict.score.sum() + verdict.patches.square().sum()).backward()
    assert unmoved(critic) == []
    columns = critic.get_parameter("projection.columns.weight").grad
    assert columns is not None and columns.any(dim=1).tolist() == [True, False, True]


def unmoved(network: nn.Module) -> list[str]:
    """The parameters without a gradient."""
    return [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]


@pytest.mark.parametrize(
    ("name", "low", "high"), [("live", 1.4, 1.5), ("paper-small", 1.3, 1.5), ("paper", 46, 49)]
)
def test_the_cost_of_a_frame(name: str, low: float, high: float) -> None:
    preset = PRESETS[name]
    networks = preset.networks().eval()
    warps, drawing = torch.zeros(1, 2, 5, 256, 256), torch.zeros(1, CHANNELS[preset.style], 256, 256)
    psi = torch.zeros(1, networks.projection.out_features)
    # Not in inference mode, in which the counter sees nothing of a spectral norm.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        networks.draw(warps, drawing, psi, made_windows(preset, 256, count=1).look)
    assert low < counter.get_total_flops() / 2e9 < high


# Spectral norms


@pytest.mark.parametrize("name", ["paper-small", "tiny"])
def test_folded_networks_give_the_same_and_leave_the_others_whole(name: str) -> None:
    networks, given = made_networks(name).eval(), made_windows(PRESETS[name], 64)
    folded = fold_spectral(copy.deepcopy(networks))
    with torch.inference_mode():
        before, after = all_at_once(networks, given), all_at_once(folded, given)
    for part, values in parts(before).items():
        torch.testing.assert_close(parts(after)[part], values)
    assert not any("parametrizations" in key for key in folded.state_dict())
    again = fold_spectral(copy.deepcopy(networks))
    assert again.state_dict().keys() == folded.state_dict().keys()


def test_folded_weights_go_back_into_networks_that_are_to_learn() -> None:
    """Their greatest singular values are known again, so that nothing is divided by far too little."""
    learnt, fresh = made_networks("paper-small").train(), PRESETS["paper-small"].networks()
    given = made_windows(PRESETS["paper-small"], 32, count=1, views=1, reference_size=32)
    with torch.no_grad():
        for _ in range(40):  # each a step of the power method
            all_at_once(learnt, given)
    folded = fold_spectral(copy.deepcopy(learnt).eval())
    load_folded(fresh, folded.state_dict())
    for mode in (fresh.eval(), fresh.train()):
        with torch.no_grad():
            weights = dict(fold_spectral(copy.deepcopy(mode)).named_parameters())
        for name, weight in folded.named_parameters():
            torch.testing.assert_close(weights[name], weight, rtol=0.05, atol=1e-6)


def test_networks_without_spectral_norm_come_back_bit_by_bit() -> None:
    learnt, fresh = made_networks("tiny"), PRESETS["tiny"].networks()
    load_folded(fresh, fold_spectral(copy.deepcopy(learnt)).state_dict())
    for name, value in learnt.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)


def test_a_spectral_layer_stretches_nothing() -> None:
    torch.manual_seed(0)
    layer = spectral(nn.Linear(20, 10)).train()
    for _ in range(50):
        layer(torch.rand(1, 20))
    largest = torch.linalg.matrix_norm(layer.eval().weight.detach(), 2)
    assert float(largest) == pytest.approx(1, abs=1e-3)


# Small parts


def test_styles_are_cut_in_order() -> None:
    psi = torch.arange(10.0)[None]
    first, second = styles_of(psi, (2, 3))
    assert [part.tolist() for part in first] == [[[0, 1]], [[2, 3]]]
    assert [part.tolist() for part in second] == [[[4, 5, 6]], [[7, 8, 9]]]


def test_instance_norm_keeps_its_statistics_in_whole_numbers_of_32_bits() -> None:
    torch.manual_seed(0)
    x = 100 + torch.rand(1, 3, 64, 64)
    normed = instance_norm(x.bfloat16())
    assert normed.dtype == torch.bfloat16
    assert normed.float().mean().abs() < 0.01


@pytest.mark.parametrize("side", [48, 64, 256, 512])
def test_keeping_all_and_moving_nothing_is_the_warp(side: int) -> None:
    best = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    drawn = Drawn(
        flow=torch.zeros(2, 2, side // 2, side // 2),
        keep=torch.ones(2, 1, side, side),
        base=torch.zeros(2, 3, side, side),
        alpha=torch.ones(2, 1, side, side),
    )
    # To the bit where halves of a pixel are exact numbers.
    exact = side & (side - 1) == 0
    torch.testing.assert_close(blend(drawn, best), best, rtol=0, atol=0 if exact else 1e-5)


def test_the_flow_says_where_a_pixel_comes_from() -> None:
    side = 64
    best = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(1, 2, side // 2, side // 2)
    flow[:, 0] = 3 / side
    flow[:, 1] = -5 / side
    shape = (1, 1, side, side)
    moved = blend(Drawn(flow, torch.ones(shape), torch.zeros(1, 3, side, side), torch.ones(shape)), best)
    wanted = best.roll((5, -3), dims=(2, 3))
    torch.testing.assert_close(moved[..., 6:, :-6], wanted[..., 6:, :-6], atol=1e-4, rtol=0)


def test_fresh_live_networks_all_but_keep_the_warp() -> None:
    networks, given = PRESETS["live"].networks().eval(), made_windows(PRESETS["live"], 64)
    given.warps[:, 1] = 0  # one view only
    given.drawing[:, 1] = 0  # mouth shut
    with torch.inference_mode():
        drawn = all_at_once(networks, given)
        person = blend(drawn, given.warps[:, 0, :3])
    assert not drawn.flow.any() and drawn.keep.min() > 0.9
    torch.testing.assert_close(drawn.alpha, given.warps[:, 0, 3:4])
    assert (person - given.warps[:, 0, :3]).abs().mean() < 0.03
