"""The addresses of this computer, and how they are written in a link."""

from __future__ import annotations

import ipaddress
import socket

import ifaddr

from avatar.errors import ServerError

LOOPBACK = "127.0.0.1"


def own_addresses() -> list[str]:
    """The addresses of all network cards, IPv4 first; loopback and link-local ones left out."""
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not address.is_loopback and not address.is_link_local:
                found.append(address)
    return [str(address) for address in sorted(set(found), key=lambda one: (one.version, int(one)))]


def is_loopback(address: str) -> bool:
    """Whether only this computer can reach `address`."""
    return address == "localhost" or ipaddress.ip_address(address).is_loopback


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
        if port:
            raise ServerError(
                f"cannot listen on {in_url(address)}:{port}: {error.strerror}; take another port"
            ) from error
        raise ServerError(f"cannot listen on {address}: {error.strerror}; there is: {_known()}") from error


def _known() -> str:
    return ", ".join([LOOPBACK, *own_addresses(), "0.0.0.0 (all of them)"])
