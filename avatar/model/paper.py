"""The networks of the paper: a picture painted out of a landmark drawing and an embedding alone.

E. Zakharov et al., "Few-Shot Adversarial Learning of Realistic Neural Talking Head Models", ICCV 2019,
sec. 3.1 and 4.1. Where its words leave a choice, re-implementations differ. What is followed, and what others
have (S: shrubb/latent-pose-reenactment, of the same lab; T: vincent-thevenin/Realistic-Neural-Talking-Head-
Models; G: grey-eye/talking-heads):

| choice                             | followed                              | others                       |
|------------------------------------|---------------------------------------|------------------------------|
| blocks and their widths, first and | S                                     | T: 9x9 convolutions there;   |
| last convolution, tanh             |                                       | T, G: rectified after norm   |
| lowest side of the generator 16    | S                                     | G: 4                         |
| 5 blocks there                     | T, G                                  | S: 4                         |
| attention                          | the paper, in the form of BigGAN that | S: none                      |
|                                    | it cites                              | T, G: nothing pooled         |
| e: sum over places, then rectified | the paper                             | S: rectified first           |
|                                    |                                       | T, G: the greatest           |
| P without spectral norm            | T, G                                  | S: with it                   |

The paper's pictures are whole; here what is not the person is the real background, and carries no loss.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SelfAttention, instance_norm, restyled, spectral, styles_of
from avatar.model.discriminator import Projection, Verdict
from avatar.model.embedder import mean_over_pictures
from avatar.model.expression import DriverLook
from avatar.model.generator import WARP_CHANNELS, Drawn, WindowBytes
from avatar.model.residual import DownBlock, FlatBlock, StyledBlock

LOOK_DOWN, LOOK_UP = 32, 64
"""Sides of the maps that attention looks over, on the way down and on the way up."""


def down_blocks(inputs: int, widths: tuple[int, ...], side: int, *, normed: bool) -> nn.ModuleList:
    """Blocks from maps of `side` pixels on, each to half of that, with attention where it belongs."""
    blocks: list[nn.Module] = []
    for before, after in pairwise((inputs, *widths)):
        block: nn.Module = DownBlock(before, after, normed=normed, first=not blocks)
        side //= 2
        blocks.append(nn.Sequential(block, SelfAttention(after)) if side == LOOK_DOWN else block)
    return nn.ModuleList(blocks)


class PaperEmbedder(nn.Module):
    """Residual blocks without norm down to 4x4; the sum over the places, rectified, is the embedding.

    Args:
        drawing: channels of the landmark drawing.
        size: side of the pictures [px].
        widths: of the blocks; the last is the length of the embedding.
        fold: so many pixels a side become one place with more channels before the first block.
    """

    def __init__(self, drawing: int, size: int, widths: tuple[int, ...], fold: int = 1) -> None:
        super().__init__()
        self.fold = fold
        self.blocks = down_blocks((3 + drawing) * fold**2, widths, size // fold, normed=False)

    def forward(self, references: Tensor, valid: Tensor) -> Tensor:
        """(B, K, 4 + D, r, r), 0..1, and (B, K), 1 where there is a picture -> (B, E); alpha is left out."""
        pictures = references.flatten(0, 1) * 2 - 1
        x = F.pixel_unshuffle(torch.cat([pictures[:, :3], pictures[:, 4:]], dim=1), self.fold)
        for block in self.blocks:
            x = block(x)
        embeddings = F.relu(x.float().sum(dim=(2, 3)))
        return mean_over_pictures(embeddings.reshape(*references.shape[:2], -1), valid)


class PaperGenerator(nn.Module):
    """Down to 1/16, residual blocks there, up again; it sees no pixel of the person.

    Args:
        drawing: channels of the landmark drawing.
        size: side of the window it is made for [px]: there attention looks over maps of the paper's sides.
        widths: of the blocks on the way down; the way up has them in reverse.
        middle: residual blocks at the lowest side.
        fold: so many pixels a side are one place of the first and last maps.
    """

    def __init__(
        self, drawing: int, size: int, widths: tuple[int, ...], middle: int = 5, fold: int = 1
    ) -> None:
        super().__init__()
        self.fold = fold
        self.down = down_blocks(drawing * fold**2, widths, size // fold, normed=True)
        self.middle = nn.ModuleList(StyledBlock(widths[-1], widths[-1], up=False) for _ in range(middle))
        ups = tuple(reversed(widths))
        self.up = nn.ModuleList(StyledBlock(a, b, up=True) for a, b in pairwise((ups[0], *ups)))
        lowest = size // fold >> len(widths)
        self.look_after = (LOOK_UP // lowest).bit_length() - 2
        """Number of the block on the way up whose maps attention looks over."""
        self.look = SelfAttention(ups[self.look_after])
        self.out = spectral(nn.Conv2d(ups[-1], 3 * fold**2, 3, 1, 1))
        styled = [
            width
            for block in (*self.middle, *self.up)
            for width in (block.conv1.in_channels, block.conv2.in_channels)
        ]
        self.styled = (*styled, ups[-1])
        """Widths of the layers that take parameters of the identity, in order."""

    def forward(self, warps: Tensor, drawing: Tensor, psi: Tensor, look: DriverLook | None = None) -> Drawn:
        """Paint a window.

        Args:
            warps: (B, 2, 5, R, R), of which only the best view's alpha is used: there is no other matte.
            drawing: (B, D, R, R), 0..1; R a multiple of 16.
            psi: (B, 2 * sum(styled)), the identity's parameters.
            look: not used; the paper knows landmarks alone.
        """
        return self._paint(drawing, psi, warps[:, 0, 3:4].float())

    def forward_bytes(self, given: WindowBytes, psi: Tensor, look: DriverLook | None = None) -> Drawn:
        """The same of bytes as they lie in memory; `look` is not used."""
        drawing = given.pictures.float()[..., 2 * WARP_CHANNELS :].permute(0, 3, 1, 2) / 255
        return self._paint(drawing, psi, given.matte.float() / 255)

    def _paint(self, drawing: Tensor, psi: Tensor, alpha: Tensor) -> Drawn:
        style = styles_of(psi, self.styled)
        h = F.pixel_unshuffle((drawing * 2 - 1).to(self.out.weight.dtype), self.fold)
        for block in self.down:
            h = block(h)
        for block in self.middle:
            h = block(h, next(style), next(style))
        for number, block in enumerate(self.up):
            h = block(h, next(style), next(style))
            if number == self.look_after:
                h = self.look(h)
        h = self.out(F.relu(restyled(instance_norm(h), next(style))))
        # The paper's picture is the tanh, -1..1.
        base = (torch.tanh(F.pixel_shuffle(h.float(), self.fold)) + 1) / 2
        b, _, height, width = base.shape
        return Drawn(
            flow=base.new_zeros(b, 2, height // 2, width // 2),
            keep=base.new_zeros(b, 1, height, width),
            base=base,
            alpha=alpha,
        )


class PaperDiscriminator(nn.Module):
    """Like the embedder, with one more residual block at the end.

    Args:
        drawing: channels of the landmark drawing.
        size: side of the pictures it is made for [px].
        clips: number of columns.
        widths: of the blocks; the last is the length of a column, that of the embedding.
        fold: as of `PaperEmbedder`.
    """

    def __init__(self, drawing: int, size: int, clips: int, widths: tuple[int, ...], fold: int = 1) -> None:
        super().__init__()
        self.fold = fold
        self.blocks = down_blocks((3 + drawing) * fold**2, widths, size // fold, normed=False)
        self.blocks.append(FlatBlock(widths[-1]))
        self.projection = Projection(clips, widths[-1])

    def forward(self, picture: Tensor, drawing: Tensor, clip: Tensor) -> Verdict:
        """Args: picture (B, 3, R, R), drawing (B, D, R, R), 0..1; clip (B,)."""
        x = F.pixel_unshuffle(torch.cat([picture, drawing], dim=1) * 2 - 1, self.fold)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        v = F.relu(x.float().sum(dim=(2, 3)))
        return Verdict(self.projection(v, clip), v.new_zeros(len(v), 1, 1, 1), features)
