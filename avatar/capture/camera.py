"""A webcam, through OpenCV."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import cv2

from avatar.capture.devices import CameraInfo, list_cameras
from avatar.errors import CameraError, CameraLostError
from avatar.records import U8, Frame
from avatar.tools import clock

BACKENDS = {
    "any": cv2.CAP_ANY,
    "v4l2": cv2.CAP_V4L2,
    "dshow": cv2.CAP_DSHOW,
    "msmf": cv2.CAP_MSMF,
    "avfoundation": cv2.CAP_AVFOUNDATION,
}
# not msmf: it takes up to a minute to open some cameras
_USUAL = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}
_ALLOW = {
    "darwin": ", or allow it in System Settings > Privacy & Security > Camera",
    "win32": ", or allow it in Settings > Privacy & security > Camera",
}

LOST_S = 1.0
"""Without a picture for so long, a running camera counts as gone."""
FIRST_PICTURE_S = 5.0
"""How long a camera may take to give its first picture."""
_RETRY_S = 0.02
_DIGITS_MAX = 9
"""Longer numbers are no index, and OpenCV would stumble over them."""
_MANY_PIXELS = 1280 * 720


class Capture(Protocol):
    """What is used of cv2.VideoCapture, under its own names."""

    def isOpened(self) -> bool: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def get(self, prop: int, /) -> float: ...
    def set(self, prop: int, value: float, /) -> bool: ...
    def release(self) -> None: ...


class Camera:
    """A webcam as a source of frames.

    Args:
        source: index, "/dev/video0", or the camera's name or a part of it (case does not matter).
        backend: one of BACKENDS; None is the usual one of the system.
        size: (width, height) to ask for; the camera may give another. None leaves it to the camera.
        fps: frame rate to ask for; likewise.
        open_capture: opens (index, OpenCV's number of the backend).
        cameras: lists what there is.

    Attributes:
        fps: as the camera says, or what was asked for, or 30.
        size: (width, height) of the pictures it gives.
        name: as the system shows it, or "camera N".
        index: what OpenCV opens it by; another one, perhaps, after it was lost.

    Raises:
        CameraError: no such camera, or it is busy or gives no picture; the message lists what there is.
    """

    def __init__(
        self,
        source: int | str = 0,
        *,
        backend: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        open_capture: Callable[[int, int], Capture] = cv2.VideoCapture,
        cameras: Callable[[], Sequence[CameraInfo]] = list_cameras,
    ) -> None:
        if backend is not None and backend not in BACKENDS:
            raise CameraError(f"there is no camera backend {backend!r}, choose one of {', '.join(BACKENDS)}")
        # OpenCV tells every failed attempt to the terminal; here it becomes one error
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._source = source
        self._backend = backend or _USUAL.get(sys.platform, "any")
        self._wanted_size, self._wanted_fps = size, fps
        self._open_capture, self._cameras = open_capture, cameras
        self._lock = threading.Lock()
        self._closed = False
        self._info: CameraInfo | None = None
        self._twins: frozenset[int] = frozenset()
        self._frames = 0
        self.name = ""
        self.index = -1
        self.fps = fps or 30.0
        self.size = size or (0, 0)
        self._capture: Capture | None = self._open()

    def __call__(self) -> Frame | None:
        """Wait for the next picture. `captured_ns` is when the driver gave it; None once closed.

        Raises:
            CameraLostError: no picture for LOST_S. The device is released; `reopen` takes it up again.
        """
        with self._lock:
            if self._capture is None:
                return None
            found = _read(self._capture, LOST_S)
            if found is None or self._closed:
                self._release()
            if self._closed:
                return None
            if found is None:
                raise CameraLostError(f"{self.name} gives no pictures any more, was it unplugged?")
        rgb, captured_ns = found
        self.size = (rgb.shape[1], rgb.shape[0])
        self._frames += 1
        return Frame(rgb, self._frames - 1, captured_ns)

    def reopen(self) -> None:
        """Take the camera up again after it was lost; it may have another index now. Numbers go on.

        Never another camera, which may look elsewhere, and none at all once this was closed.

        Raises:
            CameraError: it is not back yet.
        """
        with self._lock:
            self._release()
        if self._closed:
            return
        capture = self._open()
        with self._lock:
            self._capture = capture
            if self._closed:  # while it was being opened
                self._release()

    def close(self) -> None:
        """Release the device, for good.

        A driver that hangs in a read is not waited for: the reader releases the device when it comes back.
        """
        self._closed = True
        if self._lock.acquire(timeout=LOST_S + 0.5):
            try:
                self._release()
            finally:
                self._lock.release()

    def _release(self) -> None:
        """Let go of the device; the lock is held."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _open(self) -> Capture:
        self.index = index = self._find()
        self.name = self._info.name if self._info else f"camera {index}"
        capture = self._open_capture(index, BACKENDS[self._backend])
        found = None
        if capture.isOpened():
            self._ask_for(capture)
            found = _read(capture, FIRST_PICTURE_S)
        if found is None:
            capture.release()
            raise CameraError(self._refusal(index))
        self.size = (found[0].shape[1], found[0].shape[0])
        told = capture.get(cv2.CAP_PROP_FPS)
        self.fps = told if 1 <= told <= 240 else self._wanted_fps or 30.0
        return capture

    def _find(self) -> int:
        """Index of the camera; keeps what is known of it, once its name is known."""
        known = list(self._cameras())
        if self._info is not None:
            self._info = _again(self._info, self._twins, known)
            return self._info.index
        text = str(self._source).strip().removeprefix("/dev/video")
        if text.isdecimal() and len(text) <= _DIGITS_MAX:
            index = int(text)
            self._info = next((camera for camera in known if camera.index == index), None)
        else:
            self._info = _by_name(text, known)
            index = self._info.index
        if self._info is not None:
            self._twins = frozenset(
                camera.index for camera in known if camera.name == self._info.name and camera.index != index
            )
        return index

    def _ask_for(self, capture: Capture) -> None:
        """Pass on the wishes. The order matters: the format limits the sizes, the size limits the rates."""
        if self._wanted_size:
            width, height = self._wanted_size
            if width * height >= _MANY_PIXELS and self._backend in ("v4l2", "dshow"):
                # uncompressed, USB 2 has room for some 10 fps of these
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if self._wanted_fps:
            capture.set(cv2.CAP_PROP_FPS, self._wanted_fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _refusal(self, index: int) -> str:
        """Why the camera could not be opened, in one line."""
        known = list(self._cameras())
        if known and all(camera.index != index for camera in known):
            return f"there is no camera {index}; {_there_is(known)}"
        device = f"/dev/video{index}"
        if sys.platform == "linux":
            if not os.path.exists(device):
                return f"there is no camera {index}; {_there_is(known)}"
            if not os.access(device, os.R_OK | os.W_OK):
                return f"{device} may not be used: 'sudo usermod -aG video $USER', then log in again"
        hint = _ALLOW.get(sys.platform, "")
        return f"camera {index} cannot be used, another program may have it: close that first{hint}; " + (
            _there_is(known)
        )


def _read(capture: Capture, patience_s: float) -> tuple[U8, int] | None:
    """The next picture as RGB and its time stamp, or None if there is none for `patience_s`."""
    deadline = clock.now_ns() + round(patience_s * 1e9)
    while True:
        if capture.grab():
            captured_ns = clock.now_ns()
            good, picture = capture.retrieve()
            if good and picture is not None and picture.size:
                return _to_rgb(picture), captured_ns
        if clock.now_ns() >= deadline:
            return None
        clock.sleep(_RETRY_S)


def _to_rgb(picture: Any) -> U8:
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    code = {1: cv2.COLOR_GRAY2RGB, 4: cv2.COLOR_BGRA2RGB}.get(channels, cv2.COLOR_BGR2RGB)
    rgb: U8 = cv2.cvtColor(picture, code)
    return rgb


def _again(info: CameraInfo, twins: frozenset[int], known: Sequence[CameraInfo]) -> CameraInfo:
    """The camera that was lost, wherever it is now.

    Args:
        info: as it was.
        twins: indexes of other cameras that had the same name then.
        known: what there is now.
    """
    same = [camera for camera in known if camera.name == info.name]
    if len(same) <= len(twins):
        raise CameraError(f"{info.name} is not back; {_there_is(known)}")
    return min(same, key=lambda camera: (camera.index != info.index, camera.index in twins, camera.index))


def _by_name(text: str, known: Sequence[CameraInfo]) -> CameraInfo:
    wanted = text.casefold()
    fitting = [camera for camera in known if camera.name.casefold() == wanted]
    if not fitting and wanted:
        fitting = [camera for camera in known if wanted in camera.name.casefold()]
    if len(fitting) > 1:
        raise CameraError(f"several cameras are called {text!r}, choose a number; {_there_is(known)}")
    if not fitting:
        raise CameraError(f"there is no camera {text!r}; {_there_is(known)}")
    return fitting[0]


def _there_is(known: Sequence[CameraInfo]) -> str:
    if not known:
        return "no camera was found; plug one in, or name a video file"
    return "found: " + ", ".join(f"{camera.index} ({camera.name})" for camera in known)
