"""The identity measure's network: dlib's face recogniser, a ResNet of 27 convolutions, as face-api ships it.

Source: D. King, "High Quality Face Recognition with Deep Metric Learning",
http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html, converted by face-api,
https://github.com/vladmandic/face-api: src/faceRecognitionNet. Faces are cut as dlib cuts them, not by
face-api's boxes: the network was trained on those chips, and is surer with them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.train.pretrained.alignment import DLIB, DLIB_AT, cut_faces, points_of
from avatar.train.pretrained.layers import MEAN_RGB, conv_weight, vector
from avatar.train.pretrained.tfjs import Tensors

SIDE = 150
"""Side of the faces it looks at [px]."""
PADDING = 0.25
"""Room around dlib's face on each side, in sides of the face."""
EMBEDDING = 128
STAGES = ((32, 3, ""), (64, 4, "down"), (128, 3, "down"), (256, 3, "down"), (256, 1, "down_out"))
"""Channels and blocks of its stages, and the name of the first block if that halves."""


class Block(nn.Module):
    """Two 3x3 that are added to the input; one that halves adds them to the input's 2x2 averages."""

    def __init__(self, channels: int, out: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(channels, out, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(out, out, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), or (B, C', H/2, W/2) rounded down."""
        y = self.second(F.relu(self.first(x)))
        if self.halves:
            x = F.avg_pool2d(x, 2)
            # What one of both lacks is zero: channels of the input, a column and a row of the other.
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return F.relu(x + y)


class RecognitionNet(nn.Module):
    """dlib's face recogniser; the affine layer after each convolution is folded in."""

    mean: Tensor
    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks, channels = [], 32
        for out, count, first in STAGES:
            for i in range(count):
                blocks.append(Block(channels, out, halves=i == 0 and first != ""))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.out = nn.Linear(channels, EMBEDDING, bias=False)
        at = (torch.from_numpy(DLIB_AT) + PADDING) / (1 + 2 * PADDING) * SIDE + 0.5
        self.register_buffer("template", at, persistent=False)
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(3, 1, 1), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Aligned faces (B, 3, 150, 150), RGB 0..1 -> embeddings (B, 128).

        They are about 1.4 long. Dlib takes two faces for the same person's if theirs are less than 0.6 apart.
        """
        x = F.max_pool2d(F.relu(self.stem((faces * 255 - self.mean) / 256)), 3, 2)
        y: Tensor = self.out(self.blocks(x).mean(dim=(2, 3)))
        return y

    def faces(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """Cut the aligned faces (B, 3, 150, 150) that `forward` takes out of pictures (B, 3, H, W).

        Args:
            pictures: RGB 0..1; gradients reach them.
            landmarks: (B, 478, 2 or 3), MediaPipe's, in pixels of the pictures.
        """
        return cut_faces(pictures, points_of(landmarks, DLIB), self.template, SIDE)

    def embed(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """Embeddings (B, 128) of length 1 of the faces in pictures, as `faces` takes them.

        All lie in one direction more or less: two people's have a cosine of about 0.84, two frames' of one
        clip 0.98.
        """
        return F.normalize(self(self.faces(pictures, landmarks)).float(), dim=1)


def recognition_state(tensors: Tensors) -> dict[str, Tensor]:
    """The state of a `RecognitionNet` from the tensors of face-api's face_recognition_model."""
    state: dict[str, Tensor] = {}

    def convolution(place: str, name: str) -> None:
        scale = vector(tensors.take(f"{name}/scale/weights"))
        kernel = conv_weight(tensors.take(f"{name}/conv/filters"))
        state[f"{place}.weight"] = kernel * scale[:, None, None, None]
        shift = vector(tensors.take(f"{name}/scale/biases"))
        state[f"{place}.bias"] = vector(tensors.take(f"{name}/conv/bias")) * scale + shift

    convolution("stem", "conv32_down")
    for i, name in enumerate(_block_names()):
        convolution(f"blocks.{i}.first", f"{name}/conv1")
        convolution(f"blocks.{i}.second", f"{name}/conv2")
    state["out.weight"] = vector(tensors.take("fc")).T
    tensors.finish()
    return state


def _block_names() -> Iterator[str]:
    for channels, count, first in STAGES:
        if first:
            yield f"conv{channels}_{first}"
        for i in range(1, count + (first == "")):
            yield f"conv{channels}_{i}"
