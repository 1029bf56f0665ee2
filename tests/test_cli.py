"""The command line itself: help, usage errors, error lines, and the examples people will copy."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from avatar import __version__
from avatar.cli import arguments as shared
from avatar.cli import checkup, main
from avatar.errors import AvatarError, OutputError
from avatar.tools import placement

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "enroll", "run", "call", "publish", "animate", "record-motion", "demo", "doctor", "setup-camera",
    "cameras", "fetch-models", "compile", "bench", "train",
)  # fmt: skip

Capture = pytest.CaptureFixture[str]


def status_of(*arguments: str) -> int:
    """Exit status of one call, whether `main` returns it or argparse exits with it."""
    try:
        return main.main(arguments)
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_and_shows_examples(command: str, capsys: Capture) -> None:
    assert status_of(command, "--help") == 0
    text = capsys.readouterr().out
    description, examples = text.split("examples:")
    assert len(description) > 200
    assert re.search(rf"^  (AVATAR_CACHE=\S+ )?avatar {command}( |$)", examples, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 100


def test_help_lists_every_command(capsys: Capture) -> None:
    assert status_of("--help") == 0
    text = capsys.readouterr().out
    listed = re.findall(r"^    ([a-z-]+) {2,}\S", text.split("\ncommands:\n")[1], re.MULTILINE)
    assert listed == list(COMMANDS)


def test_version(capsys: Capture) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"livehead {__version__}\n"


def shown_commands() -> Iterator[str]:
    """Every `avatar ...` of the README and of the help texts, as one shell line each."""
    texts = [(ROOT / "README.md").read_text(encoding="utf-8")]
    parser = main.build_parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts += [command.epilog for command in action.choices.values()]
    texts.append(main.EPILOG)
    for text in texts:
        for line in text.splitlines():
            if found := re.match(r"\s*(?:AVATAR_CACHE=\S+ )?(avatar [a-z].*?)(?:\s{2,}|\s+[#>]|$)", line):
                yield found[1]


def test_every_command_that_we_show_can_be_read() -> None:
    commands = list(shown_commands())
    assert len(commands) > 30
    for command in commands:
        try:
            main.build_parser().parse_args(shlex.split(command)[1:])
        except SystemExit:
            pytest.fail(f"not a command line that works: {command}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("enroll", "PICTURE"),
        ("enroll a.jpg --face 0", "'0' is not between 1 and 99"),
        ("enroll a.jpg --face two", "'two' is not a whole number"),
        ("run a.jpg --generator sketch", "invalid choice: 'sketch'"),
        ("train --out run", "--data"),
        ("train --data clips --out run --size 100", "'100' is not a multiple of 16"),
        ("train --data clips --out run --preset huge", "invalid choice: 'huge'"),
        ("run a.jpg --size 1280", "'1280' is not a size; write it as 1280x720"),
        ("run a.jpg --size 1281x720", "even numbers"),
        ("run a.jpg --size 10x10", "from 64 to 4096"),
        ("run a.jpg --fit stretch", "invalid choice: 'stretch'"),
        ("run a.jpg --seconds soon", "'soon' is not a number"),
        ("run a.jpg --seconds -1", "--seconds"),
        ("run a.jpg --fps nan", "'nan' is not between"),
        ("run a.jpg --head 16", "'16' is not between 128 and 1024"),
        ("animate a.jpg b.mp4", "-o/--output"),
        ("animate a.jpg b.mp4 -o c.mp4 --motion wild", "invalid choice: 'wild'"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told_and_exits_2(
    line: str, told: str, capsys: Capture
) -> None:
    assert status_of(*shlex.split(line)) == 2
    assert told in capsys.readouterr().err


def test_sizes() -> None:
    assert shared.size("1280x720") == (1280, 720)
    assert shared.size("640X480") == (640, 480)


def test_fit_modes_are_those_of_the_compositor() -> None:
    for mode in placement.MODES:
        assert main.build_parser().parse_args(["run", "a.jpg", "--fit", mode]).fit == mode


def test_backends_are_those_of_the_camera() -> None:
    from avatar.capture.camera import BACKENDS

    assert shared.BACKENDS == tuple(BACKENDS)


def test_output_path_is_checked(tmp_path: Path) -> None:
    clip, other = tmp_path / "clip.mp4", tmp_path / "other.mp4"
    clip.write_bytes(b"x")
    other.symlink_to(clip)
    shared.check_output(tmp_path / "new.mp4", [clip])
    with pytest.raises(OutputError, match="also an input"):
        shared.check_output(tmp_path / "." / "clip.mp4", [clip])
    with pytest.raises(OutputError, match="also an input"):
        shared.check_output(other, [clip])
    with pytest.raises(OutputError, match="does not exist"):
        shared.check_output(tmp_path / "nowhere" / "new.mp4", [clip])
    with pytest.raises(OutputError, match="is a folder"):
        shared.check_output(tmp_path, [clip])


class TestErrors:
    """What `main` makes of what a command raises."""

    def call(self, error: BaseException, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
        def run(_: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr("avatar.cli.cameras.run", run)
        return main.main(["cameras", *options])

    def test_our_error_is_one_line(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        assert self.call(AvatarError("the sky\nis  down"), monkeypatch) == 1
        assert capsys.readouterr().err == "avatar: error: the sky is down\n"

    def test_verbose_shows_where_it_came_from(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        assert self.call(AvatarError("the sky is down"), monkeypatch, "--verbose") == 1
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.endswith("avatar: error: the sky is down\n")

    def test_error_of_the_system_names_the_file(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        assert self.call(OSError(28, "No space left on device", "out.mp4"), monkeypatch) == 1
        assert capsys.readouterr().err == "avatar: error: out.mp4: No space left on device\n"

    def test_missing_system_library_is_told_with_the_command(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr("avatar.cli.system_libraries.missing_libraries", lambda: ["libGL.so.1"])
        assert self.call(ImportError("libGL.so.1: cannot open shared object file"), monkeypatch) == 1
        assert "sudo apt-get install libgl1" in capsys.readouterr().err

    def test_ctrl_c_is_clean(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        assert self.call(KeyboardInterrupt(), monkeypatch) == 130
        assert capsys.readouterr().err == "avatar: stopped\n"

    def test_a_bug_is_told_as_one(self, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
        assert self.call(ZeroDivisionError("by nought"), monkeypatch) == 1
        error = "internal error: ZeroDivisionError: by nought (--verbose shows where)"
        assert capsys.readouterr().err == f"avatar: {error}\n"


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe reads differently on Windows")
def test_a_reader_that_goes_away_is_no_error() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "avatar", "doctor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert child.stdout is not None
    child.stdout.close()
    _, err = child.communicate(timeout=120)
    assert err == b""
    assert child.returncode in (1, -signal.SIGPIPE)


def test_requirements_of_the_checkup_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["av<19,>=18", "opencv-contrib-python>=5.0", "torch==2.13.*", 'ruff==0.17.*; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda name: told if name == "livehead" else None)
    assert checkup.requirements() == {
        "av": "av<19,>=18",
        "opencv-contrib-python": "opencv-contrib-python>=5.0",
        "torch": "torch==2.13.*",
    }
    monkeypatch.setattr(checkup, "_version", lambda package: None)
    remedies = {finding.name: finding.remedy for finding in checkup._packages()}
    assert remedies["av"] == 'python -m pip install "av<19,>=18"'


def test_a_program_that_was_never_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    finding = next(iter(checkup._packages()))
    assert (finding.name, finding.state) == ("livehead", "info")
    assert finding.remedy == "python -m pip install ."


def test_the_installed_program_requires_what_the_checkout_does() -> None:
    required = checkup.requirements()
    if not required:
        pytest.skip("the program runs from a checkout, without being installed")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(required) == {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in project["dependencies"]}
