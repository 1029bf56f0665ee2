"""How the motion is smoothed: a filter for each part of it."""

from __future__ import annotations

from avatar.tools.one_euro import OneEuro


def filters(smoothing: float) -> tuple[OneEuro, OneEuro, OneEuro, OneEuro]:
    """Of turn [rad], shift [crop units], scale and shape [face frame units]."""
    turn, shift, scale, shape = (OneEuro(cutoff, beta) for cutoff, beta in cutoffs(smoothing))
    return turn, shift, scale, shape


def cutoffs(smoothing: float) -> list[tuple[float, float]]:
    """Cutoff at rest [Hz] and its rise with speed for each of `filters`.

    Tried on 20 s of a talking face (motion lag) and on a still face with 0.35 px of noise in a 640 px picture
    (landmarks shake by 1.2 px a frame in a 512 head without a filter): these give 14 ms and 0.38 px. A shape
    cutoff of 3 Hz gives 10 ms and 0.52 px, calmer ones (0.8, 0.8, 0.5, 1.2 Hz) 19 ms and 0.31 px.
    """
    if smoothing <= 0:
        return [(1e6, 0.0)] * 4
    usual = ((1.0, 8.0), (1.0, 30.0), (0.7, 20.0), (1.5, 6.0))
    return [(cutoff / smoothing, beta / smoothing) for cutoff, beta in usual]
