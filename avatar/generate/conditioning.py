"""What a network needs of an identity: worked out once, kept in the .avatar file."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from avatar.errors import IdentityFileError
from avatar.generate.network_file import Trained
from avatar.model.networks import Networks
from avatar.records import F32, Conditioning, Identity
from avatar.tools.network_input import reference_picture

_log = logging.getLogger(__name__)

PSI = "psi"
"""(P,), the parameters of the styled layers (Zakharov et al. 2019, eq. 2)."""
EMBEDDING = "embedding"
"""(E,), what `psi` was projected from."""
LAYERS = "generator."
"""Begins the names of the generator's layers that fine-tuning has changed for an identity."""


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
    """(1, P): the stored parameters if they are of these networks, else worked out anew.

    Raises:
        IdentityFileError: as `networks_of`.
    """
    stored = _stored(identity, trained) or condition(identity, trained)
    return torch.from_numpy(stored.tensors[PSI].astype(np.float32))[None]


def networks_of(identity: Identity, trained: Trained) -> Networks:
    """The networks that draw an identity: with layers of its own, if it was fine-tuned with these networks.

    Raises:
        IdentityFileError: what is stored says it is of these networks, and does not fit them.
    """
    stored = _stored(identity, trained)
    if stored is None and is_tuned(identity):
        _log.warning(
            "what was fine-tuned for %s is for other networks and is not used; adapt the avatar to these "
            "with 'avatar train finetune'",
            identity.name,
        )
    own = {} if stored is None else {n: t for n, t in stored.tensors.items() if n.startswith(LAYERS)}
    if not own:
        return trained.networks
    generator = copy.deepcopy(trained.networks.generator)
    with torch.no_grad():
        for name, tensor in own.items():
            generator.get_parameter(name.removeprefix(LAYERS)).copy_(torch.from_numpy(tensor))
    return trained.networks.with_generator(generator)


def is_tuned(identity: Identity) -> bool:
    """Whether it holds layers that fine-tuning has changed."""
    return any(name.startswith(LAYERS) for name in _tensors(identity))


def _tensors(identity: Identity) -> Mapping[str, F32]:
    return {} if identity.conditioning is None else identity.conditioning.tensors


def _stored(identity: Identity, trained: Trained) -> Conditioning | None:
    """What is stored, if it is of these networks."""
    stored, networks = identity.conditioning, trained.networks
    if stored is None or (stored.preset, stored.weights_sha256) != (trained.preset.name, trained.sha256):
        return None
    shapes = {PSI: networks.projection.bias.shape, EMBEDDING: (networks.projection.in_features,)}
    shapes |= {LAYERS + name: each.shape for name, each in networks.generator.named_parameters()}
    if PSI not in stored.tensors or any(shapes.get(n) != t.shape for n, t in stored.tensors.items()):
        raise IdentityFileError(
            f"what the avatar holds for the networks of the preset {stored.preset} does not fit them"
        )
    return stored
