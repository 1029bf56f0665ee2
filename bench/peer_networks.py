"""The networks of other programs of this kind, out of their own checkouts, with random weights.

`python -m bench.peer_networks NAME DIR` times what one of them does for a frame and prints it as JSON;
`bench.peers` runs it, each in a process of its own, since their packages have the same names. The numbers
below are those of their published configurations: `config/vox-256.yaml` of First Order Motion Model,
`src/config/models.yaml` of LivePortrait, `scripts/train_base_model_8gpus.sh` of the bi-layer model.

Each gives one way or two of making a frame: `WHOLE`, all that its own program has its networks do for it,
and the least it could do, named by what is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

Frame = Callable[[], object]
"""Does once what the program does for every frame."""

WHOLE = "whole"
"""All that the program has its networks do for a frame, from the driver's picture on."""

SIZE = 256
WARM_UP = 2


def _fomm(_: Path | None) -> dict[str, Frame]:
    """First Order Motion Model (Siarohin et al. 2019): key points of the driver, then the generator.

    Its own program encodes the portrait anew for each frame (`demo.py`). That could be kept.
    """
    common = {"num_kp": 10, "num_channels": 3, "estimate_jacobian": True}
    detector = _made(
        "modules.keypoint_detector", "KPDetector", **common,
        temperature=0.1, block_expansion=32, max_features=1024, scale_factor=0.25, num_blocks=5,
    )  # fmt: skip
    generator = _made(
        "modules.generator", "OcclusionAwareGenerator", **common,
        block_expansion=64, max_features=512, num_down_blocks=2, num_bottleneck_blocks=6,
        estimate_occlusion_map=True,
        dense_motion_params={
            "block_expansion": 64, "max_features": 1024, "num_blocks": 5, "scale_factor": 0.25,
        },
    )  # fmt: skip
    portrait, driver = torch.rand(1, 3, SIZE, SIZE), torch.rand(1, 3, SIZE, SIZE)
    encoder = generator.first, generator.down_blocks
    kept = torch.nn.Identity(), torch.nn.ModuleList([_Kept(_after(portrait, *encoder))])
    points = detector(portrait)
    # Of random weights some matrices could not be inverted.
    points["jacobian"] = torch.eye(2).expand_as(points["jacobian"])

    def frame(first: torch.nn.Module, blocks: torch.nn.ModuleList) -> object:
        generator.first, generator.down_blocks = first, blocks
        found = detector(driver)
        found["jacobian"] = torch.eye(2).expand_as(found["jacobian"])
        return generator(portrait, kp_source=points, kp_driving=found)["prediction"]

    return {WHOLE: partial(frame, *encoder), "portrait kept": partial(frame, *kept)}


def _liveportrait(_: Path | None) -> dict[str, Frame]:
    """LivePortrait (Guo et al. 2024): motion of the driver, stitching, warp of cached features, decoder.

    What finds the landmarks by which its program crops the driver is left out: an ONNX file apart.
    """
    motion = _made("src.modules.motion_extractor", "MotionExtractor", num_kp=21, backbone="convnextv2_tiny")
    warp = _made(
        "src.modules.warping_network", "WarpingNetwork",
        num_kp=21, block_expansion=64, max_features=512, num_down_blocks=2, reshape_channel=32,
        estimate_occlusion_map=True,
        dense_motion_params={
            "block_expansion": 32, "max_features": 1024, "num_blocks": 5, "reshape_depth": 16, "compress": 4,
        },
    )  # fmt: skip
    decode = _made(
        "src.modules.spade_generator", "SPADEDecoder",
        upscale=2, block_expansion=64, max_features=512, num_down_blocks=2,
    )  # fmt: skip
    stitch = _made(
        "src.modules.stitching_retargeting_network", "StitchingRetargetingNetwork",
        input_size=126, hidden_sizes=[128, 128, 64], output_size=65,
    )  # fmt: skip
    features, driver = torch.rand(1, 32, 16, 64, 64), torch.rand(1, 3, SIZE, SIZE)
    points = torch.rand(1, 21, 3) * 2 - 1

    def frame() -> object:
        found = motion(driver)["kp"].reshape(1, 21, 3)
        moved = stitch(torch.cat([points, found], dim=1).reshape(1, -1))[:, :63].reshape(1, 21, 3)
        return decode(feature=warp(features, kp_source=points, kp_driving=moved)["out"])

    return {"without its tracker": frame}


def _bilayer(fan: Path | None) -> dict[str, Frame]:
    """The bi-layer model (Zakharov et al. 2020): embedder of the pose, inference generator, texture.

    Its program finds the landmarks of each frame by FAN (Bulat and Tzimiropoulos 2017) of the package
    face-alignment, on the picture and on its mirror image (`flip_input` in `infer.py`). The detector of faces
    before that is left out.

    Args:
        fan: where face-alignment 1.1.1 is unpacked; without it only the rest is timed.
    """
    options = Namespace(
        image_size=SIZE, eps=1e-4, inf_num_channels=32, inf_max_channels=256, inf_pred_segmentation=True,
        inf_norm_layer_type="ada_bn", inf_input_tensor_size=4, inf_activation_type="leakyrelu",
        inf_upsampling_type="nearest", inf_skip_layer_type="ada_conv", inf_pred_source_data=False,
        inf_calc_grad=False, inf_apply_masks=True, emb_num_channels=64, emb_max_channels=512,
        pse_num_channels=256, pse_num_blocks=4, pse_in_channels=136, pse_emb_source_pose=False,
        pse_norm_layer_type="none", pse_activation_type="leakyrelu", pse_use_harmonic_enc=False,
    )  # fmt: skip
    embed = _made("networks.keypoints_embedder", "PoseEmbedder", options)
    whole = _made("networks.inference_generator", "NetworkWrapper", options)
    blocks = len(whole.prj_inf.avgpools)
    embeds = [torch.rand(1, min(64 * 2**i, 512), 8, 8) for i in range(blocks - 1, -1, -1)]
    # Of the person alone, so once.
    whole.assign_adaptive_params(whole.gen_inf, *whole.prj_inf(embeds))
    pose, texture = torch.rand(1, 136), torch.rand(1, 3, SIZE, SIZE)

    def frame() -> object:
        shift, low, mask = whole.gen_inf(embed(pose))
        places = whole.identity_grid + shift.permute(0, 2, 3, 1)
        high = torch.nn.functional.grid_sample(texture, places, align_corners=False)
        return (low + high) * torch.sigmoid(mask)

    frames: dict[str, Frame] = {"without its tracker": frame}
    if fan is not None:
        sys.path.insert(
            0, str(fan / "face_alignment")
        )  # the package itself would ask for all that it may need
        track, driver = _made("models", "FAN", 4), torch.rand(1, 3, SIZE, SIZE)
        frames = {WHOLE: lambda: (track(driver), track(driver.flip(3)), frame()), **frames}
    return frames


class _Kept(torch.nn.Module):
    """Gives what was worked out before, whatever it is asked."""

    def __init__(self, found: torch.Tensor) -> None:
        super().__init__()
        self._found = found

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self._found


def _after(picture: torch.Tensor, first: torch.nn.Module, blocks: torch.nn.ModuleList) -> torch.Tensor:
    encoded: torch.Tensor = torch.nn.Sequential(first, *blocks)(picture)
    return encoded


PEERS: Mapping[str, Callable[[Path | None], dict[str, Frame]]] = {
    "fomm": _fomm, "liveportrait": _liveportrait, "bilayer": _bilayer,
}  # fmt: skip


def _made(module: str, name: str, *given: object, **numbers: object) -> Any:
    network: torch.nn.Module = getattr(importlib.import_module(module), name)(*given, **numbers)
    return network.eval()


def measure(name: str, checkout: Path, rounds: int, threads: int, fan: Path | None) -> dict[str, Any]:
    """Milliseconds of each way to a frame, in eager float32 as its program does it on a processor."""
    sys.path.insert(0, str(checkout))
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        return {what: _timed(frame, rounds) for what, frame in PEERS[name](fan).items()}


def _timed(frame: Frame, rounds: int) -> dict[str, float]:
    took = []
    for number in range(WARM_UP + rounds):
        begin = time.perf_counter()
        frame()
        if number >= WARM_UP:
            took.append((time.perf_counter() - begin) * 1e3)
    return {share: round(float(np.percentile(took, int(share[1:]))), 2) for share in ("p10", "p50", "p95")}


def main(argv: Sequence[str] | None = None) -> int:
    """Time one and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.peer_networks", description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fan", type=Path)
    options = parser.parse_args(argv)
    print(json.dumps(measure(options.name, options.checkout, options.rounds, options.threads, options.fan)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
