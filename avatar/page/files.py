"""The files of the page, as they lie in the package: nothing is built, nothing comes from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from aiohttp import web

KINDS = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


def file_routes() -> list[web.AbstractRouteDef]:
    """A route for each file, and `/` for the page itself."""
    routes: list[web.AbstractRouteDef] = []
    for file in resources.files("avatar.page").joinpath("static").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            path = "/" if file.name == INDEX else f"/{file.name}"
            routes.append(web.get(path, _answering(file.read_bytes(), kind)))
    return routes


def _answering(content: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return answer
