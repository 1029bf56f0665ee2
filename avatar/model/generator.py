"""The `live` generator: mends a warped picture instead of painting a new one.

The person's own pixels come already moved into the wanted pose; the network says where to trust them, how to
shift and shade them, and paints what they cannot show: there it goes by what the driver's camera saw, in few
numbers. At 256 pixels it costs less than 1.5 GMAC.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import (
    SLOPE,
    ModulatedConv,
    ModulatedResidual,
    smooth_quarters,
    styles_of,
    twice,
)
from avatar.model.expression import CODE, DriverLook, ExpressionEncoder, placed

WARP_CHANNELS = 5
"""Colours, alpha, confidence."""
FLOW_MAX = 0.04
"""How far pixels may be shifted, in sides of the window."""
SHADE_MAX = 0.5
"""How much colours (0..1) may be changed where the picture's own pixels stay."""
KEEP = 3.0
"""Logit by which the best warp is preferred before anything is learnt."""
MOUTH = 2.0
"""The same by which paint is preferred in an open mouth; learnt from there."""
LOGIT_MAX = 60.0
"""Of a logit over that of the best warp: e to the power of it is a number yet."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a generator says of one window; applied to pictures of any resolution by `blend`.

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


@dataclass(frozen=True, slots=True)
class WindowBytes:
    """What a generator is shown of one window, uint8 but for the last, as it lies in memory."""

    pictures: Tensor
    """(B, R, R, 10 + D): best and second best view, five channels each as of `LiveGenerator.forward`, and the
    drawing."""
    matte: Tensor
    """(B, 1, R, R), alpha of the best view,"""
    other: Tensor
    """(B, 3, R, R), colours of the second,"""
    mouth: Tensor
    """(B, 1, R, R), of the drawing, once more."""
    there: Tensor
    """(B,) float32: 1 if there is a second view, or 0."""


class LiveGenerator(nn.Module):
    """U-Net at half resolution.

    Args:
        drawing: channels of the landmark drawing.
        widths: at 1/2, 1/4, 1/8 and 1/16 of the window.
        middle: residual blocks at 1/16.
    """

    def __init__(
        self, drawing: int, widths: tuple[int, int, int, int] = (32, 64, 96, 160), middle: int = 2
    ) -> None:
        super().__init__()
        w2, w4, w8, w16 = widths
        self.stem = nn.Conv2d(4 * (2 * WARP_CHANNELS + drawing), w2, 3, 1, 1)
        self.down4 = nn.Conv2d(w2, w4, 3, 2, 1)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.encode8 = ModulatedResidual(w8)
        self.down16 = nn.Conv2d(w8, w16, 3, 2, 1)
        self.middle = nn.ModuleList(ModulatedResidual(w16) for _ in range(middle))
        self.up8 = nn.Conv2d(w16, w8, 1)
        self.decode8 = ModulatedResidual(w8)
        self.up4 = nn.Conv2d(w8, w4, 1)
        # No instance norm at high resolution: it shifts colours from frame to frame.
        self.decode4 = ModulatedConv(w4, w4, normed=False)
        self.up2 = nn.Conv2d(w4, w2, 1)
        self.decode2 = nn.Conv2d(w2, w2, 3, 1, 1)
        self.head = nn.Conv2d(w2, 32, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.mouth_bias = nn.Parameter(torch.tensor(MOUTH))
        self.expression = ExpressionEncoder()
        self.tell8, self.tell4 = (nn.Conv2d(CODE, width, 1, bias=False) for width in (w8, w4))
        for tell in (self.tell8, self.tell4):
            nn.init.zeros_(tell.weight)
        self.styled = (w8, w8, *(w16,) * (2 * middle), w8, w8, w4)
        """Widths of the layers that take parameters of the identity, in order."""

    def forward(self, warps: Tensor, drawing: Tensor, psi: Tensor, look: DriverLook | None = None) -> Drawn:
        """Mend a window.

        Args:
            warps: (B, 2, 5, R, R), 0..1: colours, alpha and confidence of the best and second best view,
                zeros if there is none; R a multiple of 16.
            drawing: (B, D, R, R), 0..1.
            psi: (B, 2 * sum(styled)), the identity's parameters.
            look: what the camera saw of the driver's mouth and eyes; None: not known.
        """
        best, second = warps[:, 0], warps[:, 1]
        x = torch.cat([best, second, drawing], dim=1) * 2 - 1
        out = self._trunk(self.stem(F.pixel_unshuffle(x, 2)), psi, look)
        alpha, other, mouth = (each.float() for each in (best[:, 3:4], second[:, :3], drawing[:, 1:2]))
        return self._read(out, alpha, other, mouth, second[:, 4].amax(dim=(1, 2)).gt(0).float())

    def forward_bytes(self, given: WindowBytes, psi: Tensor, look: DriverLook | None = None) -> Drawn:
        """The same of bytes as they lie in memory, with less moving about: half as long in an engine."""
        b, side, _, channels = given.pictures.shape
        # Two pixels beside each other are one place without a byte being moved; two below each other are
        # two rows of the kernel: `pixel_unshuffle` and a convolution of 3x3 in one. Made numbers first, as
        # TensorRT does nothing else with bytes.
        x = given.pictures.float().reshape(b, side, side // 2, 2 * channels).permute(0, 3, 1, 2)
        kernel = self.stem.weight.reshape(-1, channels, 2, 2, 3, 3).permute(0, 3, 1, 4, 2, 5)
        kernel = kernel.reshape(-1, 2 * channels, 6, 3)  # (dx, channel), (y, dy), x
        x = (x * (2 / 255) - 1).to(kernel.dtype)
        stem = F.conv2d(x, kernel, self.stem.bias, stride=(2, 1), padding=(2, 1))
        alpha, other, mouth = (each.float() / 255 for each in (given.matte, given.other, given.mouth))
        return self._read(self._trunk(stem, psi, look), alpha, other, mouth, given.there)

    def _trunk(self, stem: Tensor, psi: Tensor, look: DriverLook | None) -> Tensor:
        """What the stem says (B, w2, R/2, R/2) to what `_read` reads (B, 32, R/2, R/2)."""
        style = styles_of(psi, self.styled)
        x2 = F.leaky_relu(stem, SLOPE)  # (B, w2, R/2, R/2)
        x4 = F.leaky_relu(self.down4(x2), SLOPE)  # (B, w4, R/4, R/4)
        x8 = self.encode8(F.leaky_relu(self.down8(x4), SLOPE), next(style), next(style))  # (B, w8, R/8, R/8)
        h = F.leaky_relu(self.down16(x8), SLOPE)  # (B, w16, R/16, R/16)
        for block in self.middle:
            h = block(h, next(style), next(style))
        h = x8 + twice(self.up8(h))  # (B, w8, R/8, R/8)
        code = None if look is None else self.expression(look)
        h = _told(h, self.tell8, look, code)
        h = self.decode8(h, next(style), next(style))
        h = x4 + twice(self.up4(h))  # (B, w4, R/4, R/4)
        h = _told(h, self.tell4, look, code)
        h = h + F.leaky_relu(self.decode4(h, next(style)), SLOPE)
        h = F.leaky_relu(x2 + twice(self.up2(h)), SLOPE)  # (B, w2, R/2, R/2)
        out: Tensor = self.head(F.leaky_relu(self.decode2(h), SLOPE))
        return out.float()

    def _read(self, out: Tensor, alpha: Tensor, other: Tensor, mouth: Tensor, there: Tensor) -> Drawn:
        """The channels of the head as flow, masks and colours.

        Args:
            out: (B, 32, R/2, R/2).
            alpha: (B, 1, R, R), 0..1, of the best warp.
            other: (B, 3, R, R), 0..1, colours of the second best.
            mouth: (B, 1, R, R), 1 in the opening of the mouth.
            there: (B,), 1 if there is a second best, or 0.
        """
        b, _, side, _ = mouth.shape
        # What is smooth and what is fine come to the window's size together. Flat, plane after plane: engines
        # would else lay the channels of a place together, and then take them apart for a long time.
        fine = F.pixel_shuffle(torch.cat([smooth_quarters(out[:, 2:6]), out[:, 8:32]], dim=1), 2).flatten(2)
        alpha, other, mouth = (plane.flatten(2) for plane in (alpha, other, mouth))
        shade = SHADE_MAX * torch.tanh(fine[:, 0:3])
        painted = torch.sigmoid(fine[:, 4:7] * 2)
        # A softmax over three logits, each less that of the best warp.
        keep = fine[:, 7:8] * 4 + KEEP
        to_other = torch.exp((fine[:, 8:9] * 4 - 20 * (1 - there[:, None, None]) - keep).clamp(max=LOGIT_MAX))
        to_paint = torch.exp((fine[:, 3:4] * 4 + self.mouth_bias * mouth - keep).clamp(max=LOGIT_MAX))
        share = 1 / (1 + to_other + to_paint)
        base = share * (shade + to_other * other + to_paint * painted)
        matte = (torch.tanh(fine[:, 9:10]) + alpha).clamp(0, 1)
        keep, base, matte = (each.reshape(b, -1, side, side) for each in (share, base, matte))
        return Drawn(FLOW_MAX * torch.tanh(out[:, 0:2]), keep, base, matte)


def _told(h: Tensor, tell: nn.Module, look: DriverLook | None, code: Tensor | None) -> Tensor:
    """Features (B, C, n, n) with what the driver's look adds to them."""
    if look is None or code is None:
        return h
    told: Tensor = h + tell(placed(code, look.boxes, h.shape[-1]).to(h.dtype))
    return told


def blend(drawn: Drawn, best: Tensor) -> Tensor:
    """The person (B, 3, R, R) of the best warp's colours (B, 3, R, R), not clipped."""
    size = best.shape[-1]
    flow = F.interpolate(drawn.flow, (size, size), mode="bilinear", align_corners=False)
    steps = (torch.arange(size, dtype=best.dtype, device=best.device) * 2 + 1) / size - 1
    grid = torch.stack([steps[None, :] + 2 * flow[:, 0], steps[:, None] + 2 * flow[:, 1]], dim=-1)
    # Bicubic: half a pixel's shift in straight lines blurs; as blur lowers an L1 loss, it would be learnt.
    moved = F.grid_sample(best, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return drawn.keep * moved + drawn.base
