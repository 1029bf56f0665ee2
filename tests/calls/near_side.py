"""What the tests of calls start in the near network: the command itself, Janus, coturn."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from avatar.errors import AvatarError
from bench.netns import NEAR, Networks

ROOT = Path(__file__).resolve().parents[2]
ROOM = 1234
QUIET = ("--microphone", "none", "--generator", "warp")


@dataclass
class Command:
    """`avatar ...`, running in the near network; its words are collected in a file."""

    process: subprocess.Popen[bytes]
    words: Path
    links: list[str] = field(default_factory=list)

    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    def wait(self, pattern: str, patience_s: float = 120.0) -> re.Match[str]:
        """Wait until it says something."""
        end = time.monotonic() + patience_s
        while not (found := re.search(pattern, self.said())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise AvatarError(f"{self.process.args!r} did not say {pattern!r} but: {self.said()}")
            time.sleep(0.05)
        return found

    def end(self) -> str:
        """Ctrl-C, and all it said."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return self.said()


@contextlib.contextmanager
def started(
    networks: Networks, words: Path, *arguments: str, to: str | None = None, **surroundings: str
) -> Iterator[Command]:
    """A program in the near network, ended at the end."""
    to_it = subprocess.PIPE if to is not None else subprocess.DEVNULL
    with words.open("wb") as file:
        process = subprocess.Popen(
            [*networks.inside(networks.near), *arguments],
            stdin=to_it, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=os.environ | surroundings,
        )  # fmt: skip
    try:
        yield Command(process, words)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def avatar(
    networks: Networks, words: Path, *arguments: str, to: str | None = None, **surroundings: str
) -> Iterator[Command]:
    """`avatar` with these arguments."""
    command = (sys.executable, "-m", "avatar.cli.main", *arguments)
    with started(networks, words, *command, to=to, **surroundings) as running:
        yield running


@contextlib.contextmanager
def calling(networks: Networks, words: Path, *arguments: str, **surroundings: str) -> Iterator[Command]:
    """`avatar call`, ready to be joined."""
    quiet = ("--speaker", "none", "--no-window", *QUIET)
    with avatar(networks, words, "call", *arguments, *quiet, **surroundings) as command:
        command.wait(r"No ICE server|fps \|")
        command.links = re.findall(r"https://\S+/call/\S+", command.said())
        yield command


@contextlib.contextmanager
def janus(networks: Networks, folder: Path) -> Iterator[str]:
    """Janus with one room; gives its address."""
    modules = next(Path("/usr/lib").glob("*/janus/plugins")).parent
    others = {
        kind: ",".join(path.name for path in (modules / kind).glob("*.so") if keep not in path.name)
        for kind, keep in (("plugins", "videoroom"), ("transports", "_http"))
    }
    (folder / "janus.jcfg").write_text(
        f'general: {{ configs_folder = "{folder}" plugins_folder = "{modules}/plugins" '
        f'transports_folder = "{modules}/transports" events_folder = "{modules}/events" '
        f'loggers_folder = "{modules}/loggers" debug_level = 4 }}\n'
        f'nat: {{ ice_enforce_list = "{NEAR}" }}\n'
        f'plugins: {{ disable = "{others["plugins"]}" }}\n'
        f'transports: {{ disable = "{others["transports"]}" }}\n'
    )
    (folder / "janus.transport.http.jcfg").write_text(
        f'general: {{ json = "compact" base_path = "/janus" http = true port = 8088 ip = "{NEAR}" '
        f"https = false }}\nadmin: {{ admin_http = false }}\n"
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(
        f'room-{ROOM}: {{ description = "test" publishers = 4 bitrate = 2000000 videocodec = "vp8" }}\n'
    )
    with started(networks, folder / "janus.txt", "janus", "-F", str(folder)) as command:
        command.wait(r"HTTP webserver started|Janus is ready|HTTP transport plugin initialized")
        yield f"http://{NEAR}:8088/janus"


@contextlib.contextmanager
def coturn(networks: Networks, folder: Path, certificate: Path | None = None) -> Iterator[None]:
    """A TURN server for ada:secret, for TLS too if there is a certificate with its key in one file."""
    tls = ["--cert", str(certificate), "--pkey", str(certificate)] if certificate else ["--no-tls"]
    with started(
        networks, folder / "coturn.txt", "turnserver", "-n", f"--listening-ip={NEAR}", f"--relay-ip={NEAR}",
        "--lt-cred-mech", "--user=ada:secret", "--realm=test", "--no-cli", "--no-dtls", "--log-file=stdout",
        f"--pidfile={folder / 'coturn.pid'}", "--min-port=50000", "--max-port=50100",
        "--allow-loopback-peers", *tls,
    ) as command:  # fmt: skip
        command.wait(r"admin thread")
        yield
