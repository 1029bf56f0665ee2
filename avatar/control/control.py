"""The state of a run, and all that may be changed while it goes. Whatever takes long is done aside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias

from avatar.capture import decode_picture
from avatar.control.aside import Aside
from avatar.control.devices import Devices
from avatar.control.driver_view import DriverView
from avatar.control.gallery import GUEST, Entry
from avatar.control.parts import Parts
from avatar.control.preview import Preview
from avatar.control.settings import BACKGROUNDS, RANGES, Settings
from avatar.errors import AvatarError, CameraError, IdentityFileError, OutputError, PictureError
from avatar.live import Status
from avatar.pipeline import add_pictures, enroll_picture, with_conditioning
from avatar.records import U8, Identity
from avatar.retarget import Tuning

VIEWS_MAX = 32

Listener: TypeAlias = Callable[[Literal["state", "status"]], None]

_log = logging.getLogger(__name__)


class Control:
    """Changes a run while it goes; everything may be called from any thread.

    What takes long is given back as a future, which raises an AvatarError that is meant for the user.

    Args:
        parts: of the run.
        identity: who plays at the beginning.
        avatar: the id of that one in the gallery.
        settings: as of the beginning; those that were saved unless told.
        told: what went wrong before the beginning, if something did.

    Attributes:
        devices: the camera and the virtual camera that are in use, and those that could be.
    """

    def __init__(
        self,
        parts: Parts,
        identity: Identity,
        avatar: str = GUEST,
        settings: Settings | None = None,
        told: str | None = None,
    ) -> None:
        self.devices = Devices(parts)
        self._parts = parts
        self._identity = identity
        self._avatar = avatar
        self._settings = settings or parts.saved.load()
        self._status: Status | None = None
        self._told = told
        self._listeners: tuple[Listener, ...] = ()
        self._lock = threading.RLock()
        self._aside = Aside(self._tell_listeners)
        self._redress: Future[None] | None = None
        self._apply()

    @property
    def preview(self) -> Preview:
        """The avatar."""
        return self._parts.preview

    @property
    def view(self) -> DriverView:
        """The driver."""
        return self._parts.view

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self._settings

    @property
    def status(self) -> Status | None:
        """How the run goes; None before it is known."""
        return self._status

    def listen(self, listener: Listener) -> None:
        """Call `listener`, in any thread, with the name of what may have changed: `state` or `status`."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def leave(self, listener: Listener) -> None:
        """Call it no more."""
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one != listener)

    def state(self) -> dict[str, Any]:
        """All that the page shows, as plain values."""
        entries = [asdict(entry) for entry in self._parts.gallery.entries()]
        with self._lock:
            recording = self._parts.recorder.path
            return {
                "avatar": self._avatar,
                "avatars": entries,
                "settings": self._settings.as_json(),
                "ranges": {name: list(limits) for name, limits in RANGES.items()},
                "backgrounds": [name for name in BACKGROUNDS if self._parts.backdrops.has(name)],
                "paused": self._parts.stage.paused,
                "recording": str(recording) if recording else None,
                "busy": self._aside.busy,
                **self.devices.state(),
                "drawn": self._parts.pace.share,
                "told": self._told,
            }

    def noted(self, status: Status) -> None:
        """Take note of how the run goes."""
        self._status = status
        if self._parts.pace.noted(status, busy=self._aside.busy is not None):
            self.renew()
        for listener in self._listeners:
            listener("status")

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings, and remember them.

        Raises:
            ValueError: there is no such setting, or it cannot have that value.
            OutputError: they cannot be saved; they count nevertheless.
        """
        with self._lock:
            before, self._settings = self._settings, self._settings.changed(changes)
            after = self._settings
            self._apply()
            if (before.background, before.colour) != (after.background, after.colour):
                self._dress_again()
        self._tell_listeners()
        try:
            self._parts.saved.save(changes)
        except OSError as error:
            raise OutputError(f"the settings cannot be saved: {error.strerror or error}") from error

    def pause(self, paused: bool) -> None:
        """Show the card in place of the avatar, or the avatar again."""
        self._parts.stage.paused = paused
        self._tell_listeners()

    def set_neutral(self) -> None:
        """Take the driver's face for his calm one.

        Raises:
            CameraError: no face is seen.
        """
        if self._status is not None and not self._status.face:
            raise CameraError("no face is seen; look into the camera and try again")
        self._parts.stage.set_neutral()

    def record(self, recording: bool) -> Path | None:
        """Begin a video, or end it; the video's place.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            return self._parts.recorder.start() if recording else self._parts.recorder.stop()
        finally:
            self._tell_listeners()

    def output_failed(self, reason: str) -> None:
        """Something takes no more of what this run gives."""
        self._told = reason
        self._tell_listeners()

    def sound_failed(self, reason: str) -> None:
        """There is no voice in step with the picture any more."""
        self.devices.microphone = ""
        self.output_failed(reason)

    def end(self) -> None:
        """End the run."""
        self._parts.end()

    def thumbnail(self, avatar: str) -> bytes:
        """A small JPEG of an avatar; raises IdentityFileError if there is none."""
        return self._parts.gallery.thumbnail(avatar)

    def play(self, avatar: str) -> Future[None]:
        """Let another avatar play, once it is ready."""

        def play() -> None:
            identity = self._parts.gallery.load(avatar)
            self._put_on(identity)
            with self._lock:
                self._identity, self._avatar = identity, avatar
            self._remember(avatar)

        return self._aside.do("switch", play)

    def renew(self) -> None:
        """Make who plays anew, and let that one go on."""
        self._aside.do("renew", lambda: self._put_on(self._identity)).add_done_callback(self._log_failure)

    def enroll(self, pictures: Sequence[tuple[str, bytes]], *, name: str, face: int | None) -> Future[Entry]:
        """Make an avatar of pictures, the first of which is the one that moves, and keep it.

        Args:
            pictures: what each is called, and the content of its file; one is unpacked at a time.
            name: how the avatar is called.
            face: which face of the first picture, from the left; None if there is only one.
        """

        def make() -> Entry:
            if not 1 <= len(pictures) <= VIEWS_MAX:
                raise PictureError(f"an avatar is made of 1 to {VIEWS_MAX} pictures, not {len(pictures)}")
            unpacked = ((called, decode_picture(content, called)) for called, content in pictures)
            identity = enroll_picture(next(unpacked)[1], name=name, face=face)
            if len(pictures) > 1:
                identity = add_pictures(identity, unpacked)
            return self._parts.gallery.add(with_conditioning(identity))

        return self._aside.do("enroll", make)

    def keep(self) -> Future[Entry]:
        """Take the avatar of the command line into the gallery."""

        def keep() -> Entry:
            entry = self._parts.gallery.keep()
            with self._lock:
                if self._avatar == GUEST:
                    self._avatar = entry.id
            self._remember(entry.id)
            return entry

        return self._aside.do("keep", keep)

    def rename(self, avatar: str, name: str) -> Future[Entry]:
        """Give an avatar another name."""
        return self._aside.do("rename", lambda: self._parts.gallery.rename(avatar, name))

    def delete(self, avatar: str) -> Future[None]:
        """Delete an avatar for good, unless it plays."""

        def delete() -> None:
            if avatar == self._avatar:
                raise IdentityFileError("this avatar plays now; choose another one before you delete it")
            self._parts.gallery.delete(avatar)

        return self._aside.do("delete", delete)

    def set_picture(self, content: bytes, called: str) -> Future[None]:
        """Take the content of a picture file for the background; `called` names it in errors."""
        return self._aside.do("background", lambda: self._stored("picture", decode_picture(content, called)))

    def take_room(self) -> Future[None]:
        """Take what the camera sees now for the background, if nobody is in it.

        Raises:
            CameraError: no camera is in use.
        """
        picture = self.camera_picture()
        return self._aside.do("background", lambda: self._stored("room", picture))

    def camera_picture(self) -> U8:
        """What the camera sees now, (H, W, 3).

        Raises:
            CameraError: no camera is in use.
        """
        frame = self._parts.view.frame
        if frame is None:
            raise CameraError("no camera is in use")
        return frame.rgb

    def send_to(self, device: str | None) -> Future[None]:
        """Send the avatar to one of `devices.outlets`, too, or to none of them."""
        return self._aside.do("output", lambda: self.devices.send_to(device))

    def drive_with(self, camera: int) -> Future[None]:
        """Drive with that camera from now on."""
        return self._aside.do("camera", lambda: self.devices.drive_with(camera))

    def close(self) -> None:
        """Wait for what is being done aside."""
        self._aside.close()

    def _apply(self) -> None:
        """Let the settings that take no time count."""
        settings, parts = self._settings, self._parts
        parts.stage.tuning = Tuning(settings.strength, settings.smoothing, settings.reach, settings.alive)
        parts.stage.badge = settings.badge
        for shows in (parts.preview, *parts.windows):
            shows.mirror = settings.mirror

    def _dress_again(self) -> None:
        """Put the background on, once for all changes that come before it is done."""
        if self._redress is None or self._redress.running() or self._redress.done():
            self._redress = self._aside.do("background", lambda: self._put_on(self._identity))
            self._redress.add_done_callback(self._log_failure)

    def _remember(self, avatar: str) -> None:
        """Let the next run begin with that one, unless it is a guest."""
        if avatar != GUEST:
            changes = {"avatar": avatar}
            with self._lock:
                self._settings = self._settings.changed(changes)
            self._parts.saved.save(changes)

    def _stored(self, background: str, picture: U8) -> None:
        """Keep a background and use it."""
        self._parts.backdrops.store(background, picture)
        changes = {"background": background}
        with self._lock:
            self._settings = self._settings.changed(changes)
        self._put_on(self._identity)
        self._parts.saved.save(changes)

    def _put_on(self, identity: Identity) -> None:
        """Let `identity` play before the background of the settings."""
        dressed = self._parts.backdrops.dressed(identity, self._settings)
        cast = self._parts.make(dressed, self._parts.pace.share)
        cast.rehearse()
        self._parts.stage.exchange(cast)

    def _log_failure(self, future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._told = str(error)
            _log.warning("%s", error, exc_info=None if isinstance(error, AvatarError) else error)
            self._tell_listeners()

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener("state")
