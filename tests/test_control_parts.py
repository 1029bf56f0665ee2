"""The parts of a controlled run, each alone."""

from __future__ import annotations

import io
import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from control_fakes import SIZE, Kept, Numbers, PlainRenderer
from made_people import made_face, made_identity
from PIL import Image

from avatar.control import (
    GUEST,
    Backdrops,
    Cast,
    DriverView,
    Gallery,
    Outlet,
    Preview,
    Recorder,
    Settings,
    SettingsFile,
    Stage,
    SwitchedSource,
    folders,
)
from avatar.control.feed import Feed
from avatar.errors import CameraError, CameraLostError, IdentityFileError, OutputError, PictureError
from avatar.identity.file import name_in, save_identity
from avatar.records import U8, Frame, Identity, Observation
from avatar.retarget import Retargeter, Tuning
from avatar.tools.signs import Badge, card


def unpacked(content: bytes) -> U8:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.uint8)


# Settings


def test_settings_come_back(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path / "not yet" / "settings.json")
    assert file.load() == Settings()
    changed = Settings().changed({"strength": 1, "badge": False, "background": "colour", "colour": "#AABBCC"})
    assert changed.colour == "#aabbcc"
    assert changed.rgb == (170, 187, 204)
    file.save({"strength": 1, "badge": False, "background": "colour", "colour": "#AABBCC"})
    assert file.load() == changed
    # Only what is changed: a run with other settings for itself alone does not save these.
    file.save({"reach": 0.5})
    assert file.load() == changed.changed({"reach": 0.5})


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 1.6},
        {"strength": -0.1},
        {"reach": 0},
        {"smoothing": float("nan")},
        {"smoothing": float("inf")},
        {"strength": True},
        {"strength": "1"},
        {"badge": 1},
        {"badge": None},
        {"background": "space"},
        {"background": ["own"]},
        {"colour": "red"},
        {"colour": "#12345"},
        {"avatar": "../../secret"},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        Settings().changed(changes)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '"x"', "[" * 9000, '{"badge": 3, "new": 1, "strength": 0.5}']
)
def test_a_damaged_file_of_settings_is_no_reason_to_stop(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(content)
    assert SettingsFile(path).load() == Settings(strength=0.5 if "strength" in content else 1.0)


def test_where_things_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATAR_DATA", str(tmp_path / "mine"))
    assert folders.data_dir() == tmp_path / "mine"
    assert folders.recordings_dir() == tmp_path / "mine" / "recordings"
    monkeypatch.delenv("AVATAR_DATA")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert folders.data_dir() == tmp_path / "data" / "livehead"
    assert folders.recordings_dir() == tmp_path / "data" / "livehead" / "recordings"
    (tmp_path / "Videos").mkdir()
    assert folders.recordings_dir() == tmp_path / "Videos" / "livehead"


# Gallery


def test_avatars_are_kept_renamed_and_deleted(tmp_path: Path, astronaut_identity: Identity) -> None:
    gallery = Gallery(tmp_path / "avatars")
    assert gallery.entries() == []
    added = gallery.add(replace(astronaut_identity, name="Zoe"))
    other = gallery.add(replace(astronaut_identity, name="anna"))
    assert gallery.entries() == [other, added]
    assert gallery.load(added.id).name == "Zoe"
    renamed = gallery.rename(added.id, "  Ada \t Lovelace ")
    assert renamed.name == gallery.load(added.id).name == "Ada Lovelace"
    picture = unpacked(gallery.thumbnail(added.id))
    assert picture.shape == (256, 256, 3)
    assert picture.std() > 30
    assert (tmp_path / "avatars" / f"{added.id}.jpg").is_file()
    gallery.delete(added.id)
    assert gallery.entries() == [other]
    assert sorted(path.name for path in (tmp_path / "avatars").iterdir()) == [f"{other.id}.avatar"]


def test_the_guest_is_in_no_folder_until_it_is_kept(tmp_path: Path, astronaut_identity: Identity) -> None:
    gallery = Gallery(tmp_path, astronaut_identity)
    (guest,) = gallery.entries()
    assert (guest.id, guest.kept) == (GUEST, False)
    assert gallery.load(GUEST) is astronaut_identity
    assert unpacked(gallery.thumbnail(GUEST)).shape == (256, 256, 3)
    assert list(tmp_path.iterdir()) == []
    for change in (lambda: gallery.rename(GUEST, "x"), lambda: gallery.delete(GUEST)):
        with pytest.raises(IdentityFileError):
            change()
    kept = gallery.keep()
    assert gallery.entries() == [kept]
    with pytest.raises(IdentityFileError):
        gallery.keep()


def test_avatars_are_found_by_name_or_as_the_last_one(tmp_path: Path, astronaut_identity: Identity) -> None:
    gallery = Gallery(tmp_path, astronaut_identity)
    assert gallery.last("") is None
    with pytest.raises(IdentityFileError, match="there is no avatar of the name Ada; the gallery holds"):
        gallery.find("Ada")
    ada, bob = (gallery.add(replace(astronaut_identity, name=name)) for name in ("Ada", "Bob"))
    assert gallery.find("ada") == tmp_path / f"{ada.id}.avatar"
    assert gallery.last(bob.id) == tmp_path / f"{bob.id}.avatar"
    assert gallery.last("gone") == tmp_path / f"{ada.id}.avatar"
    gallery.add(replace(astronaut_identity, name="ADA"))
    with pytest.raises(IdentityFileError, match="there are several avatars of the name Ada"):
        gallery.find("Ada")


@pytest.mark.parametrize("id", ["../outside", "..", "", "a/b", "nobody", "x" * 65, "a\0b", ".hidden"])
def test_ids_lead_nowhere_else(tmp_path: Path, astronaut_identity: Identity, id: str) -> None:
    save_identity(astronaut_identity, tmp_path / "outside.avatar")
    gallery = Gallery(tmp_path / "avatars")
    gallery.add(astronaut_identity)
    for use in (gallery.load, gallery.thumbnail, gallery.delete, lambda id: gallery.rename(id, "x")):
        with pytest.raises(IdentityFileError, match="no such avatar"):
            use(id)
    assert (tmp_path / "outside.avatar").is_file()


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b", "a\x1bb"])
def test_names_that_are_none_are_refused(tmp_path: Path, astronaut_identity: Identity, name: str) -> None:
    gallery = Gallery(tmp_path)
    added = gallery.add(astronaut_identity)
    with pytest.raises(IdentityFileError, match="a name has"):
        gallery.rename(added.id, name)


def test_files_are_opened_for_the_list_only_when_they_have_changed(
    tmp_path: Path, astronaut_identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def noted(path: Path) -> str:
        opened.append(path.stem)
        return name_in(path)

    monkeypatch.setattr("avatar.control.gallery.name_in", noted)
    gallery = Gallery(tmp_path)
    first, second = gallery.add(astronaut_identity), gallery.add(astronaut_identity)
    (tmp_path / "broken.avatar").write_bytes(b"nothing")
    assert [gallery.entries(), gallery.entries()] == [gallery.entries()] * 2
    assert sorted(opened) == sorted([first.id, second.id, "broken"])
    gallery.rename(first.id, "Ada")
    assert [one.name for one in gallery.entries()] == ["Ada", "astronaut"]
    assert opened[3:] == [first.id]


def test_files_that_are_no_avatars_are_not_listed(tmp_path: Path, astronaut_identity: Identity) -> None:
    gallery = Gallery(tmp_path)
    added = gallery.add(astronaut_identity)
    (tmp_path / "broken.avatar").write_bytes(b"nothing")
    (tmp_path / "folder.avatar").mkdir()
    (tmp_path / "a b.avatar").write_bytes((tmp_path / f"{added.id}.avatar").read_bytes())
    assert gallery.entries() == [added]


# Signs


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (320, 180), (720, 1280), (64, 64)])
def test_the_badge_is_at_the_top_right_and_can_be_read(size: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 200, np.uint8)
    Badge(size)(rgb)
    rows, columns = np.nonzero((rgb != 200).any(axis=2))
    assert rows.max() < 0.12 * size[1] + 20
    if size[0] >= 320:
        assert columns.min() > size[0] / 2
        assert columns.max() < size[0]
    written = rgb[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert written.min() < 90, "dark ground"
    assert written.max() > 230, "light letters"


def test_in_a_mirror_the_badge_can_still_be_read() -> None:
    rgb = np.random.default_rng(1).integers(0, 60, (180, 320, 3), np.uint8)
    badge = Badge(SIZE)
    seen = rgb.copy()
    badge(seen)
    mirrored = badge.mirrored(seen)
    there = slice(320 - badge.columns.stop, 320 - badge.columns.start)
    letters = (seen[badge.rows, badge.columns] > 180).all(axis=2)
    assert letters.any()
    assert (mirrored[badge.rows, there][letters] > 180).all(), "the letters are not turned about"
    rest = mirrored.copy()
    rest[badge.rows, there] = rgb[:, ::-1][badge.rows, there]
    np.testing.assert_array_equal(rest, rgb[:, ::-1])


def test_the_card_says_something_on_a_calm_ground() -> None:
    picture = card((640, 360))
    assert picture.shape == (360, 640, 3)
    assert picture[:60].max() < 70
    assert picture[140:220, 150:490].max() > 200
    np.testing.assert_array_equal(card((64, 64), "a very long text that would not fit").shape, (64, 64, 3))


# Stage


def cast(colour: tuple[int, int, int], size: tuple[int, int] = SIZE) -> Cast:
    return Cast(Retargeter(made_identity()), PlainRenderer(colour, size))


def framed(stage: Stage, index: int = 0) -> Frame:
    motion = stage.retarget(Observation(made_face(), index, index * 33_000_000))
    return stage(motion, index, index * 33_000_000)


def played(stage: Stage, index: int = 0) -> U8:
    return framed(stage, index).rgb


def test_who_began_a_frame_finishes_it() -> None:
    stage = Stage(cast((10, 0, 0)))
    motion = stage.retarget(Observation(made_face(), 0, 0))
    finish = stage.begin(motion, 0, 0)
    stage.exchange(cast((20, 0, 0)))
    assert played(stage, 1)[-1, 0, 0] == 20
    assert finish().rgb[-1, 0, 0] == 10


def test_another_cast_plays_from_the_next_frame_on() -> None:
    stage = Stage(cast((10, 0, 0)))
    assert played(stage)[-1, 0, 0] == 10
    stage.exchange(cast((20, 0, 0)))
    assert played(stage, 1)[-1, 0, 0] == 20


def test_the_calm_face_and_the_tuning_go_over_to_who_plays_next() -> None:
    stage = Stage(cast((10, 0, 0)))
    smile = made_face({"mouthSmileLeft": 0.9, "jawOpen": 0.5})
    stage.set_neutral()
    calm = stage.retarget(Observation(smile, 0, 0))
    stage.exchange(cast((20, 0, 0)))
    stage.tuning = Tuning(strength=0.5)
    again = stage.retarget(Observation(smile, 1, 33_000_000))
    np.testing.assert_allclose(again.landmarks, calm.landmarks, atol=1e-4)


def test_a_cast_for_another_canvas_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64\) != \(320, 180\)"):
        Stage(cast((0, 0, 0))).exchange(cast((0, 0, 0), (64, 64)))


def test_paused_it_shows_the_card_and_never_the_avatar() -> None:
    stage = Stage(cast((250, 0, 0)))
    stage.paused = True
    shown = played(stage)
    np.testing.assert_array_equal(shown, card(SIZE))
    stage.paused = False
    assert played(stage, 1)[-1, 0, 0] == 250


def test_in_a_mirror_a_frame_is_as_it_was_made_and_not_as_the_next_one_will_be() -> None:
    stage = Stage(cast((100, 0, 0)))
    badged = framed(stage)
    stage.badge = False
    bare = framed(stage)
    stage.paused = True
    paused = framed(stage)
    rows, columns = Badge(SIZE).rows, Badge(SIZE).columns
    there = slice(SIZE[0] - columns.stop, SIZE[0] - columns.start)
    for state in (True, False):
        stage.paused, stage.badge = state, not state
        np.testing.assert_array_equal(stage.as_in_mirror(paused), card(SIZE), "what is written can be read")
        np.testing.assert_array_equal(stage.as_in_mirror(bare), bare.rgb[:, ::-1])
        np.testing.assert_array_equal(stage.as_in_mirror(badged)[rows, there], badged.rgb[rows, columns])


def test_the_badge_is_on_unless_it_is_switched_off() -> None:
    stage = Stage(cast((100, 100, 100)))
    assert (played(stage)[:30, 160:] != 100).any()
    stage.badge = False
    assert (played(stage, 1) == 100).all()


def test_exchanging_from_another_thread_never_leaves_a_hole() -> None:
    stage = Stage(cast((10, 10, 10)))
    ending = threading.Event()

    def exchange() -> None:
        while not ending.wait(0.002):
            stage.exchange(cast((20, 20, 20)))

    thread = threading.Thread(target=exchange)
    levels = {int(played(stage, 0)[-1, 0, 0])}
    thread.start()
    try:
        levels |= {int(played(stage, index)[-1, 0, 0]) for index in range(1, 200)}
    finally:
        ending.set()
        thread.join()
    assert levels == {10, 20}


# Sources


def test_numbers_and_drops_go_on_over_an_exchange() -> None:
    first, second = Numbers(), Numbers(length=2)
    seen: list[Observation] = []
    source = SwitchedSource(first, on_recorded=seen.append)
    indices = [item.index for item in (source(), source()) if item]
    source.exchange(second)
    indices += [item.index for item in (source(), source()) if item]
    assert indices == [0, 1, 2, 3]
    assert len(seen) == 4
    assert first.closed
    assert source.dropped == 6
    assert source() is None
    source.close()
    assert second.closed


def test_a_source_that_ends_gives_way_to_the_one_that_waits() -> None:
    source = SwitchedSource(Numbers(length=0))
    source.exchange(unused := Numbers())
    source.exchange(Numbers())
    assert unused.closed
    assert source() is not None


def test_nothing_is_opened_once_the_run_has_ended(tmp_path: Path) -> None:
    source, late = SwitchedSource(Numbers()), Numbers()
    source.close()
    source.exchange(late)
    assert late.closed
    opened: list[Kept] = []

    def open_device(name: str) -> Kept:
        opened.append(Kept(name))
        return opened[-1]

    outlet = Outlet(open_device)
    outlet.use("a")
    outlet.close()
    with pytest.raises(OutputError, match="b is not used: the run has ended"):
        outlet.use("b")
    assert outlet.device is None
    assert all(one.closed for one in opened)
    recorder = Recorder(tmp_path / "videos", 30.0, SIZE)
    recorder.close()
    with pytest.raises(OutputError, match="the run has ended"):
        recorder.start()
    assert not (tmp_path / "videos").exists()


def test_a_lost_camera_can_be_exchanged() -> None:
    class Lost(Numbers):
        def __call__(self) -> Observation | None:
            raise CameraLostError("gone")

        def reopen(self) -> None:
            raise CameraError("not back")

    source = SwitchedSource(Lost())
    with pytest.raises(CameraLostError):
        source()
    with pytest.raises(CameraError, match="not back"):
        source.reopen()
    source.exchange(Numbers())
    source.reopen()
    assert source() is not None
    with pytest.raises(CameraLostError):
        source.reopen()


# Feed, preview and the driver's view


def test_nothing_is_packed_for_nobody_and_once_for_all() -> None:
    packed: list[int] = []

    def pack(item: int) -> bytes:
        packed.append(item)
        return str(item).encode()

    feed: Feed[int] = Feed(pack)
    assert feed.packed() is None
    for item in range(5):
        feed.put(item)
    assert packed == []
    woken = threading.Event()
    feed.watch(woken.set)
    assert feed.watched
    feed.put(5)
    assert woken.is_set()
    assert [feed.packed(), feed.packed()] == [feed.packed()] * 2
    assert packed == [5]
    feed.leave(woken.set)
    assert not feed.watched


def test_the_preview_is_as_in_a_mirror_if_wanted() -> None:
    stage = Stage(cast((0, 0, 0)))
    stage.badge = False
    preview = Preview(stage)
    rgb = np.zeros((180, 320, 3), np.uint8)
    rgb[:, :160] = 200
    preview(Frame(rgb, 0, 0))
    packed = preview.feed.packed()
    assert packed is not None
    assert unpacked(packed.content)[90, 300, 0] > 150
    preview.mirror = False
    preview(Frame(rgb, 1, 1))
    packed = preview.feed.packed()
    assert packed is not None
    assert unpacked(packed.content)[90, 20, 0] > 150


def test_the_driver_sees_the_camera_with_landmarks() -> None:
    view = DriverView()
    face = made_face()
    rgb = np.full((480, 640, 3), 40, np.uint8)
    assert view.watched(lambda frame: face)(Frame(rgb, 0, 0)) is face
    assert (rgb == 40).all(), "the camera's picture is not drawn on"
    assert view.frame is not None
    packed = view.feed.packed()
    assert packed is not None
    shown = unpacked(packed.content)
    assert shown.shape == (480, 640, 3)
    assert (shown[..., 1] > 150).sum() > 300
    np.testing.assert_allclose(shown[:40], 40, atol=3)


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (320, 240)])
def test_cameras_of_all_shapes_are_shown_around_the_face(size: tuple[int, int]) -> None:
    view = DriverView()
    face = replace(made_face(shift=(size[0] / 2, size[1] - 60), scale=20), frame_size=size)
    for frame in (Frame(np.zeros((size[1], size[0], 3), np.uint8), 0, 0), None):
        view.feed.put((frame, face))
        packed = view.feed.packed()
        assert packed is not None
        shown = unpacked(packed.content)
        assert shown.shape[0] <= 0.75 * shown.shape[1] + 1
        assert (shown[..., 1] > 150).any()
    view.feed.put((Frame(np.zeros((size[1], size[0], 3), np.uint8), 1, 1), None))
    assert view.feed.packed() is not None


def test_of_recorded_motion_there_is_no_picture() -> None:
    view = DriverView()
    view.watched(lambda frame: None)(Frame(np.zeros((480, 640, 3), np.uint8), 0, 0))
    view.recorded(Observation(made_face(), 0, 0))
    assert view.frame is None
    assert view.feed.packed() is not None


# Recording


def frames(count: int, start: int = 0) -> list[Frame]:
    rgb = np.full((180, 320, 3), 120, np.uint8)
    return [Frame(rgb, start + i, (start + i) * 33_333_333) for i in range(count)]


def test_it_records_what_comes_between_start_and_stop(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "videos", 30.0, SIZE)
    for frame in frames(5):
        recorder(frame)
    assert not (tmp_path / "videos").exists()
    path = recorder.start()
    assert recorder.start() == path == recorder.path
    for frame in frames(20, 5):
        recorder(frame)
    assert recorder.stop() == path
    for frame in frames(5, 25):
        recorder(frame)
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 20
    assert recorder.stop() is None
    other = recorder.start()
    assert other != path
    recorder.close()
    assert recorder.path is None


def test_a_video_that_cannot_be_written_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    recorder = Recorder(tmp_path, 30.0, SIZE, on_failure=told.append)
    recorder.start()
    assert recorder._writer is not None

    def full(frame: Frame) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(recorder, "_writer", full)
    recorder(frames(1)[0])
    assert told == ["the disk is full"]
    assert recorder.path is None
    recorder(frames(1)[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        Recorder(tmp_path / "file" / "videos", 30.0, SIZE).start()


# Backgrounds


def test_a_room_with_somebody_in_it_is_refused(tmp_path: Path, astronaut: U8) -> None:
    backdrops = Backdrops(tmp_path, SIZE, "extend")
    with pytest.raises(PictureError, match="shows a face"):
        backdrops.store("room", astronaut)
    faceless = astronaut.copy()
    faceless[40:200, 150:300] = faceless[10:60, 380:420].mean(axis=(0, 1)).astype(np.uint8)
    with pytest.raises(PictureError, match="somebody seems to be"):
        backdrops.store("room", faceless)
    with pytest.raises(PictureError, match="empty"):
        backdrops.store("room", np.full((480, 640, 3), 3, np.uint8))
    assert not backdrops.has("room")


def test_an_empty_room_is_kept_and_used(tmp_path: Path, astronaut_identity: Identity) -> None:
    import skimage.data

    room = np.ascontiguousarray(np.repeat(skimage.data.brick()[..., None], 3, axis=2))  # type: ignore[no-untyped-call]
    backdrops = Backdrops(tmp_path / "new", SIZE, "extend")
    settings = Settings(background="room")
    assert backdrops.dressed(astronaut_identity, settings) is astronaut_identity
    backdrops.store("room", room)
    assert backdrops.has("room")
    dressed = backdrops.dressed(astronaut_identity, settings)
    assert dressed.picture.shape == (SIZE[1], SIZE[0], 3)
    corner = dressed.picture[:40, :60]
    assert np.ptp(corner, axis=2).max() <= 1, "grey as the bricks"
    assert corner.std() > 5


@pytest.mark.parametrize("background", ["own", "blurred", "colour", "picture"])
def test_each_background_dresses(tmp_path: Path, astronaut_identity: Identity, background: str) -> None:
    backdrops = Backdrops(tmp_path, SIZE, "extend")
    backdrops.store("picture", np.full((50, 50, 3), (0, 200, 0), np.uint8))
    dressed = backdrops.dressed(astronaut_identity, Settings(background=background, colour="#c80000"))
    corner = dressed.picture[5, 5].tolist()
    expected = {"colour": [200, 0, 0], "picture": [0, 200, 0]}
    assert corner == expected.get(background, corner)
    assert (dressed is astronaut_identity) == (background == "own")


def test_settings_are_plain_json() -> None:
    assert json.loads(json.dumps(Settings().as_json())) == Settings().as_json()
