"""Programs for meetings that run in a sandbox, which may hide cameras from them: snaps and flatpaks."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass

from avatar.camera_setup.system import System

SNAPS = {
    "zoom-client": "Zoom",
    "chromium": "Chromium",
    "firefox": "Firefox",
    "brave": "Brave",
    "opera": "Opera",
    "teams-for-linux": "Teams for Linux",
    "discord": "Discord",
    "signal-desktop": "Signal",
    "jitsi-meet-desktop": "Jitsi Meet",
}
"""Name in the store -> the program."""
FLATPAKS = {
    "us.zoom.Zoom": "Zoom",
    "org.chromium.Chromium": "Chromium",
    "com.google.Chrome": "Chrome",
    "org.mozilla.firefox": "Firefox",
    "com.brave.Browser": "Brave",
    "com.microsoft.Edge": "Edge",
    "com.opera.Opera": "Opera",
    "com.github.IsmaelMartinez.teams_for_linux": "Teams for Linux",
    "com.discordapp.Discord": "Discord",
    "com.slack.Slack": "Slack",
    "org.signal.Signal": "Signal",
    "org.jitsi.jitsi-meet": "Jitsi Meet",
}
OLD_ZOOM = "zoom-client"
"""A snap whose users found no camera in it that is one alone (`exclusive_caps`), as Chrome must have it."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """A program that does not see cameras."""

    program: str
    """As "Zoom (snap)"."""
    remedy: str
    """The command that lets it."""


def hidden_cameras(system: System) -> list[Hidden]:
    """The installed programs whose sandbox hides cameras from them."""
    return [*_snaps(system), *_flatpaks(system)]


def has_old_zoom(system: System) -> bool:
    """Whether the snap of Zoom is there."""
    return _has_snap(system, OLD_ZOOM)


def _has_snap(system: System, name: str) -> bool:
    return any(system.path(f"{folder}/{name}").exists() for folder in ("/snap", "/var/lib/snapd/snap"))


def _snaps(system: System) -> Iterator[Hidden]:
    for name, program in SNAPS.items():
        if not _has_snap(system, name):
            continue
        for line in system.ask(["snap", "connections", name]).splitlines():
            # Interface, Plug, Slot, Notes; a slot of "-" is none
            match line.split():
                case ["camera", plug, "-", *_]:
                    yield Hidden(f"{program} (snap)", f"sudo snap connect {plug}")


def _flatpaks(system: System) -> Iterator[Hidden]:
    mine = str(system.home.relative_to(system.root) / ".local/share/flatpak")
    for name, program in FLATPAKS.items():
        for installation in ("/var/lib/flatpak", mine):
            metadata = system.text(f"{installation}/app/{name}/current/active/metadata")
            # the later of these files have the last word
            files = [
                f"{folder}/overrides/{which}"
                for folder in ("/var/lib/flatpak", mine)
                for which in ("global", name)
            ]
            if metadata and not _has_all_devices([metadata, *map(system.text, files)]):
                yield Hidden(f"{program} (flatpak)", f"flatpak override --user --device=all {name}")


def _has_all_devices(files: list[str]) -> bool:
    allowed = False
    for text in files:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        for word in parser.get("Context", "devices", fallback="").split(";"):
            if word in ("all", "!all"):
                allowed = word == "all"
    return allowed
