"""A generator as the live loop asks it: bytes of one window in, maps of it out.

Every runtime runs this one module, so that what differs between them is arithmetic alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from avatar.model.expression import DriverLook
from avatar.model.generator import Drawn, WindowBytes
from avatar.model.presets import Preset
from avatar.records import F32, U8
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.drawing import CHANNELS
from avatar.tools.stacking import stacked


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
        """What `FrameNetwork.forward` takes, by name."""
        return {
            "pictures": stacked(self.best, self.second, self.drawing)[None],
            "matte": np.ascontiguousarray(self.best[..., 3])[None, None],
            "other": np.ascontiguousarray(self.second[..., :3].transpose(2, 0, 1))[None],
            "mouth": np.ascontiguousarray(self.drawing[..., 1])[None, None],
            "there": np.array([self.second[..., 4].any()], np.float32),
            "psi": self.psi[None],
            "close_ups": self.close_ups[None],
            "boxes": self.boxes[None],
            "trust": self.trust,
        }


@dataclass(frozen=True, slots=True, eq=False)
class FrameMaps:
    """What the network says of the window, see `model.generator.Drawn`; plane after plane."""

    flow: F32
    """(2, R/2, R/2), x and y shift in sides of the window."""
    keep: F32
    """(R, R), 0..1."""
    base: F32
    """(3, R, R)."""
    alpha: F32
    """(R, R), 0..1."""


OUTPUTS = tuple(field.name for field in fields(FrameMaps))


class TensorNetwork(Protocol):
    """A runtime that also draws windows from and to tensors of its device, so that none has to leave it."""

    device: torch.device
    stream: Any
    """The `torch.cuda.Stream` that it works on, and all has to that it is given; None on a processor."""

    def draw(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """What is named and shaped as `FrameInputs.arrays` to the fields of `FrameMaps`.

        The answer, (1, ...) each, holds until the next call.
        """


class FrameNetwork(nn.Module):
    """A generator with the conversion from and to pictures in memory around it.

    Args:
        generator: as of `model.networks.Networks`.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self._draw: Callable[..., Drawn] = generator.forward_bytes  # type: ignore[assignment]

    def forward(
        self,
        pictures: Tensor,
        matte: Tensor,
        other: Tensor,
        mouth: Tensor,
        there: Tensor,
        psi: Tensor,
        close_ups: Tensor,
        boxes: Tensor,
        trust: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A `model.generator.WindowBytes`, psi and the driver's look to the fields of `FrameMaps`."""
        look = DriverLook(close_ups.float() / 255, boxes, trust)
        given = WindowBytes(pictures, matte, other, mouth, there)
        drawn: Drawn = self._draw(given, psi, look)
        return drawn.flow.float(), drawn.keep[:, 0].float(), drawn.base.float(), drawn.alpha[:, 0].float()


def halved(generator: nn.Module) -> nn.Module:
    """A copy whose convolutions work in half precision; statistics of norms and all maps stay in float32."""
    half = copy.deepcopy(generator).half()
    expression = getattr(half, "expression", None)
    if expression is not None:  # small, and its close-ups are evened out in float32
        expression.float()
    return half


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
