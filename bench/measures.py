"""How like two pictures are, and two curves: what `bench.quality` counts. Pure functions of numpy arrays.

Pictures are (H, W, 3) uint8 RGB; a mask (H, W) says which pixels count.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8

Mask = NDArray[np.bool_]

PSNR_CAP = 60.0
"""What equal pictures get [dB]; rounding to whole levels alone costs more than is left above."""

_SSIM_SIGMA, _SSIM_WINDOW = 1.5, 11
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_STILL = 1e-6
"""A curve that varies less (standard deviation) does not vary."""


def l1(made: U8, real: U8, mask: Mask) -> float:
    """Mean absolute difference, 0..255."""
    return float(cv2.absdiff(made, real)[mask].mean(dtype=np.float64))


def psnr(made: U8, real: U8, mask: Mask) -> float:
    """Peak signal to noise ratio [dB], at most `PSNR_CAP`."""
    off = cv2.absdiff(made, real)[mask].astype(np.float64)
    error = float((off * off).mean())
    return PSNR_CAP if error == 0 else min(PSNR_CAP, float(10 * np.log10(255**2 / error)))


def ssim(made: U8, real: U8, mask: Mask) -> float:
    """Structural similarity, at most 1: Gaussian window of sigma 1.5, the mean of the three colours.

    Source: Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image quality assessment: from error visibility to
    structural similarity", IEEE TIP 13(4), 2004, equation 13.
    """
    x, y = made.astype(np.float32), real.astype(np.float32)
    mean_x, mean_y = _local(x), _local(y)
    xx, yy, xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    spread = _local(x * x) - xx + _local(y * y) - yy
    common = _local(x * y) - xy
    top = (2 * xy + _SSIM_C1) * (2 * common + _SSIM_C2)
    return float((top / ((xx + yy + _SSIM_C1) * (spread + _SSIM_C2)))[mask].mean(dtype=np.float64))


def _local(picture: F32) -> F32:
    return np.asarray(cv2.GaussianBlur(picture, (_SSIM_WINDOW, _SSIM_WINDOW), _SSIM_SIGMA), np.float32)


def boxes_mask(boxes: F32, size: int) -> Mask:
    """(size, size), the pixels in any of the squares (N, 3): x and y of the middle, and side, pixels."""
    at = np.arange(size)
    mask = np.zeros((size, size), bool)
    for x, y, side in boxes.tolist():
        mask |= (np.abs(at[:, None] - y) <= side / 2) & (np.abs(at - x) <= side / 2)
    return mask


def shrunk(mask: Mask, margin: int) -> Mask:
    """The mask without what lies nearer than `margin` pixels to its outline."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))
    return np.asarray(inner > 0)


def gradient_energy(picture: U8, mask: Mask) -> float:
    """Mean squared gradient of the grey levels (0..255) per pixel: small where a picture is soft.

    Source: E. Krotkov, "Focusing", IJCV 1, 1988 (the Tenengrad measure of sharpness).
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return float((across * across + down * down)[mask].mean(dtype=np.float64))


def ratio(made: Sequence[float], real: Sequence[float]) -> float | None:
    """The sum of one list in parts of the other's; None if that is zero, as of nothing."""
    whole = sum(real)
    return sum(made) / whole if whole > 0 else None


def landmark_distance(one: F32, other: F32) -> float:
    """Mean distance in x and y of landmarks (N, 2 or 3), their unit."""
    return float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean())


def correlation(made: Sequence[float], real: Sequence[float], least: float) -> float | None:
    """Pearson's correlation of two curves of equal length.

    None where it says nothing: one of them is constant, or the real one varies less than `least` (standard
    deviation), so that it shows the noise of the measurement and no movement.
    """
    if len(real) < 3:
        return None
    x, y = np.asarray(made, np.float64), np.asarray(real, np.float64)
    if x.std() < _STILL or y.std() < max(least, _STILL):
        return None
    return float(np.corrcoef(x, y)[0, 1])


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
