"""From a folder of clips to a face model: tracks, their cache, the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_clips import number_in, write_clip
from made_faces import PEOPLE, synthetic_person
from safetensors.numpy import load

from avatar.errors import AvatarError, ModelError, VideoError
from avatar.records import U8, Face
from avatar.train import face_model as command
from avatar.train.tracks import Track, cached_track, clips_in, person_of, read_people, track_clip


@pytest.fixture(scope="module")
def people() -> list[Track]:
    return [synthetic_person(seed) for seed in range(PEOPLE)]


def finder_of(track: Track) -> Callable[[U8], list[Face]]:
    """Finds the face whose number the picture carries."""

    def find(rgb: U8) -> list[Face]:
        i = number_in(rgb)
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
    found = read_people(files, finder_of(people[0]), 2, tmp_path / "cache", said.append)
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
    find = finder_of(people[0])
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
    one = finder_of(people[0])
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
        command.make([clip], finder_of(people[0]), tmp_path / "m", 1, tmp_path / "cache", print)
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
