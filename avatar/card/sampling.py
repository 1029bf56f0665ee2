"""Pictures (1, C, H, W) float32 sampled and resized on the device, as OpenCV does it on the processor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.tools.outlines import Box


def place_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W, 2): x and y of the pixels of a picture of `size` (width, height)."""
    x, y = (torch.arange(length, dtype=torch.float32, device=device) for length in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def moved(grid: Tensor, matrix: Tensor) -> Tensor:
    """Places (H, W, 2) through an affine map (2, 3)."""
    return grid @ matrix[:, :2].T + matrix[:, 2]


def sampled(picture: Tensor, places: Tensor, *, outside: float | None = None) -> Tensor:
    """A picture at `places` (H, W, 2), its pixels, with straight lines between them.

    Past its border the edge goes on, or lies `outside`.
    """
    height, width = picture.shape[-2:]
    x = (2 * places[..., 0] + 1) / width - 1
    y = (2 * places[..., 1] + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)[None]
    if outside is None:
        return F.grid_sample(picture, grid, "bilinear", "border", align_corners=False)
    return F.grid_sample(picture - outside, grid, "bilinear", "zeros", align_corners=False) + outside


def grown(cells: Tensor, ratio: int, size: int) -> Tensor:
    """The flow in cells (2, n, n) of `warp.flow.CellFlow` in the pixels (size, size, 2) of its part."""
    fine = F.interpolate(cells[None], scale_factor=ratio, mode="bilinear", align_corners=False)[0]
    return fine[:, ratio : ratio + size, ratio : ratio + size].permute(1, 2, 0)


def halved(picture: Tensor) -> Tensor:
    """A square picture at half its side, rounded up, averaged."""
    side = (picture.shape[-1] + 1) // 2
    return F.avg_pool2d(picture, 2) if picture.shape[-1] % 2 == 0 else F.adaptive_avg_pool2d(picture, side)


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur, as wide as OpenCV's of bytes; past the border the picture is mirrored."""
    reach = round(sigma * 6 + 1) // 2
    at = torch.arange(-reach, reach + 1, dtype=torch.float32, device=picture.device)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    height, width = picture.shape[-2:]
    rows, columns = (_mirrored(length, reach, picture.device) for length in (height, width))
    planes = picture.index_select(2, rows).index_select(3, columns).transpose(0, 1)
    planes = F.conv2d(planes, kernel[None, None, :, None])
    return F.conv2d(planes, kernel[None, None, None, :]).transpose(0, 1)


def _mirrored(length: int, reach: int, device: torch.device) -> Tensor:
    """(length + 2 * reach,): where those values lie that a line of `length` has, mirrored at its ends."""
    period = max(2 * (length - 1), 1)
    at = torch.arange(-reach, length + reach, device=device).abs() % period
    return torch.minimum(at, period - at)


def part_of(picture: Tensor, box: Box) -> Tensor:
    """The part of a picture in a box, as a view."""
    return picture[..., box.top : box.bottom, box.left : box.right]
