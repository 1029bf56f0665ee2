"""Several processes that train together, as `torchrun` would start them, on this computer's own address."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_caches import write_caches
from safetensors.torch import load_file, save_file
from torch.multiprocessing.spawn import spawn

from avatar.errors import AvatarError
from avatar.train.data.batches import PackedBatch, batches
from avatar.train.loop import CHECKPOINT, METRICS, Rhythm, train
from avatar.train.options import DEFAULTS
from avatar.train.processes import Processes
from avatar.train.step import Judges

OPTIONS = replace(DEFAULTS["tiny"], batch=2, bf16=False)
STEPS = 2


def work(rank: int, port: int, folder: Path, files: list[Path]) -> None:
    """One of two processes; leaves its networks and what tells its batches apart."""
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), **address}
    places: list[list[float]] = []

    def noted(*args: Any, **options: Any) -> Iterator[PackedBatch]:
        for batch in batches(*args, **options):
            places.append(batch.arrays["place"].tolist())
            yield batch

    pytest.MonkeyPatch().setattr("avatar.train.loop.batches", noted)
    with Processes() as processes:
        torch.manual_seed(rank)
        drawn = torch.rand(3)
        processes.share([drawn])
        processes.agree(7, "sevens")
        with pytest.raises(AvatarError, match=r"different ranks \[0, 1\]"):
            processes.agree(rank, "ranks")
        nets = train(
            folder / "run",
            files,
            [],
            OPTIONS,
            samples=2 * OPTIONS.batch * STEPS,
            judges=Judges(),
            processes=processes,
            rhythm=Rhythm(log=1),
            say=lambda line: None,
            workers=0,
        )
    parts = {"networks": nets.networks, "average": nets.average, "critics": nets.critics}
    state = {f"{part}.{key}": value for part, net in parts.items() for key, value in net.state_dict().items()}
    state["drawn"] = drawn
    save_file(
        {key: value.contiguous().clone() for key, value in state.items()}, folder / f"{rank}.safetensors"
    )
    (folder / f"{rank}.json").write_text(json.dumps(places))


def test_two_processes_share_the_work_and_hold_the_same_networks(tmp_path: Path) -> None:
    files = write_caches(tmp_path)
    (tmp_path / "run").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    spawn(work, (port, tmp_path, files), nprocs=2)  # type: ignore[no-untyped-call]
    one, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    places = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    wanted = [np.random.default_rng(number).random(2, np.float32).tolist() for number in (0, 2, 4, 6)]
    assert places == [wanted[0::2], wanted[1::2]]
    # The first writes for both.
    lines = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]
    assert [line["samples"] for line in lines] == [4, 8]
    assert torch.equal(
        load_file(tmp_path / "run" / CHECKPOINT)["networks.projection.weight"],
        one["networks.projection.weight"],
    )


def test_one_alone_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = Processes()
    assert (alone.count, alone.rank, alone.first) == (1, 0, True)
    layer = torch.nn.Linear(2, 1)
    layer(torch.ones(1, 2)).sum().backward()
    alone.average_gradients(layer.parameters())
    kept = layer.weight.detach().clone()
    alone.share(layer.parameters())
    alone.agree(1, "checkpoints")
    alone.wait()
    assert torch.equal(layer.weight, kept)
    assert layer.weight.grad is not None and layer.weight.grad.tolist() == [[1, 1]]
    alone.close()


@pytest.mark.parametrize(
    ("kind", "cores", "here", "helpers"),
    [("cpu", 16, 1, 1), ("cuda", 16, 1, 8), ("cuda", 6, 1, 5), ("cuda", 6, 2, 2), ("cuda", 1, 1, 1)],
)
def test_a_card_gets_its_samples_of_several_processes(
    kind: str, cores: int, here: int, helpers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatar.train.processes.usable_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    with Processes() as processes:
        processes.device = torch.device(kind)
        assert processes.helpers == helpers
