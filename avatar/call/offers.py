"""Looks at an SDP before aiortc does: what no honest browser sends is refused here, in words of ours."""

from __future__ import annotations

import re

from avatar.errors import CallError

MOST_BYTES = 32 * 1024
MOST_MEDIA = 3
"""Sound, picture, and a data channel that we do not use."""
MOST_CANDIDATES = 64
"""Each is an address that we would send to."""
_LONGEST_LINE = 4096


def check_sdp(text: str) -> set[str]:
    """Look at an SDP; gives the kinds of media in it: audio, video, application.

    Raises:
        CallError: it is no SDP, or none of a size that a browser would make.
    """
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise CallError(f"the SDP is larger than {MOST_BYTES // 1024} KiB")
    lines = text.splitlines()
    if not lines or lines[0] != "v=0":
        raise CallError("that is no SDP")
    if any(len(line) > _LONGEST_LINE or not re.match(r"[a-z]=", line) for line in lines if line):
        raise CallError("the SDP has a line that is none")
    media = [line.split()[0].removeprefix("m=") for line in lines if line.startswith("m=")]
    if not media or len(media) > MOST_MEDIA or {*media} - {"audio", "video", "application"}:
        raise CallError(f"the SDP has to name sound and picture, {MOST_MEDIA} media at most")
    if len(media) != len({*media}):
        raise CallError("the SDP names one kind of medium twice")
    if sum(line.startswith("a=candidate:") for line in lines) > MOST_CANDIDATES * len(media):
        raise CallError("the SDP has too many candidates")
    for needed in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(needed) for line in lines):
            raise CallError(f"the SDP has no {needed[2:-1]}")
    return {*media}
