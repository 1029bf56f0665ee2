"""Links to a call: nobody can guess one, one browser can use it, and after a while it is void.

Who takes a link first gets a secret; with it the same browser comes back after a reload or a lost network,
and nobody else comes in. A link counts as taken with the first offer that led to a call, not when its page is
opened: messengers open links to draw a preview of them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias

from avatar.errors import CallError

Role: TypeAlias = Literal["guest", "camera"]
BYTES = 24
"""Length of what cannot be guessed: 192 bits."""


class Standing(StrEnum):
    """What a link is worth to who comes with it."""

    FREE = "free"
    """Nobody has taken it yet."""
    MINE = "mine"
    """It is theirs."""
    TAKEN = "taken"
    """It is somebody else's."""
    EXPIRED = "expired"
    """Nobody took it in time."""


@dataclass(slots=True)
class Invitation:
    """One link."""

    role: Role
    """guest: sees and hears the avatar; camera: drives it."""
    token: str
    """The part of the link that cannot be guessed."""
    expires_at: float
    """When it becomes void unless somebody has taken it [s since 1970]."""
    holder: str | None = None
    """SHA-256 of the secret of who took it."""

    def standing(self, secret: str | None) -> Standing:
        """What it is worth to who comes with `secret`."""
        if self.holder is not None:
            known = secret is not None and secrets.compare_digest(_digest(secret), self.holder)
            return Standing.MINE if known else Standing.TAKEN
        return Standing.FREE if time.time() < self.expires_at else Standing.EXPIRED

    def take(self) -> str:
        """Give it to who comes first; gives the secret for coming back."""
        secret = secrets.token_urlsafe(BYTES)
        self.holder = _digest(secret)
        return secret


def invite(role: Role, seconds: float) -> Invitation:
    """A new link that is good for `seconds`."""
    return Invitation(role, secrets.token_urlsafe(BYTES), time.time() + seconds)


def go_on(kept: list[Invitation], roles: Collection[Role], seconds: float) -> list[Invitation]:
    """A link for each of `roles`, good for `seconds`: that of an earlier call, or a new one if it is void."""
    earlier = {one.role: one for one in kept if one.standing(None) is not Standing.EXPIRED}
    links = [earlier.get(role) or invite(role, seconds) for role in roles]
    for one in links:
        one.expires_at = max(one.expires_at, time.time() + seconds)
    return links


def save(path: Path, invitations: list[Invitation], extra: dict[str, Any]) -> None:
    """Keep links for `load`, and what else is needed to serve them; only the owner can read the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    text = json.dumps({"links": [asdict(one) for one in invitations], **extra})
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def load(path: Path) -> tuple[list[Invitation], dict[str, Any]]:
    """What `save` kept.

    Raises:
        CallError: there is nothing, or it is damaged.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        links = [Invitation(**one) for one in kept.pop("links")]
        if not isinstance(kept["port"], int) or ("certificate" in kept) != ("key" in kept):
            raise ValueError("port or key are missing")
        return links, kept
    except FileNotFoundError:
        raise CallError("there is no earlier call to go on with; leave out --again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallError(
            f"{path} is damaged, the earlier call cannot go on without it; leave out --again ({error})"
        ) from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
