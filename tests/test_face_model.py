"""Making the face model: out of faces whose mean, expressions and poses are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_clips import number_in, write_clip
from safetensors import safe_open
from safetensors.numpy import load

from avatar.errors import AvatarError, ModelError, VideoError
from avatar.records import F32, U8, Face
from avatar.tools.facemesh import BLENDSHAPE_NAMES, FaceModel, face_model
from avatar.tools.geometry import fit_similarity, rotation_from_vector
from avatar.train import face_model as command
from avatar.train.face_fit import blendshape_mirror, fit_model, mirror_map, wound
from avatar.train.face_quality import REGIONS, measure
from avatar.train.tracks import Track, cached_track, clips_in, person_of, read_people, track_clip

PEOPLE, FACES = 24, 60
NOISE = 0.003
"""Of a landmark, face frame units: 0.1 px of a 256 px head crop."""
FLIP = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def synthetic_person(seed: int) -> Track:
    """A face of its own proportions that makes known expressions in known poses."""
    rng = np.random.default_rng(seed)
    model = face_model()
    proportions = np.diag(rng.normal(1, 0.05, 3)) + rng.normal(0, 0.01, (3, 3))
    own = model.mean @ proportions + model.mean**2 @ rng.normal(0, 0.01, (3, 3))
    landmarks, scores, poses = [], rng.random((FACES, 52)) ** 5, []
    for score in scores:
        turn = rotation_from_vector(rng.normal(0, 0.2, 3).astype(np.float32))
        shape = own + model.expression(score.astype(np.float32)) + rng.normal(0, NOISE, (478, 3))
        landmarks.append(rng.uniform(30, 90) * shape @ turn.T + rng.uniform(0, 500, 3))
        poses.append(np.eye(4))
        poses[-1][:3, :3] = FLIP @ turn @ FLIP
    return Track(np.array(landmarks, np.float32), scores.astype(np.float32), np.array(poses, np.float32))


@pytest.fixture(scope="module")
def people() -> list[Track]:
    return [synthetic_person(seed) for seed in range(PEOPLE)]


@pytest.fixture(scope="module")
def fitted(people: list[Track]) -> FaceModel:
    return fit_model(people, face_model().triangles)


def off(found: F32, wanted: F32) -> float:
    """Mean distance of landmarks, face frame units."""
    return float(np.linalg.norm(found - wanted, axis=-1).mean())


def test_the_mean_face_is_found_again(people: list[Track], fitted: FaceModel) -> None:
    model = face_model()
    # People differ, and the mean of their faces has their mean expression on it.
    wanted = model.mean + model.expression(np.mean([p.blendshapes.mean(axis=0) for p in people], axis=0))
    wanted = (wanted + (wanted * [-1, 1, 1])[model.mirror]) / 2
    placed = fit_similarity(fitted.mean, np.asarray(wanted, np.float32), model.rigid)
    assert off(placed(fitted.mean), np.asarray(wanted, np.float32)) < 0.01
    assert abs(placed.scale - 1) < 0.1
    assert np.degrees(np.arccos((np.trace(placed.rotation) - 1) / 2)) < 3


def test_expressions_are_found_again(fitted: FaceModel) -> None:
    model = face_model()
    size = np.linalg.norm(model.expressions, axis=2).mean(axis=1)
    error = np.linalg.norm(fitted.expressions - model.expressions, axis=2).mean(axis=1)
    strong = size > 0.02
    assert strong.sum() > 20
    assert (error[strong] / size[strong]).mean() < 0.25
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp"):
        i = BLENDSHAPE_NAMES.index(name)
        alike = np.corrcoef(fitted.expressions[i].ravel(), model.expressions[i].ravel())[0, 1]
        assert alike > 0.97, name


def test_a_face_that_never_moves_gives_no_expressions() -> None:
    scores = np.random.default_rng(0).random((8, 52), np.float32)
    poses = np.repeat(np.eye(4, dtype=np.float32)[None], 8, axis=0)
    still = Track(np.repeat(100 * face_model().mean[None], 8, axis=0), scores, poses)
    assert np.abs(fit_model([still, still], face_model().triangles).expressions).max() < 1e-4


def test_the_model_is_symmetric(fitted: FaceModel) -> None:
    across = np.array([-1, 1, 1], np.float32)
    mirror = fitted.mirror
    np.testing.assert_array_equal(mirror, face_model().mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(478))
    np.testing.assert_allclose(fitted.mean[mirror], fitted.mean * across, atol=1e-6)
    np.testing.assert_array_equal(fitted.rigid[mirror], fitted.rigid)
    swapped = fitted.expressions[blendshape_mirror()][:, mirror] * across
    np.testing.assert_allclose(swapped, fitted.expressions, atol=2e-4)


def test_the_face_frame_is_normalised(fitted: FaceModel) -> None:
    np.testing.assert_allclose(fitted.mean[:468].mean(axis=0), 0, atol=1e-5)
    assert (fitted.mean[:468] ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    assert fitted.rigid.max() == 1
    assert (fitted.rigid[:468] > 0).all()
    assert not fitted.rigid[468:].any()


def test_every_person_counts_the_same(people: list[Track]) -> None:
    few, triangles = people[:5], face_model().triangles
    first = few[0]
    once, more = fit_model(few, triangles), fit_model([Track.joined([first] * 4), *few[1:]], triangles)
    np.testing.assert_allclose(more.mean, once.mean, atol=1e-4)
    np.testing.assert_allclose(more.expressions, once.expressions, atol=1e-3)


def test_faces_of_no_symmetry_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AvatarError, match="cannot be paired"):
        mirror_map(rng.normal(size=(478, 3)).astype(np.float32))


def test_blendshapes_of_both_sides_are_pairs() -> None:
    other = blendshape_mirror()
    np.testing.assert_array_equal(other[other], np.arange(52))
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("eyeLookInLeft")]] == "eyeLookInRight"
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("mouthLeft")]] == "mouthRight"
    assert BLENDSHAPE_NAMES[other[BLENDSHAPE_NAMES.index("jawOpen")]] == "jawOpen"


def test_the_measure_sees_expressions_go(people: list[Track], fitted: FaceModel) -> None:
    rows = measure(fitted, people[:4])
    assert [row.region for row in rows] == list(REGIONS)
    for row in rows:
        # What is left is the noise and what the ridge holds back.
        assert row.after < 0.4 * row.before, row
    nothing = FaceModel(fitted.mean, 0 * fitted.expressions, fitted.rigid, fitted.mirror, fitted.triangles)
    for row in measure(nothing, people[:4]):
        assert row.after == pytest.approx(row.before)


def test_the_measure_is_in_pixels_of_the_crop(fitted: FaceModel) -> None:
    # One landmark in twenty moves by 0.1 to each side: 0.1 * 256 / (2.1 * height) px.
    faces = np.stack([fitted.mean, fitted.mean])
    faces[0, 468, 0] -= 0.1
    faces[1, 468, 0] += 0.1
    track = Track(faces, np.zeros((2, 52), np.float32), np.stack([np.eye(4, dtype=np.float32)] * 2))
    irises = next(row for row in measure(fitted, [track]) if row.region == "irises")
    height = fitted.mean[152, 1] - fitted.mean[10, 1]
    assert irises.before == pytest.approx(0.1 * 256 / (2.1 * height) / 10, rel=1e-3)


def test_triangles_are_wound_alike() -> None:
    try:
        triangles = command.tesselation()
    except ModelError as error:
        pytest.skip(str(error))
    assert triangles.shape == (852, 3)
    mean = face_model().mean
    rng = np.random.default_rng(1)
    mixed = np.where(rng.random((852, 1)) < 0.5, triangles[:, ::-1], triangles)
    found = wound(mixed, mean)
    a, b, c = (mean[found[:, i], :2] for i in range(3))
    assert (np.linalg.det(np.stack([b - a, c - a], axis=1)) < 0).all()
    # Neighbours pass their common side in opposite directions: no directed side occurs twice.
    sides = np.concatenate([found[:, [0, 1]], found[:, [1, 2]], found[:, [2, 0]]])
    assert len(np.unique(sides, axis=0)) == len(sides)
    np.testing.assert_array_equal(wound(triangles, mean), face_model().triangles)


def test_the_file_is_what_the_program_reads(fitted: FaceModel, tmp_path: Path) -> None:
    data = command.pack(fitted, {"people": 24, "frames": 1440, "clips": 25})
    assert data == command.pack(fitted, {"clips": 25, "frames": 1440, "people": 24})
    shipped = command.pack(face_model(), {})
    assert {k: (v.dtype, v.shape) for k, v in load(data).items()} == {
        k: (v.dtype, v.shape) for k, v in load(shipped).items()
    }
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {
            "format": "livehead-face-model",
            "version": "1",
            "people": "24",
            "frames": "1440",
            "clips": "25",
        }
        np.testing.assert_allclose(file.get_tensor("basis"), fitted.expressions, atol=1e-3)
        np.testing.assert_array_equal(file.get_tensor("triangles"), fitted.triangles)


def finder_of(tracks: dict[str, Track]) -> Callable[[U8], list[Face]]:
    """Finds the face whose number the picture carries; people take turns of 16."""

    def find(rgb: U8) -> list[Face]:
        who, i = divmod(number_in(rgb), 16)
        track = list(tracks.values())[who % len(tracks)]
        return [Face(track.landmarks[i], track.blendshapes[i], track.poses[i], (160, 120))]

    return find


def test_people_are_read_clip_by_clip(people: list[Track], tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("ann-1.mp4", "ann-2.mp4", "ben-1.mp4"):
        write_clip(clips / name, 12)
    write_clip(clips / "cat-1.mp4", 4)
    (clips / "dan-1.mp4").write_bytes(b"no video")
    said: list[str] = []
    files = clips_in(clips)
    found = read_people(files, finder_of({"any": people[0]}), 2, tmp_path / "cache", said.append)
    assert {name: len(track) for name, track in found.items()} == {"ann": 12, "ben": 6}
    assert found["ann"].clips == 2
    np.testing.assert_array_equal(found["ben"].landmarks, people[0].landmarks[:12:2])
    assert any(line.startswith("skipped:") and "dan-1.mp4" in line for line in said)
    assert any(line.startswith("left out: cat") for line in said)

    def never(rgb: U8) -> list[Face]:
        raise AssertionError("a kept clip was tracked again")

    good = [path for path in files if path.name != "dan-1.mp4"]
    again = read_people(good, never, 2, tmp_path / "cache", said.append)
    np.testing.assert_array_equal(again["ann"].landmarks, found["ann"].landmarks)


@pytest.mark.parametrize("what", ["step", "clip", "damaged"])
def test_a_kept_track_of_something_else_is_made_anew(people: list[Track], tmp_path: Path, what: str) -> None:
    clip, cache = write_clip(tmp_path / "ann-1.mp4", 8), tmp_path / "cache"
    cache.mkdir()
    find = finder_of({"any": people[0]})
    assert len(cached_track(clip, find, 2, cache, print)) == 4
    if what == "step":
        assert len(cached_track(clip, find, 1, cache, print)) == 8
    elif what == "clip":
        write_clip(clip, 12)
        assert len(cached_track(clip, find, 2, cache, print)) == 6
    else:
        kept = cache / "ann-1.mp4.npz"
        kept.write_bytes(kept.read_bytes()[:1000])
        assert len(cached_track(clip, find, 2, cache, print)) == 4


def test_frames_of_several_faces_are_left_out(people: list[Track], tmp_path: Path) -> None:
    one = finder_of({"any": people[0]})
    track = track_clip(
        write_clip(tmp_path / "two.mp4", 9), lambda rgb: one(rgb) * (number_in(rgb) % 3), 1, print
    )
    np.testing.assert_array_equal(track.landmarks, people[0].landmarks[1:9:3])


def test_a_person_is_the_name_up_to_the_first_dash() -> None:
    assert [person_of(Path(name)) for name in ("t1-2.mp4", "a-b-c.mov", "solo.mpg")] == ["t1", "a", "solo"]


def test_a_folder_of_clips_becomes_a_model(people: list[Track], tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(PEOPLE):
        write_clip(clips / f"p{i:02}-1.mp4", 40, size=(64, 48))
    faces = {path.stem: people[i] for i, path in enumerate(clips_in(clips))}
    done: list[str] = []
    made: list[bytes] = []
    for attempt in range(2):
        output = tmp_path / f"{attempt}.safetensors"
        one_after_the_other = iter([face for track in faces.values() for face in faces_of(track)])
        try:
            command.make(
                clips_in(clips),
                lambda rgb, coming=one_after_the_other: [next(coming)],  # type: ignore[misc]
                output,
                1,
                tmp_path / "cache",
                done.append,
            )
        except ModelError as error:
            pytest.skip(str(error))
        made.append(output.read_bytes())
    assert made[0] == made[1]
    assert any(line.startswith("4 people held back of 24, 160 frames") for line in done)
    assert set(load(made[0])) == {"mean", "basis", "rigid", "mirror", "triangles"}
    assert not list(tmp_path.glob("*.part"))


def faces_of(track: Track) -> list[Face]:
    rows = zip(track.landmarks[:40], track.blendshapes, track.poses, strict=False)
    return [Face(landmarks, scores, pose, (160, 120)) for landmarks, scores, pose in rows]


def test_too_few_people_are_refused(people: list[Track], tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "ann-1.mp4", 8)
    with pytest.raises(AvatarError, match="faces of 1 people, at least 5"):
        command.make([clip], finder_of({"any": people[0]}), tmp_path / "m", 1, tmp_path / "cache", print)
    assert not (tmp_path / "m").exists()


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "ann-1.mp4").write_bytes(b"no video")
    for clips, output, says in (
        ("none", "m", "none: there is no such folder"),
        ("empty", "m", "empty: there are no clips"),
        ("full", "empty", "empty: is a folder"),
        ("full", "nowhere/m", "nowhere: there is no such folder"),
    ):
        assert command.main(["--clips", str(tmp_path / clips), "-o", str(tmp_path / output)]) == 1
        error = capsys.readouterr().err
        assert error.startswith("face_model: error: ") and error.count("\n") == 1
        assert says in error


@pytest.mark.parametrize("arguments", [["--every", "0"], ["--every", "x"]])
def test_a_step_is_a_whole_number(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--clips", ".", "-o", "m", *arguments])
    assert "is not a whole number from 1 on" in capsys.readouterr().err


def test_a_clip_that_is_no_video_is_named(tmp_path: Path) -> None:
    clip = tmp_path / "ann-1.mp4"
    clip.write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"ann-1\.mp4"):
        track_clip(clip, lambda rgb: [], 1, print)
