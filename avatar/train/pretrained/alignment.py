"""Cutting aligned faces out of pictures, so that gradients reach the pictures.

Points are (x, y) in pixels, measured from the upper left corner of the upper left pixel, as MediaPipe's
landmarks are: the middle of that pixel is (0.5, 0.5). "Right" is the person's own side, at the left of the
picture.
"""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.records import F32

FIVE = ((33, 133), (362, 263), (4,), (61,), (291,))
"""MediaPipe's landmarks of the five points: right eye and left eye (middle of the corners, which gaze and
lids leave in place), tip of the nose, right and left corner of the mouth. A point is the mean of its
landmarks."""

FIVE_AT = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""Where the five points belong in a picture of 112 px, middle of a pixel at whole numbers.

Source: the template of InsightFace (J. Guo, J. Deng), https://github.com/deepinsight/insightface,
python-package/insightface/utils/face_align.py: `arcface_dst`.
"""

DLIB = ((33,), (133,), (362,), (263,), (2,))
"""MediaPipe's landmarks of dlib's five points: outer and inner corner of the right eye, inner and outer
corner of the left, and where the nose meets the lip."""

DLIB_AT = np.array(
    [
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.6460604764104, 0.2289674387677],
        [0.8595674595992, 0.2134981538014],
        [0.4901123135679, 0.6277975316475],
    ],
    np.float32,
)
"""Where dlib's five points belong, in sides of a face without padding.

Source: D. King, dlib, dlib/image_transforms/interpolation.h: `get_face_chip_details`.
"""


@overload
def points_of(landmarks: F32, choice: tuple[tuple[int, ...], ...]) -> F32: ...
@overload
def points_of(landmarks: Tensor, choice: tuple[tuple[int, ...], ...]) -> Tensor: ...
def points_of(landmarks: F32 | Tensor, choice: tuple[tuple[int, ...], ...]) -> F32 | Tensor:
    """The points `FIVE` or `DLIB` of MediaPipe's landmarks (..., 478, 2 or 3): (..., 5, 2), in their unit."""
    if isinstance(landmarks, Tensor):
        # One by one: a list of numbers would be brought to a card, which has to be waited for.
        parts = [torch.stack([landmarks[..., i, :2] for i in point]).mean(dim=0) for point in choice]
        return torch.stack(parts, dim=-2)
    return np.stack([landmarks[..., list(point), :2].mean(axis=-2) for point in choice], axis=-2)


def fit_similarities(source: Tensor, target: Tensor) -> Tensor:
    """The similarities (B, 2, 3) that move points `source` (B, N, 2) closest to `target` (B, N, 2), each.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, which in the plane is one complex division.
    """
    middle, goal = source.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True)
    a, b = source - middle, target - goal
    size = (a * a).sum(dim=(1, 2)).clamp_min(1e-12)
    cosine = (a * b).sum(dim=(1, 2)) / size
    sine = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(dim=1) / size
    linear = torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2)
    return torch.cat([linear, goal.mT - linear @ middle.mT], dim=2)


def cut_faces(
    pictures: Tensor, points: Tensor, template: Tensor, size: int, finer: int | None = None
) -> Tensor:
    """Cut faces (B, C, size, size) out of pictures (B, C, H, W) so that `points` come to lie on `template`.

    Differentiable in the pictures; outside of them the edge goes on. Faces larger than wanted are averaged
    down.

    Args:
        pictures: any range; sampled in float32 whatever autocast says.
        points: (B, N, 2) px of the pictures, see above.
        template: (N, 2) px of the faces, measured in the same way.
        size: side of the faces [px].
        finer: so many pixels a side are averaged to one; None: as many of the pictures as one of the largest
            face covers, for which a card has to be waited for.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        pictures, points = pictures.float(), points.detach().to(pictures.device, torch.float32)
        template = template.to(pictures.device, torch.float32).expand_as(points)
        fit = fit_similarities(points, template)
        turn = fit[:, :, :2]
        square = (turn[:, :, 0] ** 2).sum(dim=1)[:, None, None]
        inverse = turn.mT / square
        if finer is None:
            finer = max(1, round(float(square.min() ** -0.5)))
        steps = (torch.arange(size * finer, device=pictures.device, dtype=torch.float32) + 0.5) / finer
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        at = torch.stack([x, y], dim=-1).view(1, -1, 2) - fit[:, None, :, 2]
        height, width = pictures.shape[2:]
        x, y = (at @ inverse.mT).unbind(dim=2)
        grid = torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=2)
        grid = grid.view(-1, size * finer, size * finer, 2)
        faces = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return F.avg_pool2d(faces, finer) if finer > 1 else faces
