"""What a network needs of an identity: worked out once, kept in the .avatar file."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avatar.generate.network_file import Trained
from avatar.records import Conditioning, Identity
from avatar.tools.network_input import reference_picture

PSI = "psi"
"""(P,), the parameters of the styled layers (Zakharov et al. 2019, eq. 2)."""
EMBEDDING = "embedding"
"""(E,), what `psi` was projected from."""


def condition(identity: Identity, trained: Trained) -> Conditioning:
    """Embed all views of an identity and project the parameters of the generator."""
    preset, networks = trained.preset, trained.networks
    pictures = np.stack([reference_picture(v, preset.reference_size, preset.style) for v in identity.views])
    references = torch.from_numpy(pictures).movedim(-1, 1).float().div_(255)[None]
    with torch.inference_mode():
        embedding = networks.embed(references, torch.ones(1, len(identity.views)))
        psi = networks.condition(embedding)
    tensors = {PSI: psi[0].numpy().copy(), EMBEDDING: embedding[0].numpy().copy()}
    return Conditioning(preset.name, trained.sha256, tensors)


def psi_of(identity: Identity, trained: Trained) -> Tensor:
    """(1, P): the stored parameters if they are of these networks, else worked out anew."""
    stored = identity.conditioning
    if stored is None or (stored.preset, stored.weights_sha256) != (trained.preset.name, trained.sha256):
        stored = condition(identity, trained)
    return torch.from_numpy(stored.tensors[PSI].copy())[None]
