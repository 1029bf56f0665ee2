"""That NVIDIA's libraries take the networks, as far as it can be seen without a card: `make test-tensorrt`.

What this does not prove stands in bench/README.md. Networks are written in one process and engines built in
others: both in one crashed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from avatar.errors import ModelError
from avatar.model.presets import PRESETS
from avatar.runtime.frame import OUTPUTS, still_inputs
from avatar.runtime.tensorrt_runtime import build

HERE = Path(__file__).resolve().parent
TARGETS = ("SM86", "SM89", "SM120")
"""RTX 30, 40 and 50."""
TYPES = {"uint8": "UINT8", "float32": "FLOAT"}


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the networks as ONNX files."""
    folder = tmp_path_factory.mktemp("networks")
    subprocess.run([sys.executable, HERE / "write_networks.py", folder], check=True, timeout=600)
    return folder


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("name", ["live", "paper"])
def test_one_engine_of_all_of_it(
    name: str, precision: str, target: str, networks: Path, tmp_path: Path
) -> None:
    network, engine = networks / f"{name}-{precision}.onnx", tmp_path / "engine"
    facts = json.loads(build("rtx", network, engine, target))
    assert facts["subgraphs"] == 1 and facts["layers"] > 100 and facts["target"] == target
    assert engine.stat().st_size == facts["bytes"] > network.stat().st_size / 2
    for port, array in still_inputs(PRESETS[name], 1).arrays().items():
        if port != "psi":
            assert facts["inputs"][port] == {"shape": list(array.shape), "type": TYPES[str(array.dtype)]}
    assert list(facts["outputs"]) == list(OUTPUTS)
    assert {port["type"] for port in facts["outputs"].values()} == {"FLOAT"}


def test_half_precision_makes_a_smaller_engine(networks: Path, tmp_path: Path) -> None:
    half, whole = (
        json.loads(build("rtx", networks / f"paper-{precision}.onnx", tmp_path / "engine", "SM89"))["bytes"]
        for precision in ("fp16", "fp32")
    )
    assert half < 0.6 * whole


def test_a_network_that_it_does_not_know_is_no_engine(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("NobodyKnowsThis", ["x"], ["y"], domain="nobody")
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "one", ports[:1], ports[1:])
    domains = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("nobody", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=domains), tmp_path / "x.onnx")
    with pytest.raises(ModelError, match="cannot build an engine"):
        build("rtx", tmp_path / "x.onnx", tmp_path / "engine", "SM89")


def dry_run(what: str) -> dict[str, Any]:
    """What torch_tensorrt says it would convert."""
    command = [sys.executable, str(HERE / "dry_run.py"), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout + done.stderr
    counts = re.search(r"consists of (\d+) Total Operators, of which (\d+) operators are supported", told)
    assert counts is not None, told
    return {
        "operators": int(counts[1]),
        "supported": int(counts[2]),
        "engines": len(set(re.findall(r"TRT Engine #(\d+)", told))),
    }


@pytest.mark.parametrize("name", ["live", "paper"])
def test_torch_tensorrt_would_convert_every_operator(name: str) -> None:
    found = dry_run(name)
    assert found["operators"] == found["supported"] > 100 and found["engines"] == 1


def test_the_dry_run_sees_what_cannot_be_converted() -> None:
    found = dry_run("unsupported")
    assert found["supported"] < found["operators"]
