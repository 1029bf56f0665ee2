"""`avatar doctor`: what was found on this computer, and how to get what is missing."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli.checkup import Finding, examine

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar doctor
  avatar doctor --json > report.json    for a bug report
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "doctor",
        run,
        help="find out what is missing on this computer",
        description="Look for everything the program uses: packages, system libraries, model files, cameras, "
        "virtual cameras and what is known to be in their way, graphics cards. Changes and fetches nothing; "
        "says how to get what is missing.",
        examples=EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per finding; what is missing is no error here."""
    findings = examine()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
        return 0
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            print(f"{topic}:")
        print(_line(finding))
    missing = sum(finding.state == "missing" for finding in findings)
    wrong = sum(finding.state == "wrong" for finding in findings)
    print(f"\n{missing} of {len(findings)} things are missing." if missing else "\nNothing is missing.")
    if wrong:
        print("1 thing is not in order." if wrong == 1 else f"{wrong} things are not in order.")
    return 0


def _line(finding: Finding) -> str:
    mark = f"[{finding.state}]"
    line = f"  {mark:<9} {finding.name}: {finding.text}"
    return f"{line}\n            -> {finding.remedy}" if finding.remedy else line
