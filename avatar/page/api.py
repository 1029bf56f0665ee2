"""What the page may ask for and change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from aiohttp import WSCloseCode, web
from aiohttp.typedefs import Handler, Middleware

from avatar.control import Control
from avatar.control.gallery import Entry, jpeg
from avatar.errors import AvatarError, SeveralFacesError
from avatar.page.socket import MESSAGE_MAX, Line
from avatar.page.uploads import read_form, read_json

SNAPSHOT_QUALITY = 95


class Api:
    """The routes under `/api`, for one control. Answers are JSON; errors are told as `{"error": text}`."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lines: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        asked = (
            ("GET", "/api/cameras", self._cameras),
            ("POST", "/api/settings", self._settings),
            ("POST", "/api/pause", self._pause),
            ("POST", "/api/neutral", self._neutral),
            ("POST", "/api/record", self._record),
            ("POST", "/api/avatars", self._enroll),
            ("POST", "/api/keep", self._keep),
            ("POST", "/api/avatars/{id}/play", self._play),
            ("PATCH", "/api/avatars/{id}", self._rename),
            ("DELETE", "/api/avatars/{id}", self._delete),
            ("POST", "/api/background", self._background),
            ("POST", "/api/room", self._room),
            ("POST", "/api/camera", self._camera),
            ("GET", "/api/devices", self._devices),
            ("POST", "/api/output", self._output),
            ("POST", "/api/end", self._end),
        )
        return [
            web.get("/api/socket", self._socket),
            web.get("/api/avatars/{id}/picture", self._thumbnail),
            web.get("/api/snapshot", self._snapshot),
            *(web.route(method, path, _as_json(answer)) for method, path, answer in asked),
        ]

    @property
    def told(self) -> Middleware:
        """Middleware that tells errors meant for the user; others are for who mends the program."""

        @web.middleware
        async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except SeveralFacesError as error:
                return web.json_response({"error": str(error), "faces": len(error.boxes)}, status=422)
            except AvatarError as error:
                return web.json_response({"error": str(error)}, status=422)
            except web.HTTPException as error:
                if error.status < 400 or not request.path.startswith("/api/"):
                    raise
                return web.json_response({"error": error.text}, status=error.status)

        return told

    async def hang_up(self) -> None:
        """End the connections of all pages, which tells them that the run has ended."""
        for line in tuple(self._lines):
            await line.close(code=WSCloseCode.GOING_AWAY)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=MESSAGE_MAX, compress=False)
        await socket.prepare(request)
        self._lines.add(socket)
        try:
            await Line(self._control, socket).serve()
        finally:
            self._lines.discard(socket)
        return socket

    async def _thumbnail(self, request: web.Request) -> web.Response:
        content = await asyncio.to_thread(self._control.thumbnail, request.match_info["id"])
        return web.Response(body=content, content_type="image/jpeg")

    async def _snapshot(self, _: web.Request) -> web.Response:
        picture = self._control.camera_picture()
        content = await asyncio.to_thread(jpeg, picture, SNAPSHOT_QUALITY)
        return web.Response(body=content, content_type="image/jpeg")

    async def _cameras(self, _: web.Request) -> Any:
        cameras = await asyncio.to_thread(self._control.devices.cameras)
        return [{"index": index, "name": name} for index, name in cameras]

    async def _settings(self, request: web.Request) -> Any:
        changes = await read_json(request)
        try:
            await asyncio.to_thread(self._control.change, changes)
        except ValueError as error:
            raise _nonsense(str(error)) from error

    async def _pause(self, request: web.Request) -> Any:
        self._control.pause(_flag(await read_json(request), "paused"))

    async def _neutral(self, _: web.Request) -> Any:
        self._control.set_neutral()

    async def _record(self, request: web.Request) -> Any:
        recording = _flag(await read_json(request), "recording")
        path = await asyncio.to_thread(self._control.record, recording)
        return {"video": str(path) if path else None}

    async def _enroll(self, request: web.Request) -> Any:
        form = await read_form(request)
        name = " ".join(form.fields.get("name", "").split()) or _stem(form.files[0][0] if form.files else "")
        face = form.fields.get("face", "")
        if face and not (face.isascii() and face.isdecimal() and len(face) < 4):
            raise _nonsense("face is the number of one")
        return await _kept(self._control.enroll(form.files, name=name, face=int(face) if face else None))

    async def _keep(self, _: web.Request) -> Any:
        return await _kept(self._control.keep())

    async def _play(self, request: web.Request) -> Any:
        await asyncio.wrap_future(self._control.play(request.match_info["id"]))

    async def _rename(self, request: web.Request) -> Any:
        name = str((await read_json(request)).get("name", ""))
        return await _kept(self._control.rename(request.match_info["id"], name))

    async def _delete(self, request: web.Request) -> Any:
        await asyncio.wrap_future(self._control.delete(request.match_info["id"]))

    async def _background(self, request: web.Request) -> Any:
        form = await read_form(request)
        if len(form.files) != 1:
            raise _nonsense("the background is one picture")
        called, content = form.files[0]
        await asyncio.wrap_future(self._control.set_picture(content, called))

    async def _room(self, _: web.Request) -> Any:
        await asyncio.wrap_future(self._control.take_room())

    async def _camera(self, request: web.Request) -> Any:
        camera = (await read_json(request)).get("camera")
        if not isinstance(camera, int) or isinstance(camera, bool) or not 0 <= camera < 1000:
            raise _nonsense("camera is the number of one")
        await asyncio.wrap_future(self._control.drive_with(camera))

    async def _devices(self, _: web.Request) -> Any:
        devices = await asyncio.to_thread(self._control.devices.outlets)
        return [{"device": device, "name": name} for device, name in devices]

    async def _output(self, request: web.Request) -> Any:
        device = (await read_json(request)).get("device")
        if device is not None and not isinstance(device, str):
            raise _nonsense("device is the name of one, or null")
        await asyncio.wrap_future(self._control.send_to(device))

    async def _end(self, _: web.Request) -> Any:
        self._control.end()


def _as_json(answer: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(await answer(request))

    return handler


async def _kept(future: Future[Entry]) -> Any:
    entry = await asyncio.wrap_future(future)
    return asdict(entry)


def _flag(sent: dict[str, Any], name: str) -> bool:
    value = sent.get(name)
    if not isinstance(value, bool):
        raise _nonsense(f"{name} is true or false")
    return value


def _nonsense(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=text)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name or "avatar"
