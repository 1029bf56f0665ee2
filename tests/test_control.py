"""A run changed while it goes."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from control_fakes import SIZE, Kept, Rig, status
from PIL import Image

from avatar.capture import CameraInfo
from avatar.control import GUEST, Settings
from avatar.control.settings import SettingsFile
from avatar.errors import (
    AvatarError,
    CameraError,
    IdentityFileError,
    NoFaceError,
    OutputError,
    PictureError,
    SeveralFacesError,
)
from avatar.output import VirtualCameraDevice
from avatar.records import U8, Frame, Identity
from avatar.retarget import Tuning


@pytest.fixture
def rig(tmp_path: Path, astronaut_identity: Identity) -> Iterator[Rig]:
    rig = Rig(tmp_path, astronaut_identity)
    yield rig
    rig.control.close()


def file_of(picture: U8, kind: str = "PNG") -> bytes:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, kind)
    return packed.getvalue()


def test_settings_count_at_once_and_are_remembered(rig: Rig) -> None:
    rig.control.change({"strength": 0.5, "reach": 0.4, "badge": False})
    assert rig.stage.tuning == Tuning(0.5, 1.0, 0.4)
    assert not rig.stage.badge
    rig.control.change({"mirror": False})
    assert not rig.control.preview.mirror
    assert SettingsFile(rig.folder / "settings.json").load() == rig.control.settings
    with pytest.raises(ValueError, match="strength"):
        rig.control.change({"strength": 9})
    assert rig.control.state()["settings"]["strength"] == 0.5


def test_settings_that_cannot_be_saved_count_nevertheless(rig: Rig) -> None:
    (rig.folder / "settings.json").mkdir()
    with pytest.raises(OutputError, match="cannot be saved"):
        rig.control.change({"badge": False})
    assert not rig.stage.badge


def test_another_avatar_plays_when_it_is_ready(rig: Rig) -> None:
    before = rig.frame()
    other = replace(rig.identity, name="other", plate=np.full_like(rig.identity.plate, 77))
    added = rig.gallery.add(other)
    rig.control.play(added.id).result(20)
    assert rig.control.state()["avatar"] == added.id
    after = rig.frame(1)
    assert after[-1, 0, 0] == 77 != before[-1, 0, 0]
    assert SettingsFile(rig.folder / "settings.json").load().avatar == added.id
    with pytest.raises(IdentityFileError):
        rig.control.play("nobody").result(20)
    assert rig.control.state()["avatar"] == added.id


def test_a_background_is_put_on_and_stays_with_other_avatars(rig: Rig) -> None:
    rig.control.change({"background": "colour", "colour": "#0a0b0c"})
    rig.control.play(GUEST).result(20)
    assert rig.frame()[-1, 0].tolist() == [10, 11, 12]


def test_quick_changes_of_the_background_are_done_once(rig: Rig) -> None:
    made = len(rig.made)
    blocked = threading.Event()
    rig.control._aside.do("wait", lambda: blocked.wait(20))
    for level in range(16, 32):
        rig.control.change({"background": "colour", "colour": f"#{level:02x}0000"})
    blocked.set()
    rig.control.play(GUEST).result(20)
    assert len(rig.made) == made + 2
    assert rig.frame()[-1, 0].tolist() == [31, 0, 0]


def test_an_avatar_is_made_of_pictures_and_kept(rig: Rig, astronaut: U8) -> None:
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    pictures = [("a.png", file_of(astronaut)), ("b.jpg", file_of(mirrored, "JPEG"))]
    entry = rig.control.enroll(pictures, name="Eileen", face=None).result(60)
    made = rig.gallery.load(entry.id)
    assert (made.name, len(made.views)) == ("Eileen", 2)
    assert made.conditioning is not None
    assert [one["name"] for one in rig.control.state()["avatars"]] == ["astronaut", "Eileen"]


def test_pictures_that_will_not_do_are_told(rig: Rig, astronaut: U8) -> None:
    wall = np.full((200, 200, 3), 90, np.uint8)
    two = np.concatenate([astronaut, astronaut], axis=1)
    for pictures, error, words in (
        ([("wall.png", file_of(wall))], NoFaceError, "no face found"),
        ([("two.png", file_of(two))], SeveralFacesError, "2 faces"),
        ([("a.png", file_of(astronaut)), ("wall.png", file_of(wall))], NoFaceError, "wall.png: no face"),
        ([("text.png", b"no picture at all")], PictureError, "text.png: is not a picture"),
        ([], PictureError, "1 to 32 pictures"),
        ([("a.png", b"x")] * 33, PictureError, "1 to 32 pictures"),
    ):
        with pytest.raises(error, match=words):
            rig.control.enroll(pictures, name="x", face=None).result(60)
    assert len(rig.control.state()["avatars"]) == 1
    entry = rig.control.enroll([("two.png", file_of(two))], name="right", face=2).result(60)
    assert rig.gallery.load(entry.id).crop.left > 400


def test_avatars_are_kept_renamed_and_deleted_but_not_while_they_play(rig: Rig) -> None:
    kept = rig.control.keep().result(20)
    assert rig.control.state()["avatar"] == kept.id
    assert rig.control.rename(kept.id, "me").result(20).name == "me"
    with pytest.raises(IdentityFileError, match="plays now"):
        rig.control.delete(kept.id).result(20)
    other = rig.gallery.add(rig.identity)
    rig.control.delete(other.id).result(20)
    assert [one["id"] for one in rig.control.state()["avatars"]] == [kept.id]


def test_the_calm_face_needs_a_face(rig: Rig) -> None:
    rig.control.noted(status(face=False))
    with pytest.raises(CameraError, match="no face is seen"):
        rig.control.set_neutral()
    rig.control.noted(status(face=True))
    rig.control.set_neutral()


def test_pause_and_recording(rig: Rig) -> None:
    rig.control.pause(True)
    assert rig.control.state()["paused"]
    path = rig.control.record(True)
    assert rig.control.state()["recording"] == str(path)
    rig.frame()
    assert rig.control.record(False) == path
    assert path is not None
    assert path.is_file()
    rig.control.output_failed("the disk is full")
    assert rig.control.state()["told"] == "the disk is full"


def test_a_voice_that_is_lost_is_told_and_no_longer_called_in_step(rig: Rig) -> None:
    rig.control.devices.microphone = "Livehead Microphone"
    assert rig.control.state()["microphone"] == "Livehead Microphone"
    rig.control.sound_failed("the server is gone")
    assert rig.control.state()["microphone"] == ""
    assert rig.control.state()["told"] == "the server is gone"


def test_what_this_run_feeds_is_not_offered_to_drive_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {0: "webcam", 10: "Avatar", 11: "OBS Virtual Camera"}
    there = [CameraInfo(number, name, "v4l2") for number, name in names.items()]
    monkeypatch.setattr("avatar.control.devices.list_cameras", lambda: there)
    assert rig.control.devices.cameras() == list(names.items())
    rig.outputs[:] = ["/dev/video10", "OBS Virtual Camera"]
    assert rig.control.devices.cameras() == [(0, "webcam")]


def test_a_picture_and_the_room_become_backgrounds(rig: Rig, astronaut: U8) -> None:
    green = np.full((100, 100, 3), (0, 180, 0), np.uint8)
    rig.control.set_picture(file_of(green), "green.png").result(20)
    assert rig.control.settings.background == "picture"
    assert rig.frame()[-1, 0].tolist() == [0, 180, 0]
    with pytest.raises(CameraError, match="no camera"):
        rig.control.take_room()
    rig.view.frame = Frame(astronaut, 0, 0)
    with pytest.raises(PictureError, match="shows a face"):
        rig.control.take_room().result(20)
    assert rig.control.settings.background == "picture"
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::40] = stripes[:, 1::40] = 90
    rig.view.frame = Frame(stripes, 1, 1)
    rig.control.take_room().result(20)
    assert rig.control.settings.background == "room"
    assert SettingsFile(rig.folder / "settings.json").load().background == "room"
    with pytest.raises(PictureError, match=r"bad\.png"):
        rig.control.set_picture(b"nothing", "bad.png").result(20)


def test_another_camera_drives(rig: Rig) -> None:
    rig.source()
    rig.control.drive_with(1).result(20)
    assert rig.control.state()["driving"] == "camera 1"
    item = rig.source()
    assert item is not None
    assert item.index == 1


def test_the_camera_that_is_open_is_not_opened_again(rig: Rig) -> None:
    for number in (1, 1, 2, 1):
        rig.control.drive_with(number).result(20)
        rig.control.drive_with(number).result(20)
        rig.source()
    assert [camera.index for camera in rig.cameras] == [1, 2, 1]
    assert [camera.closed for camera in rig.cameras] == [True, True, False]


def test_a_driver_that_hangs_keeps_no_run_from_ending(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, hanging, opened = threading.Event(), threading.Event(), Kept("late")

    def hang(device: str) -> Kept:
        opening.set()
        hanging.wait(20)
        return opened

    monkeypatch.setattr("avatar.control.aside.END_S", 0.2)
    monkeypatch.setattr(
        "avatar.control.devices.virtual_camera_devices", lambda: [VirtualCameraDevice("a", "")]
    )
    monkeypatch.setattr(rig.outlet, "_open", hang)
    sent, waits = rig.control.send_to("a"), rig.control.play(GUEST)
    assert opening.wait(20)
    rig.frame()
    rig.outlet.close()
    rig.source.close()
    rig.control.close()
    assert waits.cancelled()
    assert not sent.done()
    assert rig.control._aside._thread.daemon
    hanging.set()
    with pytest.raises(OutputError, match="the run has ended"):
        sent.result(20)
    assert opened.closed, "what is opened after the end is closed at once"
    assert rig.control.play(GUEST).cancelled()


def test_a_virtual_camera_is_switched_on_and_off(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [VirtualCameraDevice(name, f"{name}'s name") for name in ("a", "b", "busy", "null")]
    monkeypatch.setattr("avatar.control.devices.virtual_camera_devices", lambda: there)
    assert [device for device, _ in rig.control.devices.outlets()] == ["a", "b", "busy"], (
        "not the one in use already"
    )
    rig.frame(0)
    rig.control.send_to("a").result(20)
    rig.frame(1)
    rig.control.send_to("b").result(20)
    rig.frame(2)
    first, second = rig.devices
    assert first.closed
    assert [[frame.index for frame in one.frames] for one in rig.devices] == [[1], [2]]
    assert rig.control.state()["outlet"] == "b"
    second.fails = True
    rig.frame(3)
    assert second.closed
    assert rig.control.state()["outlet"] is None
    for device, words in (("busy", "in use"), ("c", "there is no virtual camera c")):
        with pytest.raises(OutputError, match=words):
            rig.control.send_to(device).result(20)
    rig.control.send_to("a").result(20)
    rig.control.send_to(None).result(20)
    assert rig.devices[-1].closed


def test_who_listens_is_told_until_he_leaves(rig: Rig) -> None:
    told: list[str] = []
    rig.control.listen(told.append)
    rig.control.noted(status())
    rig.control.pause(True)
    rig.control.leave(told.append)
    rig.control.pause(False)
    assert told == ["status", "state"]


def test_what_is_being_done_is_said(rig: Rig) -> None:
    said: list[str | None] = []
    rig.control.listen(lambda what: said.append(rig.control.state()["busy"]))
    rig.control.play(GUEST).result(20)
    rig.control.close()
    assert said[0] == "switch"
    assert said[-1] is None


def test_errors_of_the_system_are_told_as_one_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "avatars")

    monkeypatch.setattr(rig.gallery, "delete", full)
    with pytest.raises(AvatarError, match="avatars: No space left"):
        rig.control.delete("any").result(20)


def test_a_slow_machine_draws_smaller_and_says_so(rig: Rig) -> None:
    for half in range(60):
        rig.control.noted(status(seconds=half / 2, fps=15.0, dropped=8 * half))
        if rig.control.state()["drawn"] < 1:
            break
    rig.control.play(GUEST).result(20)
    assert rig.shares == [1.0, 0.7, 0.7]
    assert rig.control.state()["drawn"] == 0.7


def test_the_state_is_what_the_page_needs(rig: Rig) -> None:
    state = rig.control.state()
    assert state["settings"] == Settings().as_json()
    assert state["backgrounds"] == ["own", "blurred", "colour"]
    assert state["avatars"] == [{"id": GUEST, "name": "astronaut", "kept": False}]
    assert state["driving"] == "a made driver"
    assert state["outputs"] == ["null"]
    assert rig.stage.size == SIZE
    rig.control.end()
    assert rig.ended.is_set()
