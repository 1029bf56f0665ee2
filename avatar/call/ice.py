"""The servers that help two computers to find each other: none unless they are named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCIceTransportPolicy

from avatar.errors import CallError

_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):"
    r"(?:(?P<user>[^:@\s]+):(?P<password>[^@\s]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@?\s\[\]]+)(?::(?P<port>\d{1,5}))?"
    r"(?:\?transport=(?P<transport>udp|tcp))?"
)
HOW = "write stun:HOST[:PORT] or turn:USER:PASSWORD@HOST[:PORT][?transport=tcp]; turns: is TURN over TLS"


@dataclass(frozen=True, slots=True)
class IceServer:
    """One STUN or TURN server."""

    url: str
    """Without name and password."""
    user: str | None = None
    password: str | None = None

    @property
    def relays(self) -> bool:
        """Whether it is TURN."""
        return self.url.startswith("turn")


@dataclass(frozen=True, slots=True)
class Ice:
    """How a way between the two is looked for.

    Without servers the two must reach each other directly: in one network, or where one has a public address.
    """

    servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    """Only by way of the TURN server, so that the two do not learn each other's addresses."""

    def configuration(self) -> RTCConfiguration:
        """For aiortc. The list is always given: without one, aiortc would ask a server of Google's."""
        return RTCConfiguration(
            iceServers=[RTCIceServer(one.url, one.user, one.password) for one in self.servers],
            iceTransportPolicy=RTCIceTransportPolicy.RELAY if self.relay_only else RTCIceTransportPolicy.ALL,
            bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
        )

    def for_browsers(self) -> dict[str, Any]:
        """The same as the argument of a browser's RTCPeerConnection."""
        servers: list[dict[str, str]] = []
        for one in self.servers:
            server = {"urls": one.url}
            if one.user is not None and one.password is not None:
                server |= {"username": one.user, "credential": one.password}
            servers.append(server)
        return {"iceServers": servers, "iceTransportPolicy": "relay" if self.relay_only else "all"}

    def links(self) -> list[str]:
        """The same as values of Link headers, as WHIP and WHEP tell them (RFC 9725, 4.6)."""
        links = []
        for one in self.servers:
            link = f'<{one.url}>; rel="ice-server"'
            if one.user is not None and one.password is not None:
                secret = f'username="{quote(one.user)}"; credential="{quote(one.password)}"'
                link += f'; {secret}; credential-type="password"'
            links.append(link)
        return links


def parse_ice(text: str, *, relay_only: bool = False) -> Ice:
    """Read `--ice`: servers with commas between them.

    Raises:
        CallError: one cannot be read, or there is more than aiortc can use: one STUN and one TURN server.
    """
    servers = tuple(_server(part.strip()) for part in text.split(",") if part.strip())
    for kind, count in (("TURN", sum(one.relays for one in servers)), ("STUN", _stuns(servers))):
        if count > 1:
            raise CallError(f"--ice: one {kind} server can be used, not {count}")
    if relay_only and not any(one.relays for one in servers):
        raise CallError("--relay-only needs a TURN server: --ice turn:USER:PASSWORD@HOST")
    return Ice(servers, relay_only)


def _stuns(servers: tuple[IceServer, ...]) -> int:
    return sum(not one.relays for one in servers)


def _server(text: str) -> IceServer:
    found = _SERVER.fullmatch(text)
    if not found or (found["port"] and not 0 < int(found["port"]) < 65536):
        raise CallError(f"--ice: {_hidden(text)!r} is no server; {HOW}")
    is_turn = found["scheme"].startswith("turn")
    if is_turn and found["user"] is None:
        raise CallError(f"--ice: {text!r} needs a name and a password; {HOW}")
    if not is_turn and (found["user"] or found["transport"]):
        raise CallError(f"--ice: {_hidden(text)!r}: STUN knows neither passwords nor a transport")
    if found["scheme"] == "stuns" or (found["scheme"] == "turns" and found["transport"] == "udp"):
        raise CallError(f"--ice: {_hidden(text)!r}: TLS goes with turns: over tcp only")
    port = f":{found['port']}" if found["port"] else ""
    transport = f"?transport={found['transport']}" if found["transport"] else ""
    url = f"{found['scheme']}:{found['host']}{port}{transport}"
    return IceServer(url, *(unquote(found[part]) if found[part] else None for part in ("user", "password")))


def _hidden(text: str) -> str:
    """What was written, without the password."""
    return re.sub(r":[^:@]+@", ":...@", text)
