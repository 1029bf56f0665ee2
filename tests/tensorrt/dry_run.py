"""Ask torch_tensorrt what it would convert: `python dry_run.py PRESET`, without a card.

It does not start on a PyTorch without CUDA: what it asks of a card is answered here as an RTX 40 would.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch


def pretend_a_card() -> None:
    """Answer for a card of compute capability 8.9 with 12 GiB."""
    answers = {"get_device_capability": (8, 9), "current_device": 0, "mem_get_info": (8 << 30, 12 << 30)}
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer, **__: answer)
    setattr(torch._C, "_CudaDeviceProperties", type("Properties", (), {}))  # noqa: B010 (mypy knows no such type)


class Unsupported(torch.nn.Module):
    """What no engine does: eigenvalues."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, N) -> (N,)."""
        values: torch.Tensor = torch.linalg.eigvals(x).abs()
        return values + x[0]


def main(name: str) -> None:
    """Print what torch_tensorrt says of the network of a preset, or of `unsupported`."""
    pretend_a_card()
    spec = find_spec("torch_tensorrt")
    assert spec is not None and spec.origin is not None
    # The library of its C++ part needs CUDA's own; the conversion does not.
    with hidden(Path(spec.origin).parent / "lib"):
        import torch_tensorrt
    # What cannot be converted would be put on the card.
    torch_tensorrt.dynamo._compiler.to_torch_device = lambda *_: torch.device("cpu")
    network, given = made(name)
    program = torch.export.export(network, given)
    torch_tensorrt.dynamo.compile(program, arg_inputs=given, dryrun=True, min_block_size=1)


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """Give a folder another name meanwhile."""
    other = folder.with_name("lib-hidden")
    if folder.exists():
        folder.rename(other)
    try:
        yield
    finally:
        if other.exists():
            other.rename(folder)


def made(name: str) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """A network and what it is given."""
    if name == "unsupported":
        return Unsupported().eval(), (torch.rand(8, 8),)
    from avatar.generate import open_networks
    from avatar.model.blocks import fold_spectral
    from avatar.model.presets import PRESETS
    from avatar.runtime.frame import FrameNetwork, still_inputs

    preset = PRESETS[name]
    networks = open_networks("live").networks if name == "live" else fold_spectral(preset.networks().eval())
    arrays = still_inputs(preset, networks.projection.out_features).arrays().values()
    return FrameNetwork(networks.generator).eval(), tuple(torch.from_numpy(array) for array in arrays)


if __name__ == "__main__":
    main(sys.argv[1])
