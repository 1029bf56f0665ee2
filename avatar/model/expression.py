"""What a driver's camera saw of mouth and eyes, in few numbers.

Landmarks do not say whether teeth or tongue show, how lips are pressed or where a lid folds. A small encoder
looks at grey close-ups of the driver and says it in `CODE` numbers; so few of them, and none of colour, that
they can hardly carry whose mouth it is (O. Wiles, A. S. Koepke, A. Zisserman, "X2Face", ECCV 2018, drive a
face through such a bottleneck).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatar.model.blocks import SLOPE
from avatar.tools.close_ups import CLOSE_UP

MOUTH_CODE, EYE_CODE = 16, 8
CODE = MOUTH_CODE + 2 * EYE_CODE
WIDTHS = (16, 32, 48)
"""Of the encoder's three convolutions, each at half the side of the one before."""
FLAT = 0.02
"""Added to a close-up's deviation (grey levels 0..1), so that noise of a flat one is not blown up."""
RIM = 1.6
"""A code counts in a soft disc that ends at the root of this, in halves of its square's side."""


@dataclass(frozen=True, slots=True)
class DriverLook:
    """The driver's mouth and eyes, and where the avatar's are."""

    close_ups: Tensor
    """(B, 3, CLOSE_UP, CLOSE_UP), grey 0..1: mouth, right and left eye of the driver."""
    boxes: Tensor
    """(B, 3, 3): x, y of the middle and side of the squares around the avatar's, window units."""
    trust: Tensor
    """(B,), 0..1: how much they count; 0: nothing is known of the driver but landmarks."""


class _Encoder(nn.Module):
    """(B, 1, CLOSE_UP, CLOSE_UP) -> (B, out), -1..1."""

    def __init__(self, out: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 1
        for wider in WIDTHS:
            layers += [nn.Conv2d(width, wider, 3, 2, 1), nn.LeakyReLU(SLOPE)]
            width = wider
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Linear(width * (CLOSE_UP >> len(WIDTHS)) ** 2, out)

    def forward(self, close_up: Tensor) -> Tensor:
        return torch.tanh(self.out(self.trunk(close_up).float().flatten(1)))


class ExpressionEncoder(nn.Module):
    """Close-ups to codes; `placed` says to the networks where they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth, self.eye = _Encoder(MOUTH_CODE), _Encoder(EYE_CODE)

    def code(self, close_ups: Tensor) -> Tensor:
        """(B, CODE), -1..1, of close-ups (B, 3, CLOSE_UP, CLOSE_UP), 0..1: of any light and contrast."""
        middle = close_ups.mean(dim=(2, 3), keepdim=True)
        even = (close_ups - middle) / (close_ups.std(dim=(2, 3), keepdim=True) + FLAT)
        mouth, right, left = torch.split(even, 1, dim=1)
        return torch.cat([self.mouth(mouth), self.eye(right), self.eye(left.flip(-1))], dim=1)

    def forward(self, look: DriverLook) -> Tensor:
        """(B, CODE) codes, as much as they are trusted."""
        return self.code(look.close_ups) * look.trust[:, None]


def discs(boxes: Tensor, size: int, rim: float) -> Tensor:
    """Soft discs in squares (B, N, 3), middle and side in 0..1: (B, N, size, size), 0..1.

    A disc ends where the square of the distance from its middle, in half sides, is `rim`, and is 1 up to 1
    less.
    """
    at = (torch.arange(size, device=boxes.device) + 0.5) / size
    x = (at[None, None, :] - boxes[..., 0:1]) / (boxes[..., 2:] / 2)
    y = (at[None, None, :] - boxes[..., 1:2]) / (boxes[..., 2:] / 2)
    return (rim - (x[:, :, None, :] ** 2 + y[..., None] ** 2)).clamp(0, 1)


def placed(code: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Codes (B, CODE) in the discs of `boxes` (B, 3, 3): (B, CODE, size, size)."""
    disc = discs(boxes, size, RIM)
    parts = torch.split(code, [MOUTH_CODE, EYE_CODE, EYE_CODE], dim=1)
    return torch.cat([part[..., None, None] * disc[:, i : i + 1] for i, part in enumerate(parts)], dim=1)
