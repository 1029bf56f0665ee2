"""What the networks are taught by.

All pictures are (B, 3, R, R), 0..1; `weight` maps are (B, 1, R, R), 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.model.expression import discs

PYRAMID = 3
BOX_RIM = 1.4
"""Where the discs of mouth and eyes end, see `expression.discs`."""
BOX_SIZE = 64
"""Side at which mouth and eyes are looked at on their own [px]."""
PLACE = 8
"""Side of the places whose texture is compared [px]."""


def pyramid_l1(made: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference where `weight` is, over a pyramid: place first, then detail."""
    total = made.new_zeros(())
    for level in range(PYRAMID):
        total = total + (weight * (made - real).abs()).sum() / (3 * weight.sum() + 1e-6)
        if level + 1 < PYRAMID:
            made, real, weight = (F.avg_pool2d(x, 2) for x in (made, real, weight))
    return total / PYRAMID


def cut_boxes(pictures: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Squares out of pictures (B, C, R, R); boxes (B, N, 3) as x, y, side in 0..1; gives (B * N, C, s, s)."""
    b, n = boxes.shape[:2]
    steps = (torch.arange(size, device=boxes.device) * 2 + 1) / size - 1
    middle, side = boxes[..., :2] * 2 - 1, boxes[..., 2:]
    x = middle[..., 0:1] + side * steps
    y = middle[..., 1:2] + side * steps
    grid = torch.stack([x[:, :, None, :].expand(b, n, size, size), y[..., None].expand(b, n, size, size)], -1)
    cut = [
        F.grid_sample(pictures, grid[:, i], mode="bilinear", padding_mode="border", align_corners=False)
        for i in range(n)
    ]
    return torch.stack(cut, dim=1).flatten(0, 1)


def box_mask(boxes: Tensor, size: int) -> Tensor:
    """(B, 1, R, R): a soft disc in each of boxes (B, N, 3)."""
    return discs(boxes, size, BOX_RIM).amax(dim=1, keepdim=True)


def feature_distance(made: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, level by level."""
    pairs = list(zip(made, real, strict=True))
    return torch.stack([(a.float() - b.float()).abs().mean() for a, b in pairs]).mean()


def boxes_l1(made: Tensor, real: Tensor, cover: Tensor) -> Tensor:
    """Mean absolute difference of squares (N, 3, s, s) of mouth and eyes, where `cover` (N, 1, s, s) is."""
    return (cover * (made - real).abs()).mean()


def texture(made: Tensor, real: Tensor, cover: Tensor) -> Tensor:
    """How far the gradients of places of `PLACE` pixels differ in strength, wherever they lie in them.

    What is moved by fractions of pixels becomes soft, and as that lowers L1, softer still: this holds against
    it, and asks for no edge at a certain pixel. In grey levels (0..1) a pixel.
    """
    area = F.avg_pool2d(cover, PLACE)
    one, other = (
        (F.avg_pool2d(cover * _gradient_energy(each), PLACE) / (area + 1e-3) + 1e-6).sqrt()
        for each in (made, real)
    )
    return (area * (one - other).abs()).sum() / (area.sum() + 1e-3)


def _gradient_energy(pictures: Tensor) -> Tensor:
    """(B, 1, R, R): squared gradient of the grey levels, 0 at the edge."""
    red, green, blue = pictures.unbind(dim=1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    return F.pad(across**2 + down**2, (1, 1, 1, 1))


def hinge_real(score: Tensor) -> Tensor:
    """For the discriminator, of a real picture's scores (Zakharov et al. 2019, eq. 8)."""
    return F.relu(1 - score).mean()


def hinge_made(score: Tensor) -> Tensor:
    """For the discriminator, of a made picture's."""
    return F.relu(1 + score).mean()


def smooth_flow(flow: Tensor) -> Tensor:
    """Mean squared step of a flow (B, 2, H, W) between neighbours, in cells."""
    size = flow.shape[-1]
    across, down = flow[..., 1:] - flow[..., :-1], flow[..., 1:, :] - flow[..., :-1, :]
    return size**2 * ((across**2).mean() + (down**2).mean())
