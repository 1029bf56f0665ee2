"""In which numbers a processor works fastest."""

from __future__ import annotations

from functools import cache

import torch


@cache
def bf16_is_fast(kind: str) -> bool:
    """Whether a device of that kind ("cpu", "cuda") has instructions for bfloat16 of its own."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if kind != "cpu":
        return False
    # Private, but torch has nothing public that tells it; the version of torch is pinned.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
