"""Opens video and sound files, and nothing but them."""

from __future__ import annotations

from pathlib import Path

import av
from av.container import InputContainer

from avatar.errors import VideoError

CONTAINERS = (
    "mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "flv", "asf", "ogg", "gif", "apng", "mxf", "nut",
    "ivf", "dv", "rm", "h264", "hevc", "m4v", "mjpeg", "yuv4mpegpipe",
    "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "ac3", "eac3", "amr", "wv",
)  # fmt: skip
"""FFmpeg's names of what holds its own pictures or sound. Left out is what leads elsewhere, whatever the
file is called: play lists (concat, hls, dash, image2 ...), devices, scripts, text drawn as a picture."""

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}


def open_media(path: Path) -> InputContainer:
    """Open a file for decoding; the caller closes it.

    Raises:
        VideoError: no such file, cut short, or none of `CONTAINERS`.
    """
    if path.is_dir():
        raise VideoError(f"{path}: is a folder, not a video")
    if not path.exists():
        raise VideoError(f"{path}: there is no such file")
    try:
        # the whole path: FFmpeg takes what stands before a colon for a protocol
        return av.open(str(path.resolve()), "r", options=dict(_OPTIONS), metadata_errors="replace")
    except av.error.ArgumentError as error:  # how the list of formats answers
        raise VideoError(f"{path}: is not a video that can be read, or leads to other files") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: is cut short or not a video that can be read: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What FFmpeg says in an error."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
