"""Every error this program raises on purpose, in one tree.

AvatarError                    one clear line for the person at the terminal
├── PictureError               a portrait that cannot be used
│   ├── NoFaceError
│   └── SeveralFacesError      `.boxes` lists them, so that the caller can ask which
├── VideoError                 a video file that cannot be read or ends early
├── MotionFileError            a .motion file that is corrupt or foreign
├── IdentityFileError          an .avatar file that is corrupt, foreign or too new
├── ModelError                 a model file that is missing or whose hash is wrong
├── CameraError                a camera that is missing, busy or unplugged
│   └── CameraLostError        it was running and stopped; it may come back
├── OutputError                a window, device or file that takes no frames
│   └── VirtualCameraError     no virtual-camera device; the message says how to make one
├── AudioError                 no sound server, or no microphone, for a voice in step
├── ServerError                a page that cannot be served here
└── CallError                  a call that cannot be begun, or that the other side refuses
"""

from __future__ import annotations


class AvatarError(Exception):
    """Base of all errors with a message meant for the user."""


class PictureError(AvatarError):
    """The portrait cannot be used."""


class NoFaceError(PictureError):
    """No face was found where one is needed."""


class SeveralFacesError(PictureError):
    """More than one face was found and none was chosen.

    Attributes:
        boxes: (left, top, width, height) of each face in picture pixels, from left to right.
    """

    def __init__(self, message: str, boxes: list[tuple[int, int, int, int]]) -> None:
        super().__init__(message)
        self.boxes = boxes


class VideoError(AvatarError):
    """A video file cannot be read, or ends before it should."""


class MotionFileError(AvatarError):
    """A motion recording is corrupt or not one."""


class IdentityFileError(AvatarError):
    """An .avatar file is corrupt, not one, or written by a newer version."""


class ModelError(AvatarError):
    """A model file is missing, or its hash is wrong."""


class CameraError(AvatarError):
    """The camera is missing or cannot be opened."""


class CameraLostError(CameraError):
    """The camera was running and stopped giving frames."""


class OutputError(AvatarError):
    """An output does not take frames any more, or never did."""


class VirtualCameraError(OutputError):
    """There is no virtual-camera device that can be used."""


class AudioError(AvatarError):
    """The voice cannot be held in step: there is no sound server, no microphone, or it refuses."""


class ServerError(AvatarError):
    """A page cannot be served: the address is not ours, the port is taken, the certificate is none."""


class CallError(AvatarError):
    """A call cannot be begun, or the other side refuses it."""
