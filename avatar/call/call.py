"""A call: links, the server behind them, and one connection for each link."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiortc import MediaStreamTrack
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from avatar.call import invitation as links
from avatar.call.camera import BrowserCamera
from avatar.call.encoder import picture_track
from avatar.call.feed import Feed
from avatar.call.ice import Ice
from avatar.call.invitation import Invitation, Role
from avatar.call.peer import Peer, Received
from avatar.call.routes import Routes
from avatar.call.sound import Cutter, SoundFeed, SoundTrack, Timeline, mono
from avatar.call.tracks import Codec, Quality
from avatar.errors import CallError
from avatar.records import Frame
from avatar.tools import clock
from avatar.web.addresses import LOOPBACK, is_loopback, listen, reachable_as
from avatar.web.certificate import Certificate, make_certificate
from avatar.web.loop import LoopThread
from avatar.web.server import Place, Server

NAMES: dict[Role, str] = {"guest": "the guest", "camera": "the camera's browser"}
LOUD = ("aiortc", "aioice", "aiohttp.server", "aiohttp.web")
"""Libraries that log each oddity of a peer: what matters of it becomes a line of ours."""
START_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call is made."""

    listen: str = LOOPBACK
    """Address of this computer. Any but a loopback one has to have TLS."""
    port: int = 0
    """0 takes a free one."""
    plain: bool = False
    """HTTP in place of HTTPS beyond this computer: others on the way can then take the link, and the call."""
    certificate: Certificate | None = None
    """For TLS; None makes one."""
    names: tuple[str, ...] = ()
    """Names of this computer besides its addresses, the one for links first."""
    ice: Ice = field(default_factory=Ice)
    codec: Codec = "vp8"
    quality: Quality = "usual"
    """high: encoded here, at up to 6 Mbit/s, see `encoder`."""
    expires_s: float = 3600.0
    """How long a link may wait for somebody."""
    state: Path | None = None
    """Where links are kept, so that a later run can go on with them; None keeps nothing."""
    again: bool = False
    """Go on with the links in `state`."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to be passed on."""

    role: Role
    url: str


class Call:
    """Serves the links of one call, and sends the frames it is given, and `sound`, to who comes.

    An output of the live loop. Its network lives in a thread of its own.

    Args:
        options: how.
        camera: gets the pictures of a browser: then there is a second link, for the person who drives the
            avatar, and that browser's microphone is what the guest hears.
        hear: gets the guest's sound, in the thread of the network; it must not wait.

    Attributes:
        sound: what the guest hears.

    Raises:
        ServerError: the address, the port or the certificate cannot be used.
        CallError: there is no earlier call to go on with.
    """

    constant_rate = False

    def __init__(
        self,
        options: CallOptions,
        *,
        camera: BrowserCamera | None = None,
        hear: Callable[[AudioFrame], None] | None = None,
    ) -> None:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.sound = SoundFeed()
        self._options, self._camera, self._hear = options, camera, hear
        self._peers: dict[str, tuple[str, Peer]] = {}
        self._resting: list[Invitation] = []
        """Links of an earlier call that this one has no use for, kept for the next; they run out."""
        self._guest_picture: VideoFrame | None = None
        port, certificate = options.port, options.certificate
        roles: tuple[Role, ...] = ("guest", "camera") if camera is not None else ("guest",)
        if options.again:
            if options.state is None:
                raise CallError("nothing was kept of an earlier call")
            earlier, extra = links.load(options.state)
            if (listened := extra.get("listen", options.listen)) != options.listen:
                raise CallError(f"the last call's links are at {listened}: add --listen {listened}")
            kept = links.go_on(earlier, roles, options.expires_s)
            resting = [one for one in earlier if one.role not in roles]
            self._resting = [one for one in resting if one.standing(None) is not links.Standing.EXPIRED]
            port = port or extra["port"]
            if "certificate" in extra and certificate is None:
                certificate = Certificate(extra["certificate"].encode(), extra["key"].encode())
        else:
            kept = [links.invite(role, options.expires_s) for role in roles]
        self._invitations = {one.token: one for one in kept}
        sock = listen(options.listen, port)
        names = (*options.names, *reachable_as(options.listen))
        tls = not is_loopback(options.listen) and not options.plain
        self.certificate = (certificate or make_certificate(names)) if tls else None
        self.place = Place(names, sock.getsockname()[1], tls)
        self.taken()
        context = self.certificate.context() if self.certificate is not None else None
        routes = Routes(self, options.ice, tls=tls)
        self._server = Server(routes.all(), self.place, sock, tls=context, programs=True)
        self._loop = LoopThread("call")
        self._feed = Feed(self._loop)
        self._loop.run(self._server.start(), START_S)

    def __call__(self, frame: Frame) -> None:
        """Send a frame to all who are here; never waits."""
        self._feed(frame)

    def links(self) -> list[Link]:
        """The links to pass on."""
        return [Link(one.role, self.place.url(f"/call/{one.token}")) for one in self._invitations.values()]

    def guest_picture(self) -> VideoFrame | None:
        """The newest picture of the guest; None while there is none."""
        return self._guest_picture

    def close(self) -> None:
        """End all connections, and the server."""
        try:
            self._loop.run(self._close(), START_S)
        except TimeoutError:
            _log.warning("the call did not end in order")
        self._loop.close()

    def find(self, token: str) -> Invitation | None:
        """The link with that token."""
        return self._invitations.get(token)

    def taken(self) -> None:
        """Keep the links as they stand now."""
        if self._options.state is None:
            return
        extra: dict[str, object] = {"port": self.place.port, "listen": self._options.listen}
        if self.certificate is not None:
            extra |= {"certificate": self.certificate.chain.decode(), "key": self.certificate.key.decode()}
        links.save(self._options.state, [*self._invitations.values(), *self._resting], extra)

    async def join(self, invitation: Invitation, offer: str) -> tuple[str, str]:
        """Make the connection that an offer asks for; the link's last one ends when that has worked."""
        connection = secrets.token_urlsafe(links.BYTES)
        peer = Peer(
            NAMES[invitation.role],
            self._options.ice,
            self._tracks(invitation.role),
            self._received(invitation.role),
            codec=self._options.codec,
            on_connected=lambda: _log.info("%s is here", NAMES[invitation.role]),
            on_closed=lambda why: self._ended(invitation, connection, why),
        )
        answer = await peer.answer(offer)
        before = self._peers.get(invitation.token)
        self._peers[invitation.token] = (connection, peer)
        if before is not None:
            await before[1].close("came anew")
        return connection, answer

    async def leave(self, invitation: Invitation, connection: str) -> bool:
        """End a connection; False if there is none of that id."""
        there, peer = self._peers.get(invitation.token, ("", None))
        if peer is None or not secrets.compare_digest(there, connection):
            return False
        await peer.close("hung up")
        return True

    def _tracks(self, role: Role) -> list[MediaStreamTrack]:
        # Who sees the picture in a corner of the own screen does not need more of it.
        quality: Quality = self._options.quality if role == "guest" else "usual"
        picture = picture_track(self._feed, self._options.codec, quality)
        return [picture, SoundTrack(self.sound, lambda: self._feed.age_ns)] if role == "guest" else [picture]

    def _received(self, role: Role) -> Received:
        if role == "guest":
            return Received(self._show, self._hear)
        assert self._camera is not None
        cut, even = Cutter(self.sound), Timeline()
        return Received(self._camera.take, lambda frame: cut(mono(frame), even(frame, clock.now_ns())))

    def _show(self, picture: VideoFrame) -> None:
        self._guest_picture = picture

    def _ended(self, invitation: Invitation, connection: str, why: str) -> None:
        _log.info("%s %s", NAMES[invitation.role], why)
        if self._peers.get(invitation.token, ("", None))[0] == connection:
            del self._peers[invitation.token]
            if invitation.role == "guest":
                self._guest_picture = None

    async def _close(self) -> None:
        peers = [peer for _, peer in self._peers.values()]
        await asyncio.gather(*(peer.close("was sent away: the call is over") for peer in peers))
        await self._server.close()
