"""`avatar publish`: the avatar as a participant of a conference."""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import calling, live, portrait
from avatar.errors import CallError

if TYPE_CHECKING:
    from avatar.call.publish import Conference
    from avatar.cli.arguments import Subparsers

TOKEN = "AVATAR_TOKEN"
"""In the surroundings, where other users of the computer do not see it, as they see command lines."""

EXAMPLES = f"""\
  avatar publish me.avatar --whip https://example.org/whip/room
  {TOKEN}=secret avatar publish me.avatar --whip https://example.org/whip/room
  avatar publish me.avatar --janus http://127.0.0.1:8088/janus --room 1234
  avatar publish me.avatar --whip https://example.org/whip --codec h264 --ice stun:stun.example.org

in the terminal: m + Enter mutes and unmutes, n takes your present face as the calm one, q ends.
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "publish",
        run,
        help="send a portrait into a conference server",
        description="Publish the avatar, and your voice, to a conference server: to any WHIP endpoint, as "
        "many streaming and conference servers have one, or to a room of Janus. When the connection is lost "
        "it is made again. Only sending: take part with your browser to see and hear the others.",
        examples=EXAMPLES,
    )
    shared.add_portrait(parser, optional=True)
    parser.add_argument(
        "--camera",
        default="0",
        metavar="WHICH",
        help="number or name of a webcam, or a video or .motion file (default: %(default)s)",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--whip", metavar="URL", help="a WHIP endpoint")
    where.add_argument("--janus", metavar="URL", help="Janus' HTTP interface; its plugin videoroom is used")
    parser.add_argument("--room", type=int, metavar="N", help="the room of Janus")
    parser.add_argument("--pin", metavar="PIN", help="of the room of Janus")
    parser.add_argument("--display", default="avatar", metavar="NAME", help="shown in the room of Janus")
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        help=f"for WHIP's Bearer, or Janus' API secret; better given as {TOKEN} in the surroundings, since "
        "command lines can be read by others",
    )
    calling.add_options(parser)
    calling.add_stages(parser)


def run(arguments: argparse.Namespace) -> int:
    """Publish until q, Ctrl-C or --seconds; a camera file begins again at its end."""
    arguments.portrait = portrait.which_portrait(arguments.portrait)
    calling.check(arguments)
    if arguments.camera == calling.BROWSER:
        raise CallError("--camera browser goes with 'avatar call'")
    conference = _conference(arguments)
    identity = portrait.open_portrait(arguments.portrait, face=arguments.face)

    from avatar.call.publish import Publisher

    with contextlib.ExitStack() as open_things:
        stages = calling.open_stages(arguments, identity, open_things)
        outputs = open_things.enter_context(contextlib.closing(live.Outputs()))
        publisher = Publisher(conference, calling.ice(arguments), arguments.codec, arguments.quality)
        outputs.add(publisher)
        calling.open_sound(arguments, publisher.sound, open_things)
        summary, status = calling.talk(arguments, stages, publisher, outputs)
    live.tell(summary, as_json=arguments.json)
    return status


def _conference(arguments: argparse.Namespace) -> Conference:
    from avatar.call.janus import Janus
    from avatar.call.whip import Whip

    token = arguments.token or os.environ.get(TOKEN)
    if arguments.whip is not None:
        return Whip(arguments.whip, token)
    if arguments.room is None:
        raise CallError("--janus needs --room N")
    return Janus(arguments.janus, arguments.room, name=arguments.display, secret=token, pin=arguments.pin)
