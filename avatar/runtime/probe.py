"""A few real frames that every engine is tried with before it is used: `weights/probe.safetensors`.

They show the demo's portrait moving, as its networks' windows; `bench.make_probe` makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from avatar.errors import ModelError
from avatar.model.networks import Networks
from avatar.model.presets import Preset
from avatar.records import F32, LANDMARKS, U8
from avatar.runtime.frame import FrameInputs
from avatar.tools.close_ups import CLOSE_UP, boxes_of
from avatar.tools.drawing import draw_landmarks
from avatar.tools.scaling import resized
from avatar.tools.tensor_file import Header, TensorFormat, Tensors
from avatar.tools.window import to_window
from avatar.weights import resolve

FORMAT = TensorFormat(
    name="livehead-probe", version=1, called="a file of frames to try engines with", bytes_max=2**24,
    error=ModelError,
)  # fmt: skip
NAMES = ("colours", "sure", "landmarks", "windows", "close_ups", "trust")


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """N frames of a portrait that moves."""

    pictures: U8
    """(N, 2, R, R, 5), as `tools.network_input.warp_slot`: the best view, and the second best."""
    landmarks: F32
    """(N, 478, 3), crop units."""
    windows: F32
    """(N, 2, 3), `tools.window.head_window` of them."""
    close_ups: U8
    """(N, 3, C, C)."""
    trust: F32
    """(N,)."""

    def save(self, path: str) -> None:
        """Write them; the pictures as PNG."""
        count, _, side = self.pictures.shape[:3]
        flat = self.pictures.reshape(count * 2 * side, side, 5)
        tensors: dict[str, U8 | F32] = {
            "colours": _png(flat[..., :4]),
            "sure": _png(flat[..., 4]),
            "landmarks": self.landmarks,
            "windows": self.windows,
            "close_ups": self.close_ups,
            "trust": self.trust,
        }
        FORMAT.write(path, {}, tensors)

    def inputs(self, preset: Preset, networks: Networks) -> list[FrameInputs]:
        """The same as networks of a preset are given them, with a psi by their own embedder."""
        size = preset.size
        drawings = [
            draw_landmarks(points, window, size, preset.style)
            for points, window in zip(self.landmarks, self.windows, strict=True)
        ]
        psi = _psi(preset, networks, self.pictures[0, 0], self.landmarks[0], self.windows[0])
        return [
            FrameInputs(
                best=resized(best, size),
                second=resized(second, size),
                drawing=drawing,
                psi=psi,
                close_ups=close_ups,
                boxes=boxes_of(to_window(points[:, :2], window)),
                trust=trust,
            )
            for (best, second), drawing, close_ups, points, window, trust in zip(
                self.pictures,
                drawings,
                self.close_ups,
                self.landmarks,
                self.windows,
                self.trust[:, None],
                strict=True,
            )
        ]


def load_probe() -> Probe:
    """The frames that come with the program; raises ModelError if they are missing or damaged."""
    return FORMAT.read(resolve("probe"), NAMES, _parse)


def _parse(_: Header, tensors: Tensors) -> Probe:
    colours, sure = (_picture(tensors[name]) for name in NAMES[:2])
    count, side = len(tensors["windows"]), colours.shape[1]
    return Probe(
        np.dstack([colours, sure]).reshape(count, 2, side, side, 5),
        np.asarray(tensors["landmarks"], np.float32).reshape(count, LANDMARKS, 3),
        np.asarray(tensors["windows"], np.float32).reshape(count, 2, 3),
        np.asarray(tensors["close_ups"], np.uint8).reshape(count, 3, CLOSE_UP, CLOSE_UP),
        np.asarray(tensors["trust"], np.float32).reshape(count),
    )


def _psi(preset: Preset, networks: Networks, picture: U8, landmarks: F32, window: F32) -> F32:
    """(P,), of a picture (R, R, 5) as the only reference."""
    side = preset.reference_size
    drawing = draw_landmarks(landmarks, window, side, preset.style)
    reference = np.dstack([resized(np.ascontiguousarray(picture[..., :4]), side), drawing])
    with torch.inference_mode():
        references = torch.from_numpy(reference).movedim(-1, 0).float().div_(255)[None, None]
        psi = networks.condition(networks.embed(references, torch.ones(1, 1)))
    return np.asarray(psi[0].numpy(), np.float32)


def _png(picture: U8) -> U8:
    """(H, W) or (H, W, 4), whatever its channels mean, as bytes."""
    return np.asarray(cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1], np.uint8).ravel()


def _picture(stored: U8) -> U8:
    picture = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError("a picture cannot be unpacked")
    return np.asarray(picture, np.uint8)
