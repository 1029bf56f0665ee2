"""The camera that drives, and the virtual camera that is fed, as far as they are chosen while a run goes."""

from __future__ import annotations

from typing import Any

from avatar.capture import list_cameras
from avatar.control.parts import Parts
from avatar.errors import OutputError
from avatar.output import virtual_camera_devices


class Devices:
    """Knows what there is, and exchanges what is in use. Opening takes long: it is for a thread aside.

    Args:
        parts: of the run.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._driving = parts.driving
        self.microphone = parts.microphone
        """See `Parts`; empty when its sound has failed."""

    def cameras(self) -> list[tuple[int, str]]:
        """Number and name of each camera of this computer, but for the virtual ones that this run feeds."""
        fed = {*self._parts.outputs, self._parts.outlet.device}
        return [
            (camera.index, camera.name)
            for camera in list_cameras()
            if not fed & {camera.name, f"/dev/video{camera.index}"}
        ]

    def outlets(self) -> list[tuple[str, str]]:
        """Device and name of each virtual camera that this run could be sent to."""
        found = [(one.device, one.name) for one in virtual_camera_devices()]
        return [one for one in found if one[0] not in self._parts.outputs]

    def drive_with(self, camera: int) -> None:
        """Drive with that camera from now on; nothing happens if it is in use already.

        Raises:
            CameraError: it cannot be opened.
        """
        if self._parts.source.camera == camera:
            return
        source = self._parts.open_camera(camera)
        self._parts.source.exchange(source)
        self._driving = getattr(source, "name", "") or f"camera {camera}"

    def send_to(self, device: str | None) -> None:
        """Send the avatar to one of `outlets`, too, or to none of them.

        Raises:
            OutputError: it is none of them, or cannot be opened.
        """
        if device is not None and device not in dict(self.outlets()):
            raise OutputError(f"there is no virtual camera {device} to be used")
        self._parts.outlet.use(device)

    def state(self) -> dict[str, Any]:
        """What is in use, as plain values."""
        return {
            "driving": self._driving,
            "camera": self._parts.view.frame is not None,
            "camera_number": self._parts.source.camera,
            "outputs": list(self._parts.outputs),
            "outlet": self._parts.outlet.device,
            "microphone": self.microphone,
        }
