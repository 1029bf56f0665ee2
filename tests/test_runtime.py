"""Engines: built, compared, kept and found again; and what becomes of those that are not as should be."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from made_windows import EXACT, made_networks
from torch import nn

from avatar import runtime, weights
from avatar.errors import ModelError
from avatar.generate import open_networks
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS
from avatar.runtime import (
    PLAIN,
    FrameInputs,
    Wanted,
    open_runtime,
    openvino_runtime,
    parity,
    store,
    tensorrt_runtime,
)
from avatar.runtime.frame import FrameMaps, halved
from avatar.runtime.probe import Probe, load_probe
from avatar.runtime.store import NOTE, EngineKey
from avatar.runtime.torch_runtime import TorchRuntime

TINY = PRESETS["tiny"]
OPENVINO = Wanted("openvino", "fp32")


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is there, wherever this runs; what one shows is in `test_card.py`."""
    for module in (runtime, tensorrt_runtime):
        monkeypatch.setattr(module, "why_no_card", lambda: "PyTorch sees no NVIDIA card")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, in which nothing is yet."""
    monkeypatch.setenv("AVATAR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def tiny() -> Networks:
    return made_networks("tiny").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def made(tiny: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the engine of `tiny` was built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATAR_CACHE", str(folder := tmp_path_factory.mktemp("made")))
        open_runtime(OPENVINO, TINY, tiny)
    return folder


@pytest.fixture
def built(made: Path, cache: Path) -> Path:
    """The folder of that engine, in this test's own cache."""
    shutil.copytree(made, cache)
    (folder,) = engines(cache)
    return folder


@pytest.fixture(scope="module")
def probe() -> Probe:
    return load_probe()


def engines(cache: Path) -> list[Path]:
    return sorted((cache / store.FOLDER).iterdir()) if (cache / store.FOLDER).exists() else []


@pytest.mark.parametrize("precision", [None, "fp32"])
def test_the_shipped_network_compiled_is_the_plain_one(precision: str | None, probe: Probe) -> None:
    trained = open_networks("live")
    engine = open_runtime(Wanted("openvino", precision), trained.preset, trained.networks)
    frames = probe.inputs(trained.preset, trained.networks)
    found = parity.compare(engine, TorchRuntime(trained.networks.generator, "fp32"), frames)
    assert found.psnr > (60 if engine.precision == "fp32" else 50)
    parity.check(found, engine.precision, "it")


def test_the_frames_it_is_tried_with_make_the_network_do_something(probe: Probe) -> None:
    trained = open_networks("live")
    frames = probe.inputs(trained.preset, trained.networks)
    plain = TorchRuntime(trained.networks.generator, "fp32")
    for frame in frames:
        maps = plain(frame)
        assert np.abs(maps.flow).max() > 0.001 and maps.keep.min() < 0.5 < maps.keep.max()
        assert maps.alpha.min() < 0.1 and maps.alpha.max() > 0.9
    # The driver's look, and who is drawn, change what they say.
    assert frames[0].trust[0] == 1
    for other in (
        replace(frames[0], trust=np.zeros(1, np.float32)),
        replace(frames[0], psi=frames[0].psi + 0.3),
    ):
        assert np.abs(plain(other).base - plain(frames[0]).base).max() > 0.02


@pytest.mark.usefixtures("built")
def test_one_engine_serves_everybody(tiny: Networks, probe: Probe, cache: Path) -> None:
    engine = open_runtime(OPENVINO, TINY, tiny)
    plain = TorchRuntime(tiny.generator, "fp32")
    frame = probe.inputs(TINY, tiny)[0]
    rng = np.random.default_rng(0)
    people = [replace(frame, psi=rng.normal(0, 0.5, frame.psi.shape).astype(np.float32)) for _ in range(2)]
    one, two = (engine(person) for person in people)
    assert np.abs(one.base - two.base).max() > 0.01
    for person, made in zip(people, (one, two), strict=True):
        np.testing.assert_allclose(made.base, plain(person).base, atol=1e-3)
    assert len(engines(cache)) == 1


@pytest.mark.usefixtures("built")
def test_an_answer_is_not_written_over_by_the_next(tiny: Networks, probe: Probe) -> None:
    engine = open_runtime(OPENVINO, TINY, tiny)
    first, second = probe.inputs(TINY, tiny)[:2]
    made = engine(first)
    before = made.base.copy()
    engine(second)
    np.testing.assert_array_equal(made.base, before)


def test_networks_of_the_paper_can_be_compiled_too(probe: Probe) -> None:
    """They look at the drawing alone: what a network does not look at is no input of its engine."""
    preset = PRESETS["paper-small"]
    networks = made_networks("paper-small").eval().requires_grad_(False)
    engine = open_runtime(OPENVINO, preset, networks)
    frame = probe.inputs(preset, networks)[1]
    np.testing.assert_allclose(
        engine(frame).base, TorchRuntime(networks.generator, "fp32")(frame).base, atol=2e-3
    )


def test_an_engine_is_built_once(tiny: Networks, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.runtime.write_onnx", lambda *_: pytest.fail("built again"))
    assert open_runtime(OPENVINO, TINY, tiny).name == "openvino"
    note = json.loads((built / NOTE).read_text())
    assert note["facts"]["parity"]["psnr"] >= 60 and note["facts"]["ms"] > 0


@pytest.mark.usefixtures("built")
def test_other_weights_get_an_engine_of_their_own(cache: Path) -> None:
    open_runtime(OPENVINO, TINY, made_networks("tiny", seed=1).eval().requires_grad_(False))
    assert len(engines(cache)) == 2


def test_engines_that_nobody_uses_make_room(cache: Path) -> None:
    def made(weights: str) -> EngineKey:
        key = EngineKey("openvino", "1", "bf16", "a processor", "live", 256, weights)
        store.build(key, lambda folder: {"size": (folder / "network").write_text(weights)})
        return key

    keys = {name: made(name) for name in ("old", "used", "young")}
    for name, days in (("old", 90), ("used", 90), ("young", 30)):
        ago = time.time() - days * 86_400
        os.utime(keys[name].folder / NOTE, (ago, ago))
    assert store.find(keys["used"]) is not None  # which is to use it
    keys["new"] = made("new")
    assert {name for name, key in keys.items() if key.folder.exists()} == {"used", "young", "new"}
    assert store.kept() == engines(cache)
    assert len(engines(cache)) == 3


def test_all_that_an_engine_depends_on_is_in_its_key() -> None:
    key = EngineKey("openvino", "1", "bf16", "a processor", "live", 256, "aa")
    others = [
        replace(key, runtime="tensorrt"),
        replace(key, version="2"),
        replace(key, precision="fp32"),
        replace(key, device="another"),
        replace(key, preset="paper"),
        replace(key, size=128),
        replace(key, weights="bb"),
        replace(key, graph=key.graph + 1),
    ]
    assert len({each.folder for each in (key, *others)}) == len(others) + 1


@pytest.mark.parametrize("harm", ["other bytes", "no file", "no note", "a foreign note"])
def test_a_damaged_engine_is_built_again_and_told(
    harm: str, tiny: Networks, built: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = built / "network.onnx"
    whole = file.read_bytes()
    if harm == "other bytes":
        file.write_bytes(whole[:-1] + b"?")
    elif harm == "no file":
        file.unlink()
    elif harm == "no note":
        (built / NOTE).unlink()
    else:
        (built / NOTE).write_text("[]")
    with caplog.at_level(logging.WARNING, "avatar"):
        open_runtime(OPENVINO, TINY, tiny)
    assert "built again" in caplog.text and str(built) in caplog.text
    assert file.stat().st_size == len(whole) and (built / NOTE).is_file()


def test_compile_builds_anew_even_if_there_is_one(
    tiny: Networks, built: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        raise ModelError("gone wrong")

    monkeypatch.setattr("avatar.runtime.write_onnx", fail)
    with pytest.raises(ModelError, match="gone wrong"):
        open_runtime(replace(OPENVINO, anew=True), TINY, tiny)
    assert calls and not built.exists() and not engines(cache)


def test_an_engine_that_says_something_else_is_not_kept(
    tiny: Networks, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made_networks("tiny", seed=5).eval().requires_grad_(False).generator
    honest = openvino_runtime.fastest

    def lying(*given: object) -> object:
        engine, took = honest(*given)  # type: ignore[arg-type]
        liar = TorchRuntime(other, "fp32")
        liar.threads = engine.threads  # type: ignore[attr-defined]
        return liar, took

    monkeypatch.setattr(openvino_runtime, "fastest", lying)
    with pytest.raises(ModelError, match=r"does not do what the plain network does.*not used"):
        open_runtime(OPENVINO, TINY, tiny)
    assert not engines(cache)


def test_more_threads_have_to_be_worth_it() -> None:
    assert openvino_runtime._worth([10.0]) == 0
    assert openvino_runtime._worth([10.0, 9.5, 8.9]) == 2
    assert openvino_runtime._worth([10.0, 6.0, 5.6, 5.3]) == 3
    assert openvino_runtime._worth([10.0, 9.5, 12.0]) == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to be given one processor only")
def test_threads_that_share_a_processor_wait() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        taken, worked = np.sum([openvino_runtime._side_by_side(2) for _ in range(5)], axis=0)
    finally:
        os.sched_setaffinity(0, before)
    assert taken > openvino_runtime.BUSY * worked


def test_where_threads_have_to_wait_the_usual_number_is_taken() -> None:
    assert openvino_runtime._choice([1, 2, 3, 4], [10.0, 6.0, 5.0, 4.0], 1.02) == 3
    assert openvino_runtime._choice([1, 2, 3, 4], [20.0, 31.0, 40.0, 35.0], 1.6) == 1
    assert openvino_runtime._choice([1], [20.0], 1.6) == 0


@pytest.mark.parametrize("busy", [0, 1])
def test_who_works_beside_does_not_choose_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """Half of the frames of one number are held up; the other half tells."""
    now = [0.0]

    class Timed:
        def __init__(self, file: Path, precision: str, threads: int) -> None:
            self.threads, self._calls = threads, 0

        def __call__(self, inputs: object) -> None:
            self._calls += 1
            held_up = self.threads == busy + 1 and self._calls % 2
            now[0] += (0.006 if self.threads == 2 else 0.010) + (0.05 if held_up else 0)

    monkeypatch.setattr(openvino_runtime, "OpenVinoRuntime", Timed)
    monkeypatch.setattr(openvino_runtime, "usable_cores", lambda: 2)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(openvino_runtime, "_side_by_side", lambda threads: (0.01, 0.01))
    best, took_ms = openvino_runtime.fastest(Path("none"), "fp32", [None])  # type: ignore[list-item]
    assert best.threads == 2 and took_ms == pytest.approx(6)


@pytest.mark.usefixtures("built")
def test_auto_says_what_it_chose_and_why(tiny: Networks, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "avatar"):
        chosen = open_runtime(Wanted(precision="fp32"), TINY, tiny)
    assert chosen.name == "openvino" and chosen.told in caplog.text and "fastest" in caplog.text


def test_auto_goes_on_without_openvino_and_says_so(
    tiny: Networks, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO, "avatar"):
        chosen = open_runtime(Wanted(), TINY, tiny)
    assert chosen.name == "torch" and "OpenVINO is not installed" in caplog.text
    # Asked for by name, it is an error.
    with pytest.raises(ModelError, match="OpenVINO is not installed"):
        open_runtime(OPENVINO, TINY, tiny)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("abacus"), "there is no runtime 'abacus'"),
        (Wanted("torch", "fp16"), "torch has no fp16"),
        (Wanted("cuda"), "the runtime cuda cannot be had: PyTorch sees no NVIDIA card"),
        (Wanted("openvino", "fp16"), "OpenVINO has no fp16 on this processor"),
    ],
)
def test_what_is_not_there_is_refused(wanted: Wanted, message: str, tiny: Networks) -> None:
    with pytest.raises(ModelError, match=message):
        open_runtime(wanted, TINY, tiny)


@pytest.mark.parametrize("runtime", ["tensorrt", "rtx"])
def test_without_the_library_or_a_card_it_says_so(
    runtime: str, tiny: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_runtime, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=rf"the runtime {runtime} cannot be had: .* 'livehead\[{runtime}\]'"):
        open_runtime(Wanted(runtime), TINY, tiny)
    # A folder that is only called so is none.
    monkeypatch.setattr(tensorrt_runtime, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(ModelError, match=rf"'livehead\[{runtime}\]'"):
        open_runtime(Wanted(runtime), TINY, tiny)
    monkeypatch.setattr(tensorrt_runtime, "find_spec", lambda _: find_spec("numpy"))
    with pytest.raises(ModelError, match="PyTorch sees no NVIDIA card"):
        open_runtime(Wanted(runtime), TINY, tiny)


@pytest.mark.parametrize("name", ["rtx", "cuda"])
def test_a_card_that_fails_leaves_the_work_to_the_processor(
    name: str, tiny: Networks, built: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_missing", lambda other: None if other == name else "not here")
    monkeypatch.setattr(runtime.cuda_runtime, "halves_are_fast", lambda: True)

    def fail(*_: object) -> str:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(tensorrt_runtime, "version", fail)
    monkeypatch.setattr(runtime, "CudaRuntime", fail)
    with caplog.at_level(logging.INFO, "avatar"):
        chosen = open_runtime(Wanted(precision="fp32"), TINY, tiny)
    assert chosen.name == "openvino" and built.exists()
    assert f"because the runtime {name} fails here: RuntimeError: CUDA error: out of memory" in caplog.text


def test_a_slow_card_is_taken_only_when_it_is_asked_for(
    tiny: Networks, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "why_no_card", lambda: None)
    made = SlowCard(tiny)
    monkeypatch.setattr(runtime, "CudaRuntime", made)
    for fast, chosen in ((False, "openvino"), (True, "cuda")):
        monkeypatch.setattr(runtime.cuda_runtime, "halves_are_fast", lambda fast=fast: fast)
        assert open_runtime(Wanted(precision="fp32"), TINY, tiny).name == chosen
    assert open_runtime(Wanted("cuda"), TINY, tiny).precision == "fp32"  # its halves are no good
    assert made.asked == ["fp32", "fp16", "fp32"]
    with pytest.raises(ModelError, match="cuda has no bf16; choose fp16 or fp32"):
        open_runtime(Wanted("cuda", "bf16"), TINY, tiny)


class SlowCard:
    """In the place of `CudaRuntime`: the plain network, but of another in half precision."""

    def __init__(self, networks: Networks) -> None:
        self.asked: list[str] = []
        self._other = made_networks("tiny", seed=5).eval().requires_grad_(False)
        self._networks = networks

    def __call__(self, generator: nn.Module, still: FrameInputs, precision: str) -> TorchRuntime:
        self.asked.append(precision)
        network = TorchRuntime((self._other if precision == "fp16" else self._networks).generator, "fp32")
        network.name, network.precision, network.told = "cuda", precision, f"a card in {precision}"
        return network


def test_an_engine_that_a_library_cannot_build_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match="tensorrt_rtx cannot build an engine: "):
        tensorrt_runtime.build("rtx", tmp_path / "x.onnx", tmp_path / "x.engine")


def test_signals_find_their_stack_when_engines_are_gone(built: Path) -> None:
    """On processors with AMX the process ended here; others set no stack, and prove nothing."""
    (file,) = built.glob("*.onnx")
    code = f"""
import faulthandler, signal
from pathlib import Path
from avatar.runtime.openvino_runtime import OpenVinoRuntime
faulthandler.enable()
came = []
signal.signal(signal.SIGTERM, lambda *_: came.append(1))
one, other = (OpenVinoRuntime(Path({str(file)!r}), "fp32", 1) for _ in range(2))
del one
del other
signal.raise_signal(signal.SIGTERM)
assert came == [1]
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_half_precision_leaves_norms_and_maps_whole(probe: Probe) -> None:
    trained = open_networks("live")
    half = halved(trained.networks.generator)
    kinds = {name.partition(".")[0]: value.dtype for name, value in half.state_dict().items()}
    assert kinds.pop("expression") == torch.float32 and set(kinds.values()) == {torch.float16}
    frames = probe.inputs(trained.preset, trained.networks)[:1]
    rough, exact = TorchRuntime(half, "fp32"), TorchRuntime(trained.networks.generator, "fp32")
    parity.check(parity.compare(rough, exact, frames), "fp16", "it")


def test_a_cache_that_cannot_be_written_is_told(
    tiny: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AVATAR_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set AVATAR_CACHE"):
        open_runtime(OPENVINO, TINY, tiny)


def test_plain_is_the_network_itself(tiny: Networks, probe: Probe) -> None:
    frame = probe.inputs(TINY, tiny)[1]
    made = open_runtime(EXACT, TINY, tiny)(frame)
    assert (made.keep.shape, made.base.shape) == ((64, 64), (3, 64, 64))
    assert made.flow.shape == (2, 32, 32) and made.alpha.shape == (64, 64)
    warps = torch.stack([_tensor(frame.best), _tensor(frame.second)])[None]
    with torch.inference_mode():
        drawn = tiny.draw(warps, _tensor(frame.drawing)[None], torch.from_numpy(frame.psi)[None])
    without = open_runtime(EXACT, TINY, tiny)(replace(frame, trust=np.zeros(1, np.float32)))
    np.testing.assert_allclose(without.base, drawn.base[0], atol=1e-5)
    assert open_runtime(PLAIN, TINY, tiny).name == "torch"


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).movedim(-1, 0).float() / 255


def test_parity_sees_what_differs(tiny: Networks, probe: Probe) -> None:
    plain = TorchRuntime(tiny.generator, "fp32")
    frames = probe.inputs(TINY, tiny)[:2]

    def worse(inputs: FrameInputs) -> FrameMaps:
        maps = plain(inputs)
        return replace(maps, base=maps.base + 0.2)

    def broken(inputs: FrameInputs) -> FrameMaps:
        maps = plain(inputs)
        return replace(maps, base=maps.base * np.nan)

    same = parity.compare(plain, plain, frames)
    assert same.most == 0 and same.psnr == 100
    for engine in (worse, broken):
        with pytest.raises(ModelError, match="does not do"):
            parity.check(parity.compare(engine, plain, frames), "fp16", "it")


def test_the_probe_is_whole() -> None:
    entry = weights.manifest()["probe"]
    assert entry.kind == "shipped" and entry.size < 2**20
    probe = load_probe()
    assert probe.pictures.shape == (4, 2, 256, 256, 5)
    assert set(probe.trust.tolist()) == {0.0, 1.0}
