"""A window with the avatar in it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from avatar.errors import OutputError
from avatar.output.display import missing_display, windows_would_hang
from avatar.records import U8, Frame

_ESC = 27
_INSTEAD = "take --output FILE.mp4 or --output virtualcam instead"


class Window:
    """Shows frames, like a mirror if wanted: people find their way in one. ESC, q or closing it ends the run.

    All calls come from one thread, the main one where the system insists on that (macOS).

    Args:
        title: what the window is called.
        mirror: show the frames mirrored. Only here: other outputs are never mirrored.
        on_key: called with each key pressed, as a character, except those that end the run.
        instead: what an error tells to do.

    Attributes:
        closed: True once the user has closed the window or pressed ESC or q.
        mirror: as above; may be changed at any time.
        as_in_mirror: how a frame is mirrored (H, W, 3), where it is more than turned about.

    Raises:
        OutputError: there is no display.
    """

    constant_rate = False
    main_thread = True

    def __init__(
        self,
        title: str = "avatar",
        *,
        mirror: bool = True,
        on_key: Callable[[str], None] | None = None,
        instead: str = _INSTEAD,
    ) -> None:
        if reason := missing_display():
            raise OutputError(f"no window can be opened: {reason}; {instead}")
        if windows_would_hang():
            raise OutputError("no window can be opened: 'av' was imported before 'cv2', change the order")
        if not cv2.currentUIFramework():
            raise OutputError(f"no window can be opened: this OpenCV was built without windows; {instead}")
        self.closed = False
        self.mirror = mirror
        self.on_key = on_key
        self.as_in_mirror: Callable[[Frame], U8] = _turned
        self.frames = 0
        """Frames shown so far."""
        self._title = title
        self._open = False

    def __call__(self, frame: Frame) -> None:
        """Show one frame and look at the keys.

        Raises:
            OutputError: the window cannot be opened.
        """
        if self.closed:
            return
        picture = cv2.cvtColor(self.as_in_mirror(frame) if self.mirror else frame.rgb, cv2.COLOR_RGB2BGR)
        try:
            self._show(picture)
        except cv2.error as error:
            raise OutputError(f"no window can be shown: {str(error).strip().splitlines()[-1]}") from error

    def close(self) -> None:
        """Take the window away."""
        if self._open:
            self._open = False
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)

    def _is_there(self) -> bool:
        try:
            return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # with Qt, all is gone when the last window is
            return False

    def _show(self, picture: cv2.typing.MatLike) -> None:
        if not self._open:
            # without the last one, Qt's tool bar takes a part of the picture's place
            flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
            cv2.namedWindow(self._title, flags)
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            self._open = True
        cv2.imshow(self._title, picture)
        self.frames += 1
        key = cv2.waitKey(1)
        if not self._is_there():
            self._open = False
            self.closed = True
        elif key in (_ESC, ord("q")):
            self.closed = True
        elif key >= 0 and self.on_key is not None:
            self.on_key(chr(key & 0xFF))


def _turned(frame: Frame) -> U8:
    return np.asarray(cv2.flip(frame.rgb, 1), np.uint8)
