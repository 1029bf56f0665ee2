"""Write the networks that engines are built of, in a process of its own: `write_networks.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from avatar.generate import open_networks
from avatar.model.blocks import fold_spectral
from avatar.model.presets import PRESETS
from avatar.runtime.frame import FrameNetwork, halved, still_inputs
from avatar.runtime.onnx_file import write_onnx


def main(folder: Path) -> None:
    """`live` as it is shipped, `paper` with the weights it begins with; each in both precisions."""
    torch.manual_seed(0)
    paper = fold_spectral(PRESETS["paper"].networks().eval()).requires_grad_(False)
    for name, networks in (("live", open_networks("live").networks), ("paper", paper)):
        still = still_inputs(PRESETS[name], networks.projection.out_features)
        for precision, generator in (("fp32", networks.generator), ("fp16", halved(networks.generator))):
            write_onnx(FrameNetwork(generator), still, folder / f"{name}-{precision}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
