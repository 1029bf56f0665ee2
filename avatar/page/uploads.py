"""Reading what a browser sends, within limits."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

FILES_MAX = 32
FILE_MAX = 32 * 2**20
"""Longest file [bytes]. How many pixels it may unpack to is looked at by `capture.decode_picture`."""
REQUEST_MAX = 96 * 2**20
"""All files of one request together [bytes]."""
FIELD_MAX = 2_000
JSON_MAX = 10_000
NAME_MAX = 120


@dataclass(slots=True)
class Form:
    """What was sent."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    """The name of each, without folders, and its content."""


async def read_form(request: web.Request) -> Form:
    """The fields and files of a form.

    Raises:
        HTTPBadRequest: it is none.
        HTTPRequestEntityTooLarge: more than the limits.
    """
    if not request.content_type.startswith("multipart/"):
        raise web.HTTPBadRequest(text="pictures are sent as a form")
    form, room = Form(), REQUEST_MAX
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise web.HTTPBadRequest(text="forms within forms are not read")
            if part.filename is None:
                form.fields[(part.name or "")[:NAME_MAX]] = (await _read(part, FIELD_MAX)).decode()
                continue
            if len(form.files) == FILES_MAX:
                raise _too_large(f"at most {FILES_MAX} pictures at a time")
            content = await _read(part, min(FILE_MAX, room))
            room -= len(content)
            form.files.append((_plain(part.filename), content))
    except ValueError as error:  # of broken borders and of text that is none
        raise web.HTTPBadRequest(text=f"the form cannot be read: {error}") from error
    return form


async def read_json(request: web.Request) -> dict[str, Any]:
    """The object that was sent.

    Raises:
        HTTPBadRequest: it is none.
        HTTPRequestEntityTooLarge: it is huge.
    """
    content = bytearray()
    async for piece in request.content.iter_chunked(JSON_MAX):
        content += piece
        if len(content) > JSON_MAX:
            raise _too_large("that is more than can be set")
    try:
        sent = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text="that is no JSON") from error
    if not isinstance(sent, dict):
        raise web.HTTPBadRequest(text="that is no JSON object")
    return sent


async def _read(part: BodyPartReader, most: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(2**16):
        content += chunk
        if len(content) > most:
            raise _too_large(
                f"a picture file has at most {FILE_MAX >> 20} MiB, all together {REQUEST_MAX >> 20}"
            )
    return bytes(content)


def _plain(name: str) -> str:
    """A file name for messages: no folders, no control characters, not endless."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:NAME_MAX] or "picture"


def _too_large(text: str) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(max_size=REQUEST_MAX, actual_size=0, text=text)
