"""The paper's networks in the generate stage, and an answer of 256 pixels applied at other resolutions."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made_motions import driven
from made_windows import EXACT, ROUGH, made_networks, made_windows
from numpy.typing import NDArray

from avatar.generate import NetworkGenerator, Trained, load_networks, save_networks
from avatar.model.generator import Drawn, blend
from avatar.model.presets import PRESETS
from avatar.records import U8, Identity, Motion, Warped
from avatar.tools.drawing import draw_landmarks
from avatar.tools.network_input import reference_picture, warp_slot
from avatar.tools.scaling import resized
from avatar.tools.window import cut_window, head_window
from avatar.warp import ViewWarper

SIDES = (340, 680)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return written("paper-small", tmp_path_factory.mktemp("networks"))


def written(name: str, folder: Path) -> Trained:
    """Networks of a preset, awake, as they come out of a file."""
    file = folder / f"{name}.safetensors"
    save_networks(file, name, made_networks(name), 1)
    return load_networks(file, name)


def test_the_papers_networks_come_out_of_a_file_nearly_as_they_went_in(painted: Trained) -> None:
    given = made_windows(PRESETS["paper-small"], 64)
    networks = made_networks("paper-small").eval()
    with torch.inference_mode():
        before, after = (
            each(given.references, given.valid, given.warps, given.drawing)
            for each in (networks, painted.networks)
        )
    assert (before.base - after.base).abs().mean() < 0.01  # written in half precision
    assert before.base.std() > 0.05


def test_the_papers_networks_paint_the_head_alone(astronaut_identity: Identity, painted: Trained) -> None:
    """No pixel of the warp is left where they paint, and bfloat16 does as well."""
    side = SIDES[0]
    motion = driven(astronaut_identity, {"jawOpen": 0.4})
    warped = ViewWarper(astronaut_identity.front, side)(motion)
    window, size = head_window(motion.landmarks), painted.preset.size
    whole, half = (
        NetworkGenerator(astronaut_identity, side, painted, wanted)(warped, motion).rgb
        for wanted in (EXACT, ROUGH)
    )
    assert np.abs(whole.astype(int) - half).mean() < 2
    # What the network says of the window is what is seen there.
    drawn, wanted = answer(astronaut_identity, painted, warped, motion)
    assert np.abs(coarse(cut_window(whole, window, size)) - coarse(wanted)).mean() < 4
    assert not drawn.keep.any() and not drawn.flow.any()
    alpha = _tensor(warp_slot(warped, window, size)[None])[:, 3:4]
    torch.testing.assert_close(drawn.alpha, alpha)


def answer(identity: Identity, trained: Trained, warped: Warped, motion: Motion) -> tuple[Drawn, U8]:
    """What the networks say of a window, and the window (R, R, 3) by their words, before the plate."""
    preset, networks = trained.preset, trained.networks
    window = head_window(motion.landmarks)
    best = warp_slot(warped, window, preset.size)
    warps = _tensor(np.stack([best, np.zeros_like(best)]))[None]
    drawing = _tensor(draw_landmarks(motion.landmarks, window, preset.size, preset.style)[None])
    reference = reference_picture(identity.front, preset.reference_size, preset.style)
    plate = _tensor(cut_window(resized(identity.plate, warped.alpha.shape[0]), window, preset.size)[None])
    with torch.inference_mode():
        embedding = networks.embed(_tensor(reference[None])[None], torch.ones(1, 1))
        drawn = networks.draw(warps, drawing, networks.condition(embedding))
        person = blend(drawn, warps[:, 0, :3]).clamp(0, 1)
        shown = plate + drawn.alpha * (person - plate)
    return drawn, np.asarray((shown[0].movedim(0, -1) * 255).byte().numpy(), np.uint8)


def coarse(window: U8) -> NDArray[np.int_]:
    """The middle half in sixteen by sixteen places: single pixels of noise are lost on the way."""
    size = window.shape[0]
    middle = window[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4]
    return cv2.resize(middle, (16, 16), interpolation=cv2.INTER_AREA).astype(int)


def _tensor(pictures: U8) -> torch.Tensor:
    return torch.from_numpy(pictures).movedim(-1, -3).float() / 255


def test_an_answer_looks_the_same_at_any_resolution(astronaut_identity: Identity, tmp_path: Path) -> None:
    """Shift, mask and colours found at one size are laid over pictures of others."""
    trained = written("tiny", tmp_path)
    motion = driven(astronaut_identity, {"jawOpen": 0.5})
    small, large = (
        NetworkGenerator(astronaut_identity, side, trained, EXACT)(
            ViewWarper(astronaut_identity.front, side)(motion), motion
        ).rgb
        for side in SIDES
    )
    shrunk = cv2.resize(large, small.shape[:2], interpolation=cv2.INTER_AREA)
    bare = ViewWarper(astronaut_identity.front, SIDES[0])(motion).person
    off = np.abs(shrunk.astype(int) - small)
    changed = np.abs(small.astype(int) - bare).mean()
    assert off.mean() < 1.5 and off.mean() < 0.2 * changed


def test_the_window_is_what_blend_says(astronaut_identity: Identity, tmp_path: Path) -> None:
    """What training sees and what a call shows are the same picture."""
    trained = written("tiny", tmp_path)
    motion = driven(astronaut_identity, {"jawOpen": 0.5})
    size, side = trained.preset.size, round(trained.preset.size * 2.8 / 2.1)
    warped, window = ViewWarper(astronaut_identity.front, side)(motion), head_window(motion.landmarks)
    wanted = coarse(answer(astronaut_identity, trained, warped, motion)[1])
    made = NetworkGenerator(astronaut_identity, side, trained, EXACT)(warped, motion).rgb
    assert np.abs(coarse(cut_window(made, window, size)) - wanted).mean() < 4
    assert np.abs(coarse(cut_window(warped.person, window, size)) - wanted).mean() > 12
