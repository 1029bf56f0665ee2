"""`avatar call`: talk as the portrait to somebody who has only a browser."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from avatar.cli import arguments as shared
from avatar.cli import calling, live, portrait
from avatar.errors import CallError, OutputError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame

    from avatar.call import Call, CallOptions
    from avatar.call.by_hand import CallByHand
    from avatar.cli.arguments import Subparsers

DEFAULT_MINUTES = 60.0
STATE = "call.json"

EXAMPLES = """\
  avatar call me.avatar --listen 0.0.0.0         a link and a QR code for others in your network
  avatar call me.avatar                          try it: the link works on this computer only
  avatar call Anna                               an avatar that was made on the control page
  avatar call me.avatar --camera browser --listen 0.0.0.0
                                                 your phone's browser is the camera: a second link
  avatar call me.avatar --listen 0.0.0.0 --ice stun:stun.example.org,turn:me:secret@turn.example.org
                                                 beyond your own network
  avatar call me.avatar --listen 0.0.0.0 --again  the links of the last time
  avatar call me.avatar --paste invitation.html  no server: send the file, paste the answer

in the terminal: m + Enter mutes and unmutes, n takes your present face as the calm one, q ends.
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "call",
        run,
        help="talk as a portrait to somebody who has only a browser",
        description="Print a link. Whoever opens it in a browser sees and hears the avatar, and is seen and "
        "heard here, from computer to computer. A link can be used by one browser and becomes void after a "
        "while. No outside server is asked unless --ice names one; without, both have to be in one network.",
        examples=EXAMPLES,
    )
    shared.add_portrait(parser, optional=True)
    parser.add_argument(
        "--camera",
        default="0",
        metavar="WHICH",
        help="number or name of a webcam, a video or .motion file, or 'browser': another browser is the "
        "camera, by a link of its own (default: %(default)s)",
    )
    door = parser.add_argument_group("who can come in")
    door.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this computer to answer on, 0.0.0.0 for all; HTTPS with a certificate made on the "
        "spot (default: %(default)s, this computer only)",
    )
    door.add_argument(
        "--port", type=shared.whole_number_in(1, 65535), metavar="N", help="(default: a free one)"
    )
    door.add_argument("--name", action="append", metavar="NAME", help="a name of this computer, for the link")
    door.add_argument(
        "--certificate", type=Path, nargs=2, metavar=("CERT", "KEY"), help="PEM files, instead of our own"
    )
    door.add_argument(
        "--plain",
        action="store_true",
        help="HTTP also beyond this computer: whoever is on the way can read and change everything",
    )
    door.add_argument(
        "--expires",
        type=shared.number_in(0.05, 1440),
        default=DEFAULT_MINUTES,
        metavar="MINUTES",
        help="how long a link waits for somebody (default: %(default)g)",
    )
    door.add_argument("--again", action="store_true", help="go on with the links of the last call")
    door.add_argument(
        "--paste", type=Path, metavar="FILE.html", help="no server: write an invitation to be sent as a file"
    )
    calling.add_options(parser)
    parser.add_argument("--speaker", metavar="WHICH", help="plays the guest's sound; 'none' for silence")
    parser.add_argument(
        "--window",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show the guest in a window (default: yes)",
    )
    calling.add_stages(parser)


def run(arguments: argparse.Namespace) -> int:
    """Call until q, Ctrl-C or --seconds; a camera file begins again at its end."""
    arguments.portrait = portrait.which_portrait(arguments.portrait)
    calling.check(arguments)
    if arguments.paste is not None:
        shared.check_output(arguments.paste, [arguments.portrait, Path(arguments.camera)])
    identity = portrait.open_portrait(arguments.portrait, face=arguments.face)

    from avatar.call import BrowserCamera

    with contextlib.ExitStack() as open_things:
        stages = calling.open_stages(arguments, identity, open_things)
        camera = stages.source if isinstance(stages.source, BrowserCamera) else None
        outputs = open_things.enter_context(contextlib.closing(live.Outputs()))
        hear = _open_speaker(arguments, open_things)
        told = sys.stderr if arguments.json else sys.stdout
        call: Call | CallByHand
        if arguments.paste is not None:
            call = _call_by_hand(arguments, hear, outputs, told)
        else:
            call = _serve(arguments, camera, hear, outputs, told)
        if arguments.window:
            _open_window(call.guest_picture, outputs)
        calling.open_sound(arguments, call.sound, open_things, quiet=camera is not None)
        summary, status = calling.talk(arguments, stages, call, outputs)
    live.tell(summary, as_json=arguments.json)
    return status


def _serve(
    arguments: argparse.Namespace,
    camera: object,
    hear: Callable[[AudioFrame], None] | None,
    outputs: live.Outputs,
    told: TextIO,
) -> Call:
    from avatar.call import BrowserCamera, Call

    call = Call(_options(arguments), camera=camera if isinstance(camera, BrowserCamera) else None, hear=hear)
    outputs.add(call)
    _tell_links(call, arguments, told)
    return call


def _options(arguments: argparse.Namespace) -> CallOptions:
    from avatar.call import CallOptions
    from avatar.web.certificate import read_certificate
    from avatar.weights import cache_dir

    return CallOptions(
        listen=arguments.listen,
        port=arguments.port or 0,
        plain=arguments.plain,
        certificate=read_certificate(*arguments.certificate) if arguments.certificate else None,
        names=tuple(arguments.name or ()),
        ice=calling.ice(arguments),
        codec=arguments.codec,
        quality=arguments.quality,
        expires_s=60 * arguments.expires,
        state=cache_dir() / STATE,
        again=arguments.again,
    )


def _tell_links(call: Call, arguments: argparse.Namespace, told: TextIO) -> None:
    """Links, QR codes, and what a person has to know about them."""
    import segno

    from avatar.web.addresses import is_loopback

    what = {"guest": "For your guest", "camera": "For the browser that is your camera"}
    here_only = is_loopback(arguments.listen)
    for link in call.links():
        print(
            f"{what[link.role]}, one browser, within {arguments.expires:g} minutes:\n\n  {link.url}\n",
            file=told,
        )
        if not here_only and told.isatty():
            segno.make(link.url).terminal(out=told, compact=True)
    if here_only:
        print("These links work on this computer only; --listen 0.0.0.0 lets others in.", file=told)
    elif call.certificate is not None and not arguments.certificate:
        print(
            "Browsers will warn: nobody vouches for this computer's certificate. Its SHA-256 fingerprint,\n"
            f"to be compared with what the browser shows:\n\n  {call.certificate.fingerprint}\n",
            file=told,
        )
    elif call.certificate is None:
        print(
            "At risk: without HTTPS, anybody on the way can read the link, take it, and put another page in\n"
            "its place; and browsers do not give a camera or microphone to such a page.",
            file=told,
        )
    if not arguments.ice:
        print("No ICE server is named: the other side has to be in the same network.", file=told)
    told.flush()


def _call_by_hand(
    arguments: argparse.Namespace,
    hear: Callable[[AudioFrame], None] | None,
    outputs: live.Outputs,
    told: TextIO,
) -> CallByHand:
    from avatar.call.by_hand import CallByHand
    from avatar.call.paste import invitation_page, read_answer

    ice = calling.ice(arguments)
    call = CallByHand(ice, arguments.codec, arguments.quality, hear)
    outputs.add(call)
    arguments.paste.write_text(invitation_page(call.offer(), ice), encoding="utf-8")
    print(
        f"Send {arguments.paste} to your guest, who opens it in a browser and sends a text back.\n"
        "Paste that text here, and press Enter:",
        file=told,
        flush=True,
    )
    call.accept(read_answer(sys.stdin))
    return call


def _open_speaker(
    arguments: argparse.Namespace, open_things: contextlib.ExitStack
) -> Callable[[AudioFrame], None] | None:
    if arguments.speaker == "none":
        return None
    from avatar.call.devices import Loudspeaker

    try:
        speaker = Loudspeaker(arguments.speaker)
    except CallError as error:
        if arguments.speaker is not None:
            raise
        print(f"avatar: the guest will not be heard: {error}", file=sys.stderr)
        return None
    open_things.callback(speaker.close)
    return speaker


def _open_window(newest: Callable[[], VideoFrame | None], outputs: live.Outputs) -> None:
    from avatar.call.guest import GuestWindow
    from avatar.output import Window

    try:
        window = Window("avatar call", mirror=False, instead="--no-window does not try")
    except OutputError as error:
        print(f"avatar: the guest will not be shown: {error}", file=sys.stderr)
        return
    outputs.add(GuestWindow(window, newest))
