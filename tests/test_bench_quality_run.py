"""The bench of quality from clips to its document, with made clips and judges that need no network."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from made_clips import picture, write_clip
from made_people import blink, made_face
from torch.nn import functional as F

from avatar.errors import ModelError, NoFaceError
from avatar.generate import WarpGenerator
from avatar.records import F32, U8, Face, Frame, Identity, Motion, Observation, Portrait, Warped
from avatar.retarget import OwnMotion
from avatar.runtime import Wanted
from avatar.train.data.layout import clips_of
from avatar.warp import Warper
from bench import quality, scores, self_driving
from bench.judges import Judges
from bench.self_driving import SIDE, SIZE, Played, Shots, Window, choose, evenly, follow, play, widest

Capture = pytest.CaptureFixture[str]
FRAMES = 20


def driver_face(index: int) -> Face:
    """Of a person who talks, blinks and moves to the right."""
    expression = {"jawOpen": (index % 5) / 5} | blink(float(index % 7 == 0))
    return made_face(expression, shift=(76 + 0.4 * index, 60), scale=12)


def found_face(rgb: U8) -> list[Face]:
    """In a head crop: a mouth the wider the brighter the picture is."""
    return [made_face({"jawOpen": float(rgb.mean()) / 160}, shift=(128, 128), scale=38)]


def person(rgb: U8) -> F32:
    """An ellipse in the middle."""
    height, width = rgb.shape[:2]
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 1, -1)
    return mask


def judges(missing: frozenset[int] = frozenset()) -> Judges:
    def track(frame: Frame) -> Face | None:
        return None if frame.index in missing else driver_face(frame.index)

    return Judges(
        track=lambda: nullcontext(track),
        segment=person,
        find=found_face,
        search=lambda rgb: [made_face(shift=(80, 60), scale=12)],
        features=lambda pictures: [F.avg_pool2d(pictures, 4), F.avg_pool2d(pictures, 16)],
        embed=lambda pictures, landmarks: F.avg_pool2d(pictures, 32).flatten(1),
        points=lambda pictures, landmarks: landmarks[:, :68] + pictures.mean(dim=(1, 2, 3))[:, None, None],
    )


class Brighter:
    """A generator with a mark of its own."""

    looks_at_other = False
    crispness = 0.0
    runtime: str | None = None

    def __init__(self, identity: Identity, side: int) -> None:
        self._warp = WarpGenerator(identity, side)

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        return Portrait(np.clip(self._warp(warped, motion).rgb.astype(int) + 20, 0, 255).astype(np.uint8))


def open_networks(name: str, weights: Path | None) -> Any:
    """Networks that are nothing but their file's hash."""
    if weights is None or not weights.is_file():
        raise ModelError(f"{weights}: there is no such file")
    return SimpleNamespace(sha256=hashlib.sha256(weights.read_bytes()).hexdigest())


def open_generator(name: str, identity: Identity, side: int, *, weights: Path | None = None) -> Any:
    return WarpGenerator(identity, side) if name == "warp" else Brighter(identity, side)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips of one person, one of another, and one that is none."""

    @contextmanager
    def opened(threads: int) -> Iterator[Judges]:
        yield judges()

    monkeypatch.setattr(quality, "open_judges", opened)
    monkeypatch.setattr(quality, "open_generator", open_generator)
    monkeypatch.setattr(quality, "open_networks", open_networks)
    monkeypatch.setattr(quality, "NetworkGenerator", lambda i, side, *_: open_generator("live", i, side))
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("anna-1.mp4", "anna-2.mp4", "ben-1.mp4"):
        write_clip(folder / name, FRAMES)
    (folder / "zoe-1.mp4").write_bytes(b"no video")
    return folder


def run(capsys: Capture, *options: str) -> tuple[int, dict[str, Any], str]:
    code = quality.main(list(options))
    told = capsys.readouterr()
    document = json.loads(told.out.splitlines()[-1], parse_constant=lambda name: pytest.fail(name))
    return code, document, told.err


def test_from_clips_to_the_document(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    weights, sheet, table = tmp_path / "live.weights", tmp_path / "sheet.png", tmp_path / "out.csv"
    weights.write_bytes(b"networks")
    code, document, told = run(
        capsys, "--clips", str(clips), "--frames", "4", "--weights", str(weights),
        "--sheet", str(sheet), "--csv", str(table),
    )  # fmt: skip
    assert code == 0
    assert (document["clips"], document["people"], document["shots"], document["frames"]) == (3, 2, 1, 4)
    assert list(document["skipped"]) == ["zoe-1.mp4"] and "skipped: zoe-1.mp4" in told
    assert document["weights"]["file"] == "live.weights" and len(document["weights"]["sha256"]) == 64
    assert document["machine"]["command"] and document["date"].startswith("20")
    assert document["cross"] is None and document["akd_floor"] > 0
    assert document["finetuned"] is None
    for method in ("model", "warp_only", "copy"):
        figures = document[method]
        assert {name for name, value in figures.items() if value is None} == set(scores.CURVES)
        assert figures["mouth_corr_people"] == (0 if method == "copy" else 2)
        assert figures["lost"] == 0
    assert document["model"]["l1"] > document["warp_only"]["l1"]
    assert document["copy"]["flicker"] == 0 < document["warp_only"]["flicker"]
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["warp_only", "model", "copy"] * 3
    assert {row["person"] for row in rows} == {"anna", "ben"} and {row["frames"] for row in rows} == {"4"}
    drawn = cv2.imread(str(sheet))
    assert drawn is not None and drawn.shape[1] > 1000


def test_the_warp_alone_needs_no_weights(clips: Path, capsys: Capture) -> None:
    code, document, _ = run(
        capsys, "--clips", str(clips), "--frames", "3", "--generator", "warp", "--limit", "1", "--shots", "3"
    )
    assert code == 0
    assert document["model"] is None and document["weights"] is None
    assert document["clips"] == document["people"] == 1 and document["shots"] == 3


def test_networks_are_adapted_to_each_clips_pictures_if_asked_for(
    clips: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def adapted(identity: Identity, trained: Any, *, judges: Any) -> Identity:
        seen.append(len(identity.views))
        return identity

    monkeypatch.setattr(quality, "finetune", adapted)
    monkeypatch.setattr(quality, "load_perceptual", lambda: None)
    monkeypatch.setattr(quality, "load_identity", lambda: SimpleNamespace(embed_windows=None))
    weights = tmp_path / "live.weights"
    weights.write_bytes(b"networks")
    code, document, _ = run(
        capsys, "--clips", str(clips), "--frames", "3", "--people", "anna, ben", "--finetune",
        "--weights", str(weights), "--shots", "2",
    )  # fmt: skip
    assert code == 0 and seen == [2, 2, 2]
    assert document["finetuned"] == document["model"] and not document["skipped"]


def test_other_runtimes_draw_the_same_frames(
    clips: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def network(identity: Identity, side: int, trained: object, wanted: object) -> Any:
        asked.append(wanted)
        return vars(quality)["open_generator"]("live", identity, side)

    monkeypatch.setattr(quality, "NetworkGenerator", network)
    weights = tmp_path / "live.weights"
    weights.write_bytes(b"networks")
    code, document, _ = run(
        capsys, "--clips", str(clips), "--frames", "3", "--limit", "1", "--weights", str(weights),
        "--also", "openvino:bf16", "--also", "openvino:fp32",
    )  # fmt: skip
    assert code == 0 and document["runtime"] == {"name": "torch", "precision": None}
    assert list(document["runtimes"]) == ["openvino:bf16", "openvino:fp32"]
    assert all(figures == document["model"] for figures in document["runtimes"].values())
    assert asked == [Wanted("torch"), Wanted("openvino", "bf16"), Wanted("openvino", "fp32")]


@pytest.mark.parametrize("text", ["openvino", "abacus:fp32", "openvino:fp7", "auto:fp32"])
def test_a_runtime_that_is_none_is_refused(text: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        quality.main(["--clips", "x", "--also", text])
    assert "write it as openvino:bf16" in capsys.readouterr().err


def test_there_is_nothing_to_adapt_in_a_warp(clips: Path, capsys: Capture) -> None:
    assert quality.main(["--clips", str(clips), "--generator", "warp", "--finetune"]) == 1
    assert "no networks" in capsys.readouterr().err
    assert quality.main(["--clips", str(clips), "--finetune", "--cross", str(clips)]) == 1
    assert "does not go with --cross" in capsys.readouterr().err


def test_somebody_who_has_no_clip(clips: Path, capsys: Capture) -> None:
    assert quality.main(["--clips", str(clips), "--generator", "warp", "--people", "anna,bert"]) == 1
    assert "no clip of bert" in capsys.readouterr().err


def test_other_pictures_are_driven_too(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    portraits = tmp_path / "portraits"
    portraits.mkdir()
    cv2.imwrite(str(portraits / "a.png"), picture(5))
    (portraits / "b.jpg").write_bytes(b"no picture")
    (portraits / "notes.txt").write_text("no picture either")
    table = tmp_path / "out.csv"
    code, document, _ = run(
        capsys, "--clips", str(clips), "--frames", "4", "--generator", "warp", "--limit", "2",
        "--cross", str(portraits), "--csv", str(table),
    )  # fmt: skip
    assert code == 0
    assert list(document["skipped"]) == ["b.jpg"]
    cross = document["cross"]
    assert cross["pictures"] == 1 and cross["model"] is None
    assert cross["copy"]["csim"] == pytest.approx(1) and cross["copy"]["csim_distance"] == 0
    assert cross["warp_only"]["pose"] < 0.1 and cross["warp_only"]["lost"] == 0
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["picture"] for row in csv.DictReader(file)].count("a.png") == 4


def test_no_clip_that_can_be_measured(clips: Path, tmp_path: Path, capsys: Capture) -> None:
    for path in clips.glob("*-[12].mp4"):
        path.write_bytes(b"no video")
    code, document, _ = run(capsys, "--clips", str(clips), "--generator", "warp")
    assert code == 1
    assert document["clips"] == 0 and document["copy"] is None and len(document["skipped"]) == 4
    assert quality.main(["--clips", str(tmp_path / "nowhere")]) == 1
    assert quality.main(["--clips", str(clips), "--weights", str(tmp_path / "nothing")]) == 1
    assert quality.main(["--clips", str(clips), "--generator", "warp", "--sheet", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("bench.quality: error: ") == 3


def test_a_missing_model_is_no_bad_clip(
    clips: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("not there")

    monkeypatch.setattr(quality, "open_generator", refuse)
    assert quality.main(["--clips", str(clips), "--generator", "warp"]) == 1
    assert "error: not there" in capsys.readouterr().err


@pytest.fixture
def played(tmp_path: Path) -> Played:
    write_clip(tmp_path / "anna-1.mp4", FRAMES)
    driver = follow(clips_of(tmp_path)[0], judges().track, shots=1, frames=6)
    return play(driver, person, {})


def test_the_truth_is_perfect(played: Played) -> None:
    played.made["truth"] = played.real
    found = scores.judge(played, judges()).scores["truth"]
    assert (found.l1, found.akd, found.akd68, found.mouth, found.eyes, found.lost) == (0, 0, 0, 0, 0, 0)
    assert found.psnr == 60 and found.ssim == pytest.approx(1)
    assert found.csim == pytest.approx(1) and found.csim_distance == pytest.approx(0, abs=1e-6)
    assert found.perceptual == pytest.approx(0, abs=1e-6) == found.mouth_perceptual
    assert found.sharpness == found.flicker == 1
    assert found.mouth_corr == pytest.approx(1) or found.mouth_corr is None


def test_a_blurred_truth_is_less_sharp(played: Played) -> None:
    soft = [np.asarray(cv2.GaussianBlur(one, (0, 0), 2), np.uint8) for one in played.real.pictures]
    played.made["soft"] = Shots(soft, played.real.neighbours)
    sharpness = scores.judge(played, judges()).scores["soft"].sharpness
    assert sharpness is not None and 0 < sharpness < 0.9


def test_lost_faces_cost(played: Played) -> None:
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    played.made["lost"] = Shots([*played.real.pictures[:-1], black], played.real.neighbours)
    sees = judges()

    def find(rgb: U8) -> list[Face]:
        return found_face(rgb) if rgb.any() else []

    judged = scores.judge(
        played,
        Judges(sees.track, sees.segment, find, sees.search, sees.features, sees.embed, sees.points),
    )
    found = judged.scores["lost"]
    assert found.lost == pytest.approx(1 / 6)
    assert found.akd == pytest.approx(scores.LOST_PX / 6)
    assert judged.unseen == 0 and judged.akd_floor is not None and judged.akd_floor > 1


def seen(count: int, missing: frozenset[int] = frozenset()) -> list[Observation]:
    return [Observation(None if i in missing else driver_face(i), i, i) for i in range(count)]


def test_the_first_half_gives_pictures_and_the_second_the_motion() -> None:
    choice = choose(seen(20, frozenset({0, 1, 15})), shots=1, frames=4)
    assert choice.sources == [2]
    assert choice.moments == [10, 13, 16, 19]
    assert choice.neighbours == {10: 11, 13: 14, 16: 17, 19: 18}
    more = choose(seen(20), shots=4, frames=100)
    assert more.sources[0] == 0 and len(set(more.sources)) == 4 and max(more.sources) < 10
    assert more.moments == list(range(10, 20))
    assert len(choose(seen(6), shots=32, frames=4).sources) == 3


def test_a_moment_alone_has_no_neighbour() -> None:
    assert choose(seen(8, frozenset({4, 6, 7})), shots=1, frames=4).neighbours == {}


@pytest.mark.parametrize(("missing", "half"), [(range(10), "first"), (range(10, 20), "second")])
def test_a_half_without_a_face(missing: range, half: str) -> None:
    with pytest.raises(NoFaceError, match=half):
        choose(seen(20, frozenset(missing)), shots=1, frames=4)


def test_evenly_and_widest() -> None:
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(list(range(10)), 4) == [0, 3, 6, 9] and evenly([4, 5, 6], 1) == [4]
    faces = [made_face({"jawOpen": jaw}).landmarks for jaw in (0, 0.1, 0.9, 0.4)]
    assert widest(faces, 3) == [0, 2, 3] and widest(faces, 9) == [0, 2, 3, 1]


def test_everything_is_cut_in_the_same_way(astronaut_identity: Identity) -> None:
    """A portrait at rest and the whole picture it is of lie on each other."""
    identity, front = astronaut_identity, astronaut_identity.front
    window = Window(identity)
    motion = OwnMotion(front, [])(front.landmarks)
    portrait = WarpGenerator(identity, SIDE)(Warper(identity, SIDE)(motion, 0), motion).rgb
    made, real = window.of_portrait(portrait), window.of_picture(identity.picture)
    assert np.abs(made[window.known].astype(int) - real[window.known]).mean() < 2
    shifted = np.roll(made, 1, axis=1)
    assert np.abs(shifted[window.known].astype(int) - real[window.known]).mean() > 3
    assert (real[~window.known] == self_driving.GREY).all() and 0.6 < window.known.mean() < 1


def test_landmarks_lie_where_the_picture_shows_them(astronaut_identity: Identity) -> None:
    identity = astronaut_identity
    window = Window(identity)
    crop = identity.crop
    in_picture = identity.front.landmarks * crop.side + np.array(
        [crop.left - 0.5, crop.top - 0.5, 0], np.float32
    )
    points = window.points(in_picture)
    np.testing.assert_allclose(points, window.of_crop(identity.front.landmarks), atol=1e-3)
    size = torch.from_numpy(points[[10, 152]]).diff(dim=0).norm()
    assert float(size) == pytest.approx(SIZE / 2.1, rel=0.1)
