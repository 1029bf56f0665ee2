"""Contact sheets: what goes in, what comes out, what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from avatar.records import U8
from avatar.train.data.batches import Batch

_SHOWN = {3: [0, 1, 2], 4: [0, 1, 3]}
"""Channels of a drawing that are seen as red, green and blue."""


def contact_sheet(path: Path, rows: Sequence[tuple[Batch, Tensor, Tensor, Tensor]]) -> None:
    """Write a PNG with a row for each sample: reference, warp, drawing, made, truth, kept share, alpha.

    Args:
        path: where to.
        rows: batches with what was made of them: person (B, 3, R, R), kept share and alpha (B, 1, R, R).
    """
    lines = []
    for batch, person, keep, alpha in rows:
        side = person.shape[-1]
        for i in range(len(person)):
            reference = cv2.resize(_picture(batch.references[i, 0, :3]), (side, side))
            drawn = _picture(batch.drawing[i, _SHOWN[batch.drawing.shape[1]]])
            warp, real = _picture(batch.warps[i, 0, :3]), _picture(batch.target[i])
            masks = [_picture(mask[i].expand(3, -1, -1)) for mask in (keep, alpha)]
            lines.append(np.hstack([reference, drawn, warp, _picture(person[i]), real, *masks]))
    half = (len(lines) + 1) // 2
    lines += [np.zeros_like(lines[0])] * (2 * half - len(lines))
    sheet = np.hstack([np.vstack(lines[:half]), np.vstack(lines[half:])])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _picture(tensor: Tensor) -> U8:
    return np.asarray(
        (tensor.detach().cpu().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).contiguous().numpy(), np.uint8
    )
