"""The bench of what draws, and `avatar bench`, which prints it with the rest as one table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from made_windows import made_networks
from PIL import Image

from avatar.cli import bench as cli
from avatar.cli.main import build_parser, main
from avatar.errors import AvatarError, ModelError
from avatar.model.presets import PRESETS
from avatar.runtime import Runtime, Wanted
from avatar.runtime.probe import load_probe
from avatar.runtime.torch_runtime import TorchRuntime
from bench import latency, model

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch alone can be had, and matrices are small."""

    def opened(wanted: Wanted, _: object, networks: torch.nn.Module) -> Runtime:
        if wanted.runtime != "torch":
            raise ModelError(f"no {wanted.runtime} here")
        return TorchRuntime(networks.generator, wanted.precision)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "open_runtime", opened)
    monkeypatch.setattr(model, "SIDE", 64)


@pytest.mark.usefixtures("plain")
def test_every_runtime_stands_in_the_document(capsys: Capture, tmp_path: Path) -> None:
    picture = tmp_path / "model.png"
    before = torch.get_num_threads()
    options = ["--preset", "tiny", "--rounds", "3", "--threads", "1", "--plot", str(picture)]
    assert model.main(options) == 0
    assert torch.get_num_threads() == before
    *told, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    assert set(document["matmul_gflops"]) == {"fp32 x1", "bf16 x1"}
    tiny = document["presets"]["tiny"]
    assert tiny["weights"] == "fresh" and 0 < tiny["gmac"] < 0.1 and tiny["rounds"] == 3
    assert list(tiny["runtimes"]) == [f"{runtime} {precision}" for runtime, precision in model.CANDIDATES]
    measured = tiny["runtimes"]["torch fp32"]
    assert 0 < measured["p10"] <= measured["p50"] <= measured["p95"]
    assert measured["gflops"] == pytest.approx(2 * tiny["gmac"] / measured["p10"] * 1e3, rel=0.1)
    share = measured["gflops"] / document["matmul_gflops"]["fp32 x1"]
    assert measured["of_peak"] == pytest.approx(share, rel=0.05, abs=1e-3)
    assert tiny["runtimes"]["openvino bf16"] == {
        "p10": None, "p50": None, "p95": None, "reason": "no openvino here",
    }  # fmt: skip
    assert "not measured: no rtx here" in "\n".join(told)
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 600


def test_all_have_their_turn_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    frames = load_probe().inputs(PRESETS["live"], made_networks("live"))
    runtimes: Any = {name: lambda _, name=name: turns.append(name) for name in "ab"}
    monkeypatch.setattr(model, "MOST_S", 0.0)
    took = model._in_turns(runtimes, frames, rounds=1000)
    assert [len(values) for values in took.values()] == [model.LEAST_ROUNDS] * 2
    assert turns == ["a", "b"] * (model.WARM_UP + model.LEAST_ROUNDS)


def test_the_peak_is_the_best_of_all_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([5.0, 9.0, 7.0])
    monkeypatch.setattr(model, "peak", lambda kind: next(speeds))
    peaks = model.Peaks()
    assert [peaks.look("fp32", 1) for _ in range(3)] == [5.0, 9.0, 9.0]
    assert peaks.look("fp16", 1) is None and peaks.found == {("fp32", 1): 9.0}


def test_multiplications_are_those_of_the_preset() -> None:
    networks = made_networks("live").eval()
    frame = load_probe().inputs(PRESETS["live"], networks)[0]
    assert 1.4e9 < model.multiplications(networks, frame) <= 1.5e9


WHOLE: dict[str, Any] = {
    "fps": 29.97, "dropped": 1, "frames": 300, "age_ms": {"p50": 30.0, "p95": 40.0, "p99": None},
    "stages_ms": {"track": {"p50": 4.0, "p95": 5.0}}, "memory_mb": 512.0, "first_frame_s": None,
    "generator": "live", "runtime": "plain PyTorch",
    "machine": {
        "cpu": "a processor", "cores": 2, "platform": "a system", "python": "3",
        "packages": {"torch": "2"}, "commit": None,
    },
}  # fmt: skip


@pytest.mark.usefixtures("plain")
def test_one_table_to_paste(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "STARTS", {"import avatar": ["-c", "import avatar"]})
    monkeypatch.setattr(cli, "ROUNDS", 1)
    monkeypatch.setattr(model, "WARM_UP", 1)
    monkeypatch.setattr(cli, "measured_alone", lambda arguments: WHOLE)
    assert main(["bench", "--generator", "warp"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| what | measured |", "|---|---|"]
    assert all(line.count("|") == 3 for line in lines)
    assert "| frame rate | 30.0 of 30, 1 of 301 dropped |" in lines
    assert "| stage track | p50 4.0 ms, p95 5.0 ms |" in lines
    assert "| start to first frame | - |" in lines
    assert any(line.startswith("| network, torch bf16 | p50 ") for line in lines)
    assert "| network, rtx fp16 | not measured: no rtx here |" in lines


def test_the_whole_program_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def runs(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "a table\n" + json.dumps(WHOLE) + "\n", "")

    monkeypatch.setattr(subprocess, "run", runs)
    options = build_parser().parse_args(["bench", "--seconds", "3", "--weights", "my.safetensors"])
    assert cli.measured_alone(options) == WHOLE
    ((_, *command),) = asked
    assert command[:4] == ["-m", "bench.latency", "--seconds", "3.0"]
    assert ["--weights", "my.safetensors"] == command[-4:-2] and "--precision" not in command
    latency.build_parser().parse_args(command[2:])


def test_what_the_whole_program_fails_of_is_one_line(tmp_path: Path) -> None:
    options = build_parser().parse_args(["bench", "--weights", str(tmp_path / "none.safetensors")])
    with pytest.raises(AvatarError, match=r"none\.safetensors") as raised:
        cli.measured_alone(options)
    assert "\n" not in str(raised.value) and "bench.latency" not in str(raised.value)
