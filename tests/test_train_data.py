"""Clips become a cache, and a cache becomes samples."""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from made_caches import SIDE, made_cache, write_caches

from avatar.errors import ModelError, VideoError
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.drawing import CHANNELS, draw_landmarks
from avatar.tools.facemesh import face_model
from avatar.train.data import prepare as preparation
from avatar.train.data import samples as making
from avatar.train.data.augment import Bend, Light
from avatar.train.data.batches import Batch, batches
from avatar.train.data.clip_cache import NUMBERS, PACKED, ClipCache, load_clip
from avatar.train.data.layout import Clip, clips_of
from avatar.train.data.prepare import PrepareOptions, cache_file, prepare
from avatar.train.data.samples import Sample, SampleOptions, Samples, _mirrored, bent
from avatar.train.losses import cut_boxes

TINY = SampleOptions(size=64, views=2, reference_size=64)
CPU = torch.device("cpu")

# Which clips there are


def touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"?")


def test_in_a_flat_folder_the_name_says_who(tmp_path: Path) -> None:
    touch(tmp_path, "anna-2.mov", "anna-1.mp4", "ben.MKV", "notes.txt", ".hidden-1.mp4")
    found = clips_of(tmp_path)
    assert [(clip.name, clip.person) for clip in found] == [
        ("anna-1.mp4", "anna"),
        ("anna-2.mov", "anna"),
        ("ben.MKV", "ben"),
    ]
    assert found[0].path == tmp_path / "anna-1.mp4"


def test_in_voxceleb_folders_the_topmost_says_who(tmp_path: Path) -> None:
    touch(tmp_path, "id00012/21Uxsk56VDQ/00001.mp4", "id00012/other/00001.mp4", "id00017/x/00002.mp4")
    assert [(clip.name, clip.person) for clip in clips_of(tmp_path)] == [
        ("id00012/21Uxsk56VDQ/00001.mp4", "id00012"),
        ("id00012/other/00001.mp4", "id00012"),
        ("id00017/x/00002.mp4", "id00017"),
    ]
    files = {cache_file(tmp_path, clip).name for clip in clips_of(tmp_path)}
    assert len(files) == 3 and all("/" not in name for name in files)


def test_a_folder_without_clips_is_told(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no videos"):
        clips_of(tmp_path)
    with pytest.raises(VideoError, match="no such folder"):
        clips_of(tmp_path / "nowhere")


# The cache


def test_a_clip_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = made_cache("anna", "anna-1.mp4")
    kept.save(tmp_path / "x.clip", "made of this")
    found = load_clip(tmp_path / "x.clip", "made of this")
    assert (found.person, found.clip, found.size, len(found)) == ("anna", "anna-1.mp4", kept.size, 9)
    for name in NUMBERS:
        np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))
    for name in PACKED:
        ours, theirs = getattr(kept, name), getattr(found, name)
        assert len(ours) == len(theirs)
        np.testing.assert_array_equal(ours[len(ours) - 1], theirs[len(ours) - 1])
    view = found.view(2)
    assert view.texture.shape == (SIDE, SIDE, 3) and view.alpha.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(view.landmarks, kept.landmarks[kept.sources[2]])


def test_another_or_a_damaged_cache_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "x.clip"
    made_cache("anna", "anna-1.mp4").save(file, "made of this")
    with pytest.raises(VideoError, match="made of something else"):
        load_clip(file, "made of that")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(VideoError, match=r"x\.clip"):
        load_clip(file, "made of this")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What clips were tracked, for a tracker that needs no picture."""
    seen: list[str] = []

    def stub(clip: Clip, options: PrepareOptions) -> ClipCache:
        seen.append(clip.name)
        if clip.person == "nobody":
            raise preparation.BadClipError("only 0 frames show a face")
        return made_cache(clip.person, clip.name, frames=3, sources=2)

    monkeypatch.setattr(preparation, "read_clip", stub)
    return seen


def prepared(
    data: Path, cache: Path, options: PrepareOptions | None = None
) -> tuple[list[Path], dict[str, str]]:
    return prepare(clips_of(data), cache, options or PrepareOptions(), workers=1, progress=lambda *_: None)


def test_what_is_prepared_is_not_prepared_again(tmp_path: Path, read: list[str]) -> None:
    touch(tmp_path / "data", "anna-1.mp4", "ben-1.mp4")
    files, bad = prepared(tmp_path / "data", tmp_path / "cache")
    assert [load_clip(file).person for file in files] == ["anna", "ben"] and not bad
    assert prepared(tmp_path / "data", tmp_path / "cache")[0] == files
    assert read == ["anna-1.mp4", "ben-1.mp4"]
    read.clear()
    files[1].unlink()  # as if stopped before it
    touch(tmp_path / "data", "carl-1.mp4")
    assert len(prepared(tmp_path / "data", tmp_path / "cache")[0]) == 3
    assert read == ["ben-1.mp4", "carl-1.mp4"]


def test_a_changed_clip_or_option_is_prepared_anew(tmp_path: Path, read: list[str]) -> None:
    touch(tmp_path / "data", "anna-1.mp4", "ben-1.mp4")
    prepared(tmp_path / "data", tmp_path / "cache")
    read.clear()
    (tmp_path / "data" / "ben-1.mp4").write_bytes(b"longer")
    prepared(tmp_path / "data", tmp_path / "cache")
    assert read == ["ben-1.mp4"]
    read.clear()
    prepared(tmp_path / "data", tmp_path / "cache", PrepareOptions(frames=7))
    assert read == ["anna-1.mp4", "ben-1.mp4"]


def test_a_clip_of_no_use_is_listed_with_the_reason(tmp_path: Path, read: list[str]) -> None:
    touch(tmp_path / "data", "anna-1.mp4", "nobody-1.mp4")
    told: list[tuple[int, int, str]] = []
    files, bad = prepare(
        clips_of(tmp_path / "data"),
        tmp_path / "cache",
        PrepareOptions(),
        workers=1,
        progress=lambda *line: told.append(line),
    )
    assert [file.name for file in files] == ["anna-1.mp4.clip"]
    assert bad == {"nobody-1.mp4": "only 0 frames show a face"}
    assert [line[:2] for line in told] == [(1, 2), (2, 2)] and "nobody" in told[1][2]


def test_a_file_that_is_no_video_is_a_bad_clip(tmp_path: Path) -> None:
    touch(tmp_path / "data", "anna-1.mp4")
    files, bad = prepared(tmp_path / "data", tmp_path / "cache")
    assert not files and "anna-1.mp4" in bad["anna-1.mp4"]


# Samples


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_caches(tmp_path_factory.mktemp("clips"))


def assert_same(one: object, other: object, kind: type) -> None:
    for field in fields(kind):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        assert ours == theirs if isinstance(ours, int | float) else (ours == theirs).all(), field.name


def test_a_number_is_always_the_same_sample(files: list[Path]) -> None:
    one, other = Samples(files, TINY, seed=3), Samples(files, TINY, seed=3)
    for number in (0, 7, 123456):
        other[number + 1]  # what was asked before changes nothing
        assert_same(one[number], other[number], Sample)
    assert (one[0].target != one[1].target).any()
    assert (Samples(files, TINY, seed=4)[0].target != one[0].target).any()


def test_shapes_and_ranges_of_a_sample(files: list[Path]) -> None:
    for style, channels in CHANNELS.items():
        sample = Samples(files, dataclasses.replace(TINY, style=style), seed=0)[5]
        assert sample.warps.shape == (2, 64, 64, 5) and sample.target.shape == (64, 64, 4)
        assert sample.drawing.shape == (64, 64, channels)
        assert sample.references.shape == (2, 64, 64, 4 + channels)
        assert sample.points.shape == (478, 2) and sample.boxes.shape == (3, 3)
        assert 1 <= sample.count <= 2 and 0 < sample.points.min() and sample.points.max() < 1
        assert sample.warps[0, ..., 3].mean() > 40  # somebody is there


def test_half_of_the_samples_have_one_view_and_the_other_slot_is_empty(files: list[Path]) -> None:
    samples = Samples(files, TINY, seed=0)
    counts = []
    for number in range(24):
        sample = samples[number]
        counts.append(sample.count)
        assert sample.warps[1].any() == (sample.count > 1)
        assert not sample.references[sample.count :].any()
    assert 12 <= counts.count(1) < 24


def test_sources_are_other_moments_than_the_target(files: list[Path]) -> None:
    samples = Samples(files, TINY, seed=0)
    random = np.random.default_rng(0)
    clip = samples.clips[0]
    for _ in range(60):
        sources, target = samples._pair(clip, random)
        assert all(clip.cache.sources[source] != target for source in sources)


def test_the_warp_is_nearer_to_the_target_than_the_picture_was(files: list[Path]) -> None:
    """Warp, drawing and target lie over each other in the window."""
    samples = Samples(files, dataclasses.replace(TINY, augment=False), seed=0)
    warped, still = [], []
    for number in range(16):
        sample = samples[number]
        cover = sample.target[..., 3] > 127
        real = sample.target[..., :3].astype(int)
        warped.append(np.abs(sample.warps[0, ..., :3] - real)[cover].mean())
        still.append(np.abs(sample.references[0, ..., :3] - real)[cover].mean())
    assert np.mean(warped) < np.mean(still)


def test_augmenting_changes_colours_alike_and_mirrors_all(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "BEND_SHARE", 0.0)
    plain = Samples(files, dataclasses.replace(TINY, augment=False), seed=0)
    changed = Samples(files, TINY, seed=0)
    mirror, mirrored = face_model().mirror, 0
    for number in range(12):
        one, other = plain[number], changed[number]
        assert one.clip == other.clip and one.count == other.count
        flipped = one.points[mirror] * (-1, 1) + (1, 0)
        if np.allclose(other.points, flipped, atol=1e-5):
            mirrored += 1
            assert (other.target[..., 3] == one.target[:, ::-1, 3]).all()
            np.testing.assert_allclose(other.boxes[1], one.boxes[2] * (-1, 1, 1) + (1, 0, 0), atol=1e-5)
        else:
            np.testing.assert_array_equal(other.points, one.points)
            assert (other.target[..., 3] == one.target[..., 3]).all()
    assert 0 < mirrored < 12


def test_augmenting_gives_the_driver_another_camera_and_sometimes_none(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "BEND_SHARE", 0.0)
    plain = Samples(files, dataclasses.replace(TINY, augment=False), seed=0)
    changed = Samples(files, TINY, seed=0)
    unseen = 0
    alike: list[float] = []
    for number in range(48):
        one, other = plain[number], changed[number]
        assert one.close_ups.shape == (3, CLOSE_UP, CLOSE_UP) and one.trust == 1
        unseen += other.trust == 0
        same_side = np.array_equal(one.points, other.points)
        wanted = one.close_ups if same_side else one.close_ups[[0, 2, 1], :, ::-1]
        assert (other.close_ups != wanted).any()
        alike.append(np.corrcoef(other.close_ups[0].ravel(), wanted[0].ravel())[0, 1])
    assert 0 < unseen < 12 and np.mean(alike) > 0.7


def test_a_mirrored_driver_has_his_other_eye_there(files: list[Path]) -> None:
    sample = Samples(files, dataclasses.replace(TINY, augment=False), seed=0)[1]
    ramp = np.tile(np.arange(CLOSE_UP, dtype=np.uint8), (CLOSE_UP, 1))
    close_ups = np.stack([ramp, ramp + 50, ramp + 100])
    mirrored = _mirrored(dataclasses.replace(sample, close_ups=close_ups)).close_ups
    back = ramp[:, ::-1]
    np.testing.assert_array_equal(mirrored, np.stack([back, back + 100, back + 50]))


@pytest.mark.parametrize("seed", range(6))
def test_a_bent_face_is_all_bent_alike(files: list[Path], seed: int) -> None:
    """Colours, matte, drawing and squares still lie over each other, and elsewhere than before."""
    size = 128
    sample = Samples(files, dataclasses.replace(TINY, augment=False, size=size), seed=0)[seed]
    changed = bent(sample, Bend(np.random.default_rng(seed), size))
    moved = np.hypot(*(changed.points - sample.points).T).mean()
    assert 0.002 < moved < 0.2
    # The drawing's lines run through the points: bent as a picture, or drawn of the bent points.
    across = np.column_stack([changed.points, np.zeros(len(changed.points))]).astype(np.float32)
    window = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    again = draw_landmarks(across, window, size, "layers").astype(int)
    still = draw_landmarks(np.column_stack([sample.points, across[:, 2]]), window, size, "layers").astype(int)
    apart = np.abs(again - changed.drawing)[..., 0].mean()
    assert apart < 0.4 * np.abs(still - changed.drawing)[..., 0].mean()

    def inside(one: Sample, boxes: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> torch.Tensor:
        picture = torch.from_numpy(one.target[..., :3]).movedim(-1, 0)[None].float()
        return cut_boxes(picture, torch.from_numpy(boxes)[None], 32)

    wanted = inside(sample, sample.boxes)
    followed = (inside(changed, changed.boxes) - wanted).abs().mean()
    assert followed < (inside(changed, sample.boxes) - wanted).abs().mean()
    np.testing.assert_array_equal(changed.close_ups, sample.close_ups)  # the driver's


@pytest.mark.parametrize("seed", range(20))
def test_points_lie_where_the_bent_picture_shows_them(seed: int) -> None:
    """Each place of the bent window looks at the point that came to lie there."""
    size = 256
    bend = Bend(np.random.default_rng(seed), size)
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    places = np.stack(np.meshgrid(line, line), axis=-1)[64:192:8, 64:192:8].reshape(-1, 2)
    looked_at = [each[64:192:8, 64:192:8].ravel() for each in (bend._columns, bend._rows)]
    seen = np.asarray((np.stack(looked_at, axis=1) + 0.5) / size, np.float32)
    off = np.hypot(*((bend.points(seen) - places) * size).T)
    assert off.mean() < 0.1 and off.max() < 0.5


def test_what_nobody_saw_stays_unknown_when_it_is_bent(files: list[Path]) -> None:
    sample = Samples(files, dataclasses.replace(TINY, augment=False, size=128), seed=0)[0]
    full = dataclasses.replace(sample, weight=np.full_like(sample.weight, 255))
    moved_in = 0
    for seed in range(8):
        bend = Bend(np.random.default_rng(seed), 128)
        line = (np.arange(128) + 0.5) / 128
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2).astype(np.float32)
        from_there = bend.points(grid)  # where all that was in the window is now
        weight = bent(full, bend).weight
        edge = from_there.min(axis=0) > 0.05
        for axis, rows in ((0, weight.T), (1, weight)):
            if edge[axis]:
                moved_in += 1
                assert not rows[0].any()
    assert moved_in


def test_a_light_is_the_same_for_all_pictures() -> None:
    random = np.random.default_rng(3)
    light = Light(random, 64)
    grey = np.full((64, 64, 3), 120, np.uint8)
    lit = light(grey)
    assert lit.std() > 1 and np.abs(lit.astype(int) - lit.mean(axis=-1, keepdims=True)).max() <= 1
    np.testing.assert_array_equal(light(grey), lit)


def test_close_ups_are_what_the_window_shows_there(files: list[Path]) -> None:
    size = 256
    sample = Samples(files, dataclasses.replace(TINY, augment=False, size=size), seed=0)[1]
    grey = torch.from_numpy(cv2.cvtColor(np.ascontiguousarray(sample.target[..., :3]), cv2.COLOR_RGB2GRAY))
    shown = cut_boxes(grey[None, None].float(), torch.from_numpy(sample.boxes)[None], CLOSE_UP)[:, 0]
    assert (shown - torch.from_numpy(sample.close_ups)).abs().mean() < 1


# Batches


def test_a_batch_is_its_samples(files: list[Path]) -> None:
    samples = Samples(files, TINY, seed=0)
    stream = batches(files, TINY, seed=0, size=3, first=2, step=5, workers=0)
    first, second = next(stream).to(CPU), next(stream).to(CPU)
    for batch, start in ((first, 6), (second, 21)):
        assert batch.valid.sum(dim=1).tolist() == [samples[start + i].count for i in range(3)]
        wanted = torch.from_numpy(samples[start + 1].target[..., :3]).movedim(-1, 0) / 255
        torch.testing.assert_close(batch.target[1], wanted)
        close_ups = torch.from_numpy(samples[start + 1].close_ups) / 255
        torch.testing.assert_close(batch.look.close_ups[1], close_ups)
        assert batch.look.trust.tolist() == [samples[start + i].trust for i in range(3)]


def test_processes_make_the_same_batches(files: list[Path]) -> None:
    alone = batches(files, TINY, seed=0, size=2, first=1, step=2, workers=0)
    helped = batches(files, TINY, seed=0, size=2, first=1, step=2, workers=1)
    for _ in range(2):
        assert_same_batch(next(alone).to(CPU), next(helped).to(CPU))


def assert_same_batch(one: Batch, other: Batch) -> None:
    for field in fields(Batch):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        assert ours == theirs if isinstance(ours, int | float) else torch.equal(ours, theirs)


def test_clips_without_a_usable_pair_are_given_up(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Samples(files, SampleOptions(SIDE), seed=0)
    monkeypatch.setattr(samples, "_pair", lambda clip, random: ([], 0))
    with pytest.raises(VideoError, match="no two moments"):
        _ = samples[0]


def test_what_is_no_fault_of_a_clip_ends_the_preparation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(clip: Clip, options: PrepareOptions) -> ClipCache:
        raise ModelError("face_landmarker: could not be had")

    monkeypatch.setattr(preparation, "read_clip", lacking)
    touch(tmp_path / "data", "anna-1.mp4")
    with pytest.raises(ModelError, match="face_landmarker"):
        prepared(tmp_path / "data", tmp_path / "cache")
