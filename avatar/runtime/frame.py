"""A generator as the live loop asks it: bytes of one window in, maps of it out.

Every runtime runs this one module, so that what differs between them is arithmetic alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from avatar.model.expression import DriverLook
from avatar.model.generator import Drawn
from avatar.model.presets import Preset
from avatar.records import F32, U8
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.drawing import CHANNELS


@dataclass(frozen=True, slots=True, eq=False)
class FrameInputs:
    """What one frame gives the network. R is the side of the preset's window."""

    best: U8
    """(R, R, 5), `tools.network_input.warp_slot`: colours, alpha and confidence of the best view."""
    second: U8
    """The same of the second best; zeros if there is none."""
    drawing: U8
    """(R, R, D), `tools.drawing.draw_landmarks`."""
    psi: F32
    """(P,), the identity's parameters."""
    close_ups: U8
    """(3, C, C), the driver's mouth and eyes; zeros if nothing is known of them,"""
    boxes: F32
    """(3, 3), where the avatar's are, window units,"""
    trust: F32
    """(1,), 0..1, and how much they count: 0 if nothing is known."""

    def arrays(self) -> dict[str, U8 | F32]:
        """By name, each with a first axis of one as the network wants it; `trust` is that axis."""
        return {
            field.name: value if field.name == "trust" else value[None]
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }


@dataclass(frozen=True, slots=True, eq=False)
class FrameMaps:
    """What the network says of the window, see `model.generator.Drawn`, as pictures lie in memory."""

    flow: F32
    """(R/2, R/2, 2), x and y shift in sides of the window."""
    keep: F32
    """(R, R), 0..1."""
    base: F32
    """(R, R, 3)."""
    alpha: F32
    """(R, R), 0..1."""


OUTPUTS = tuple(field.name for field in fields(FrameMaps))


class FrameNetwork(nn.Module):
    """A generator with the conversion from and to pictures in memory around it.

    Args:
        generator: as of `model.networks.Networks`.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self,
        best: Tensor,
        second: Tensor,
        drawing: Tensor,
        psi: Tensor,
        close_ups: Tensor,
        boxes: Tensor,
        trust: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`FrameInputs` with a first axis of one to the fields of `FrameMaps` with one."""
        warps = torch.stack([_to_network(best), _to_network(second)], dim=1)
        look = DriverLook(close_ups.float() / 255, boxes, trust)
        drawn: Drawn = self.generator(warps, _to_network(drawing), psi, look)
        return (
            drawn.flow.permute(0, 2, 3, 1).float(),
            drawn.keep[:, 0].float(),
            drawn.base.permute(0, 2, 3, 1).float(),
            drawn.alpha[:, 0].float(),
        )


def _to_network(picture: Tensor) -> Tensor:
    """(B, R, R, C) bytes to (B, C, R, R), 0..1."""
    return picture.permute(0, 3, 1, 2).float() / 255


def still_inputs(preset: Preset, parameters: int) -> FrameInputs:
    """Inputs of the right shapes, all zero: for tracing, and for warming up.

    Args:
        preset: of the networks.
        parameters: P, how many numbers `psi` has.
    """
    size = preset.size
    return FrameInputs(
        best=np.zeros((size, size, 5), np.uint8),
        second=np.zeros((size, size, 5), np.uint8),
        drawing=np.zeros((size, size, CHANNELS[preset.style]), np.uint8),
        psi=np.zeros(parameters, np.float32),
        close_ups=np.zeros((3, CLOSE_UP, CLOSE_UP), np.uint8),
        boxes=np.tile(np.array([0.5, 0.5, 0.25], np.float32), (3, 1)),
        trust=np.zeros(1, np.float32),
    )
