"""The command `avatar`: reads the command line, calls one subcommand, turns errors into one line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from avatar import __version__
from avatar.cli import (
    animate,
    bench,
    call,
    cameras,
    compile,
    demo,
    doctor,
    enroll,
    fetch_models,
    publish,
    record_motion,
    run,
    setup_camera,
    system_libraries,
    train,
)
from avatar.cli.arguments import INTERRUPTED, HelpFormatter
from avatar.errors import AvatarError

DESCRIPTION = "One portrait and a webcam: the portrait talks."
EPILOG = """\
start here:
  avatar demo                            see it work, without a camera
  avatar enroll photo.jpg -o me.avatar   make an avatar of a photo
  avatar run me.avatar                   talk as that photo in a video call
  avatar setup-camera                    make the camera that the video call shows
  avatar doctor                          find out what is missing on this computer

'avatar COMMAND --help' explains one command.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; each command sets `run` to its function."""
    parser = argparse.ArgumentParser(
        prog="avatar", description=DESCRIPTION, epilog=EPILOG, formatter_class=HelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"livehead {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        enroll,
        run,
        call,
        publish,
        animate,
        record_motion,
        demo,
        doctor,
        setup_camera,
        cameras,
        fetch_models,
        compile,
        bench,
        train,
    ):
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0 done; 1 an error, told in one line on stderr, also one of the program itself; 2 a command line that
    makes no sense (argparse exits); 130 Ctrl-C.
    """
    arguments = build_parser().parse_args(argv)
    _start_log(verbose=arguments.verbose)
    try:
        status: int = arguments.run(arguments)
        # Here, and not when the interpreter ends: a reader that went away is no error.
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("avatar: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if arguments.verbose:
            traceback.print_exc()
        print(f"avatar: {_told(error, verbose=arguments.verbose)}", file=sys.stderr)
        return 1


def _told(error: Exception, *, verbose: bool) -> str:
    if isinstance(error, AvatarError | ImportError | OSError):
        return f"error: {_one_line(error)}"
    hint = "" if verbose else " (--verbose shows where)"
    return f"internal error: {type(error).__name__}: {_one_line(error)}{hint}"


def _one_line(error: Exception) -> str:
    if isinstance(error, ImportError):
        missing = system_libraries.missing_libraries()
        if missing:
            install = system_libraries.install_line(missing)
            return f"system libraries are missing ({', '.join(missing)}); install them with: {install}"
        return f"the installation is damaged, install the program again: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


class _StderrHandler(logging.Handler):
    """Writes to the standard error of the moment, which tests and the status line may replace."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"avatar: {self.format(record)}", file=sys.stderr)


def _start_log(*, verbose: bool) -> None:
    log = logging.getLogger("avatar")
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    if not any(isinstance(handler, _StderrHandler) for handler in log.handlers):
        log.addHandler(_StderrHandler())


if __name__ == "__main__":
    sys.exit(main())
