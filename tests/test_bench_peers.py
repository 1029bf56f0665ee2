"""The bench of other programs' networks, with checkouts of a few lines in their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from bench import peers
from bench.peer_networks import PEERS, WHOLE

DETECTOR = """
import torch
class KPDetector(torch.nn.Module):
    def __init__(self, **numbers):
        super().__init__()
        assert numbers["num_kp"] == 10
    def forward(self, picture):
        return {"value": picture.mean(), "jacobian": torch.zeros(1, 10, 2, 2)}
"""
GENERATOR = """
import torch
class OcclusionAwareGenerator(torch.nn.Module):
    def __init__(self, **numbers):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 2, 1)
        self.down_blocks = torch.nn.ModuleList([torch.nn.AvgPool2d(2)])
        self.encoder = self.first
        self.encoder.register_forward_hook(self.note)
    def note(self, *_):
        print("encoded")
    def forward(self, portrait, kp_source, kp_driving):
        assert kp_driving["jacobian"].sum() == 20
        assert self.down_blocks[0](self.first(portrait)).shape == (1, 2, 128, 128)
        return {"prediction": portrait}
"""


@pytest.fixture
def fomm(tmp_path: Path) -> Path:
    modules = tmp_path / "fomm" / "modules"
    modules.mkdir(parents=True)
    (modules / "keypoint_detector.py").write_text(DETECTOR)
    (modules / "generator.py").write_text(GENERATOR)
    return tmp_path / "fomm"


def test_a_checkout_is_timed(fomm: Path) -> None:
    found = peers.theirs("fomm", fomm, rounds=2, threads=1)
    assert found["reason"] is None and found["commit"] is None
    assert list(found["frames"]) == [WHOLE, "portrait kept"]
    for frame in found["frames"].values():
        assert 0 <= frame["p10"] <= frame["p50"] <= frame["p95"]


def test_the_whole_of_fomm_encodes_the_portrait_each_time(
    fomm: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(fomm))
    frames = PEERS["fomm"](None)
    capsys.readouterr()
    for what, times in ((WHOLE, 2), ("portrait kept", 0)):
        for _ in range(2):
            frames[what]()
        assert capsys.readouterr().out.count("encoded") == times


def test_what_cannot_be_timed_says_why(tmp_path: Path) -> None:
    assert peers.theirs("bilayer", None, 1, 1) == {"frames": {}, "reason": "--bilayer was not given"}
    found = peers.theirs("bilayer", tmp_path, 1, 1)
    assert not found["frames"] and "No module named 'networks'" in found["reason"]


def test_all_stand_in_one_document(
    fomm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "ours", lambda wanted, head, canvas: [2.0, 2.0, head])
    picture = tmp_path / "peers.png"
    options = ["--fomm", str(fomm), "--rounds", "1", "--threads", "1", "--plot", str(picture)]
    assert peers.main(options) == 0
    *told, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    assert document["live"]["p50"] == 2.0 == document["live at 256"]["before"]
    for frame in document["fomm"]["frames"].values():
        assert frame["times"]["live"] == round(frame["p50"] / 2, 1)
    assert document["liveportrait"]["frames"] == {} and document["machine"]["command"]
    assert len(told) == 4 + len(PEERS) and "--liveportrait was not given" in "\n".join(told)
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 600
