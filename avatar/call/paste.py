"""A call without a server: an invitation as one file, and an answer as text that people send each other."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable
from typing import Any

from avatar.call.ice import Ice
from avatar.call.offers import MOST_BYTES
from avatar.call.routes import page_part
from avatar.errors import CallError

PREFIX = "avatar1:"
"""Before a packed description; a full stop ends it."""
_MOST_TEXT = 3 * MOST_BYTES


def invitation_page(offer: str, ice: Ice) -> str:
    """The page of a call with everything in it, the offer too: it can be opened without any network."""
    setup = {"role": "guest", "ice": ice.for_browsers(), "offer": {"type": "offer", "sdp": offer}}
    signal = page_part("signal.js").replace("export ", "")
    script = signal + "\n" + re.sub(r"^import .*$", "", page_part("call.js"), flags=re.MULTILINE)
    page = page_part("call.html")
    page = page.replace(
        '<link rel="stylesheet" href="/page/call.css">', f"<style>\n{page_part('call.css')}</style>"
    )
    inside = json.dumps(setup).replace("<", "\\u003c")
    return page.replace(
        '<script type="module" src="/page/call.js"></script>',
        f'<script type="application/json" id="setup">{inside}</script>\n'
        f'<script type="module">\n{script}</script>',
    )


def read_answer(lines: Iterable[str]) -> str:
    """The SDP of an answer that was pasted, over as many lines as it takes; what stands before is skipped.

    Raises:
        CallError: the input ended without one, or it is damaged.
    """
    text = ""
    for line in lines:
        text += "".join(line.split())
        begin = text.find(PREFIX)
        if begin < 0:
            text = text[-len(PREFIX) :]
        elif (end := text.find(".", begin)) >= 0:
            return unpack(text[begin : end + 1])
        elif len(text) > _MOST_TEXT:
            raise CallError("what was pasted is too long for an answer")
    raise CallError(f"no answer was pasted; it begins with {PREFIX} and ends with a full stop")


def pack(description: dict[str, Any]) -> str:
    """A description as text, as the page packs its answer."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(json.dumps(description).encode()) + packer.flush()
    return PREFIX + base64.b64encode(packed).decode() + "."


def unpack(text: str) -> str:
    """The SDP of an answer that was packed; CallError if it is none."""
    try:
        packed = base64.b64decode(text.removeprefix(PREFIX).removesuffix("."), validate=True)
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpacker.decompress(packed, _MOST_TEXT)
        found = json.loads(data)
        if found["type"] != "answer" or not isinstance(found["sdp"], str):
            raise CallError("that is no answer to this call")
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise CallError(
            "what was pasted is damaged; copy all of it, from avatar1: to the full stop"
        ) from error
    sdp: str = found["sdp"]
    return sdp
