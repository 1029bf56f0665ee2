"""Networks that have learnt something, as it were, and windows of noise to give them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avatar.model.expression import DriverLook
from avatar.model.networks import Networks
from avatar.model.paper import PaperDiscriminator, PaperEmbedder, PaperGenerator
from avatar.model.presets import PRESETS, Preset
from avatar.runtime import Wanted
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.drawing import CHANNELS

EXACT, ROUGH = Wanted("torch", "fp32"), Wanted("torch", "bf16")
"""The plain network, and the plain network in half the digits."""

_DRAWING = CHANNELS["coloured"]
_WIDTHS = (16, 16, 16, 32, 32, 32)
THIN_PAPER = replace(
    PRESETS["paper"],
    name="thin-paper",
    networks=lambda: Networks(
        PaperEmbedder(_DRAWING, 256, _WIDTHS), _WIDTHS[-1], PaperGenerator(_DRAWING, 256, _WIDTHS[:4])
    ),
    discriminator=lambda clips: PaperDiscriminator(_DRAWING, 256, clips, _WIDTHS),
)
"""The paper's layers, all of them, with few channels."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What networks are given, as `Networks.forward` takes it."""

    references: Tensor
    valid: Tensor
    warps: Tensor
    drawing: Tensor
    look: DriverLook


def made_windows(
    preset: Preset,
    size: int,
    *,
    count: int = 2,
    views: int = 2,
    reference_size: int | None = None,
    seed: int = 0,
) -> Windows:
    """Noise; of the last window the last view is missing."""
    noise = torch.Generator().manual_seed(seed)
    drawing, side = CHANNELS[preset.style], reference_size or preset.reference_size
    valid = torch.ones(count, views)
    valid[-1, 1:] = 0
    return Windows(
        torch.rand(count, views, 4 + drawing, side, side, generator=noise),
        valid,
        torch.rand(count, 2, 5, size, size, generator=noise),
        torch.rand(count, drawing, size, size, generator=noise),
        DriverLook(
            torch.rand(count, 3, CLOSE_UP, CLOSE_UP, generator=noise),
            torch.tensor([[0.5, 0.7, 0.3], [0.35, 0.4, 0.2], [0.65, 0.4, 0.2]]).expand(count, -1, -1),
            torch.ones(count),
        ),
    )


def awake(network: nn.Module, seed: int = 0) -> None:
    """Give parameters that are zero at first, and so hide what lies before them, small values."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.copy_(torch.randn(parameter.shape, generator=noise) * 0.1)


def made_networks(name: str, seed: int = 0) -> Networks:
    """Networks of a preset, awake."""
    torch.manual_seed(seed)
    networks = PRESETS[name].networks()
    awake(networks)
    return networks
