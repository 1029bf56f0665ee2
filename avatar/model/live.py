"""The `live` generator: mends a warped picture instead of painting a new one.

The person's own pixels come already moved into the wanted pose; the network says where to trust them, how to
shift and shade them, and paints what they cannot show. At 256 pixels it costs less than 1.5 GMAC.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WARP_CHANNELS = 5
"""Colours, alpha, confidence."""
DRAWING_CHANNELS = 4
FLOW_MAX = 0.04
"""How far pixels may be shifted, in sides of the window."""
SHADE_MAX = 0.5
"""How much colours (0..1) may be changed where the picture's own pixels stay."""
KEEP = 3.0
"""Logit by which the best warp is preferred before anything is learnt."""


@dataclass(frozen=True, slots=True)
class LiveOutput:
    """What the network says of one window; applied to pictures of any resolution by `blend`.

    With w1, w2 the two warped pictures, w1' = w1 shifted by `flow`:
    person = keep * w1' + base, where base holds everything that is not the best warp's own pixels.
    """

    flow: Tensor
    """(B, 2, R/2, R/2), x and y shift in sides of the window."""
    keep: Tensor
    """(B, 1, R, R), 0..1: share of the best warp."""
    base: Tensor
    """(B, 3, R, R): painted colours, the second warp's share, and shading of the best warp."""
    alpha: Tensor
    """(B, 1, R, R), 0..1."""


class Modulated(nn.Module):
    """A convolution whose output each identity scales and shifts, after instance norm or without it."""

    def __init__(self, inputs: int, outputs: int, *, normed: bool, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not normed)
        self.normed = normed
        self.parameters_needed = 2 * outputs

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = self.conv(x)
        if self.normed:
            x = F.instance_norm(x.float()).to(x.dtype)
        return x * (1 + scale.to(x.dtype))[..., None, None] + shift.to(x.dtype)[..., None, None]


class Residual(nn.Module):
    """Two modulated convolutions beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Modulated(width, width, normed=True)
        self.second = Modulated(width, width, normed=True)

    def modulated(self) -> list[Modulated]:
        return [self.first, self.second]

    def forward(self, x: Tensor, p: list[tuple[Tensor, Tensor]]) -> Tensor:
        h = F.leaky_relu(self.first(x, *p[0]), 0.2)
        return x + self.second(h, *p[1])


class LiveGenerator(nn.Module):
    """U-Net at half resolution. `widths` are those at 1/2, 1/4, 1/8 and 1/16 of the window."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 96, 160), middle: int = 2) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        inputs = 2 * WARP_CHANNELS + DRAWING_CHANNELS
        self.stem = nn.Conv2d(4 * inputs, w2, 3, 1, 1)
        self.down4 = nn.Conv2d(w2, w4, 3, 2, 1)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.encode8 = Residual(w8)
        self.down16 = nn.Conv2d(w8, w16, 3, 2, 1)
        self.middle = nn.ModuleList(Residual(w16) for _ in range(middle))
        self.up8 = nn.Conv2d(w16, w8, 1)
        self.decode8 = Residual(w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        self.decode4 = Modulated(w4, w4, normed=False)
        self.up2 = nn.Conv2d(w4, w2, 1)
        self.decode2 = nn.Conv2d(w2, w2, 3, 1, 1)
        self.head = nn.Conv2d(w2, 32, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.mouth_bias = nn.Parameter(torch.tensor(2.0))

    def modulated(self) -> list[Modulated]:
        """Every layer that takes parameters of the identity, in order."""
        found = self.encode8.modulated()
        for block in self.middle:
            assert isinstance(block, Residual)
            found += block.modulated()
        return [*found, *self.decode8.modulated(), self.decode4]

    @property
    def parameters_needed(self) -> int:
        """Length of the identity's parameter vector."""
        return sum(layer.parameters_needed for layer in self.modulated())

    def forward(self, warps: Tensor, drawing: Tensor, psi: Tensor) -> LiveOutput:
        """Args: warps (B, 2, 5, R, R), drawing (B, 4, R, R), all 0..1; psi (B, parameters_needed)."""
        best, second = warps[:, 0], warps[:, 1]
        pieces = [
            p.chunk(2, dim=1) for p in psi.split([m.parameters_needed for m in self.modulated()], dim=1)
        ]
        p = [(piece[0], piece[1]) for piece in pieces]
        x = torch.cat([best, second, drawing], dim=1) * 2 - 1
        x2 = F.leaky_relu(self.stem(F.pixel_unshuffle(x, 2)), 0.2)
        x4 = F.leaky_relu(self.down4(x2), 0.2)
        x8 = self.encode8(F.leaky_relu(self.down8(x4), 0.2), p[:2])
        h = F.leaky_relu(self.down16(x8), 0.2)
        at = 2
        for block in self.middle:
            h = block(h, p[at : at + 2])
            at += 2
        h = x8 + _twice(self.up8(h))
        h = self.decode8(h, p[at : at + 2])
        h = x4 + _twice(self.up4(h))
        h = h + F.leaky_relu(self.decode4(h, *p[at + 2]), 0.2)
        h = x2 + _twice(self.up2(h))
        h = F.leaky_relu(self.decode2(F.leaky_relu(h, 0.2)), 0.2)
        return self._read(self.head(h).float(), best.float(), second.float(), drawing.float())

    def _read(self, out: Tensor, best: Tensor, second: Tensor, drawing: Tensor) -> LiveOutput:
        """The 32 channels of the head as flow, masks and colours."""
        flow = FLOW_MAX * torch.tanh(out[:, 0:2])
        shade = SHADE_MAX * torch.tanh(_twice_smooth(out[:, 2:5]))
        fine = F.pixel_shuffle(out[:, 8:32], 2)  # (B, 6, R, R)
        painted = torch.sigmoid(fine[:, 0:3] * 2)
        there = second[:, 4:5].amax(dim=(2, 3), keepdim=True).gt(0).to(out.dtype)
        logits = torch.cat(
            [
                fine[:, 3:4] * 4 + KEEP,
                fine[:, 4:5] * 4 - 20 * (1 - there),
                _twice_smooth(out[:, 5:6]) * 4 + self.mouth_bias * drawing[:, 1:2],
            ],
            dim=1,
        )
        keep, other, paint = logits.softmax(dim=1).split(1, dim=1)
        alpha = (best[:, 3:4] + torch.tanh(fine[:, 5:6])).clamp(0, 1)
        base = keep * shade + other * second[:, :3] + paint * painted
        return LiveOutput(flow, keep, base, alpha)


def blend(output: LiveOutput, best: Tensor) -> Tensor:
    """The person (B, 3, R, R) of the best warp's colours (B, 3, R, R), not clipped."""
    size = best.shape[-1]
    flow = F.interpolate(output.flow, (size, size), mode="bilinear", align_corners=False)
    steps = (torch.arange(size, dtype=best.dtype, device=best.device) * 2 + 1) / size - 1
    grid = torch.stack(
        [steps[None, :] + 2 * flow[:, 0], steps[:, None] + 2 * flow[:, 1]],
        dim=-1,
    )
    moved = F.grid_sample(best, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return output.keep * moved + output.base


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _twice_smooth(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class LiveEmbedder(nn.Module):
    """Pictures of a person with their drawings to one embedding, the mean over the pictures.

    Args:
        size: length of the embedding.
    """

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        inputs = 16 * (4 + DRAWING_CHANNELS)
        widths = (64, 128, 192, 256)
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 3, 1, 1)]
        for before, after in pairwise(widths):
            layers += [nn.LeakyReLU(0.2), nn.Conv2d(before, after, 3, 2, 1)]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Linear(widths[-1], size)

    def forward(self, references: Tensor, valid: Tensor) -> Tensor:
        """Args: references (B, K, 8, r, r), 0..1; valid (B, K), 1 where there is one. Returns (B, size)."""
        b, k = references.shape[:2]
        x = F.pixel_unshuffle(references.flatten(0, 1) * 2 - 1, 4)
        e = self.out(self.trunk(x).float().mean(dim=(2, 3))).unflatten(0, (b, k))
        weight = valid / valid.sum(dim=1, keepdim=True)
        return (e * weight[..., None]).sum(dim=1)


class LiveDiscriminator(nn.Module):
    """Tells real windows from made ones, as a whole and patch by patch.

    score = v . (W_i + w0) + b for the whole window, W_i a column for each clip (Zakharov et al. 2019, eq. 6);
    the patch scores look at details that one number for a window does not reach.

    Args:
        clips: number of columns.
        size: length of a column, that of the embedding.
    """

    def __init__(self, clips: int, size: int = 128) -> None:
        super().__init__()
        widths = (32, 64, 96, 128, 192)
        inputs = 4 * (3 + DRAWING_CHANNELS)
        norm = nn.utils.parametrizations.spectral_norm
        self.convs = nn.ModuleList(
            norm(nn.Conv2d(before, after, 3, 1 if at == 0 else 2, 1))
            for at, (before, after) in enumerate(pairwise((inputs, *widths)))
        )
        self.patch = norm(nn.Conv2d(widths[3], 1, 1))
        self.out = norm(nn.Linear(widths[-1], size))
        self.columns = nn.Embedding(clips, size)
        nn.init.normal_(self.columns.weight, std=0.02)
        self.w0 = nn.Parameter(torch.randn(size) * 0.1)
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, picture: Tensor, drawing: Tensor, clip: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Args: picture (B, 3, R, R), drawing (B, 4, R, R), 0..1; clip (B,).

        Returns:
            (B,) whole scores, (B, 1, R/16, R/16) patch scores, the feature maps of all layers.
        """
        x = F.pixel_unshuffle(torch.cat([picture, drawing], dim=1) * 2 - 1, 2)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
            features.append(x)
        v = self.out(x.float().mean(dim=(2, 3)))
        score = (v * (self.columns(clip) + self.w0)).sum(dim=1) + self.b
        return score, self.patch(features[3]).float(), features
