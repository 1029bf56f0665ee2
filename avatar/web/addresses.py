"""The addresses of this computer, and how they are written in a link."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from pathlib import Path

import ifaddr

from avatar.errors import ServerError

LOOPBACK = "127.0.0.1"
ROUTES = Path("/proc/net/route")
INNER = (
    *("docker", "br-", "veth", "virbr", "vmnet", "vmware", "vboxnet", "virtualbox", "vethernet", "hyper-v"),
    *("tun", "tap", "utun", "wg", "zt", "tailscale"),
)
"""How the names of cards begin that are none: networks of virtual machines and containers, and tunnels."""


def own_addresses() -> list[str]:
    """The addresses of all network cards, IPv4 first; loopback and link-local ones left out.

    Of a kind, first that of the card by which this computer reaches others; those of networks within this
    computer, and of tunnels, last.
    """
    way_out = _way_out()
    found: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, tuple[int, bool, bool]] = {}
    for adapter in ifaddr.get_adapters():
        inner = adapter.nice_name.lower().startswith(INNER)
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not address.is_loopback and not address.is_link_local:
                found[address] = (address.version, adapter.name != way_out, inner)
    return [str(address) for address in sorted(found, key=lambda one: (*found[one], int(one)))]


def _way_out() -> str | None:
    """The card of the default route; None: the system does not tell (only Linux does, in a file)."""
    with contextlib.suppress(OSError, ValueError):
        for line in ROUTES.read_text().splitlines()[1:]:
            name, destination = line.split()[:2]
            if int(destination, 16) == 0:
                return name
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this computer, and only it can reach it; no name but localhost is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reachable_as(address: str) -> list[str]:
    """What can stand in links to who listens on `address`: itself, or, for 0.0.0.0 and ::, all there are."""
    parsed = ipaddress.ip_address(address)
    if not parsed.is_unspecified:
        return [address]
    return [*(own for own in own_addresses() if parsed.version == 6 or ":" not in own), LOOPBACK]


def in_url(address: str) -> str:
    """As it stands in a link: an IPv6 address in brackets."""
    return f"[{address}]" if ":" in address else address


def listen(address: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ServerError: no address of this computer, or the port is taken; the message says which.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    except ValueError:
        raise ServerError(f"{address!r} is no address; take one of this computer: {_known()}") from None
    try:
        return socket.create_server((address, port), family=family, backlog=64)
    except OSError as error:
        if port and error.errno != errno.EADDRNOTAVAIL:
            raise ServerError(
                f"cannot listen on {in_url(address)}:{port}: {error.strerror}; take another port"
            ) from error
        raise ServerError(f"cannot listen on {address}: {error.strerror}; there is: {_known()}") from error


def _known() -> str:
    return ", ".join([LOOPBACK, *own_addresses(), "0.0.0.0 (all of them)"])
