"""How good the avatar looks: a person drives his own picture, and the result is compared with what he did.

    python -m bench.quality --clips DIR [--people A,B] [--shots 1] [--limit N] [--frames 40]
        [--generator live] [--weights FILE] [--finetune] [--cross PORTRAITS] [--threads 2]
        [--sheet OUT.png] [--csv OUT.csv]

Pictures of the first half of each clip are moved as the person moves in its second half: by the generator
(`model`), by the generator adapted to those pictures (`finetuned`, if asked for), by the geometric warp alone
(`warp_only`), and not at all (`copy`: the still picture). The last line of standard output is one JSON
document; `bench/README.md` defines its figures. A clip that cannot be used is told and skipped; the exit
status is 1 when none could be.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError, ModelError
from avatar.generate import NetworkGenerator, open_generator, open_networks
from avatar.runtime import PLAIN, Wanted
from avatar.tools import clock
from avatar.train.data.layout import Clip, clips_of
from avatar.train.finetune import finetune
from avatar.train.pretrained import load_identity, load_perceptual
from avatar.train.step import Judges as Teachers
from bench import comparison_sheet, cross_driving, machine, scores
from bench.judges import Judges, open_judges
from bench.quality_report import Found, Row, report, table, write_csv
from bench.self_driving import SIDE, SIZE, Open, follow, play


def measure(
    clips: Sequence[Clip],
    methods: Mapping[str, Open],
    judges: Judges,
    *,
    shots: int,
    frames: int,
    pictures: Path | None = None,
    with_strips: bool = False,
) -> Found:
    """Measure clip by clip, telling the terminal.

    Args:
        clips: what to measure on.
        methods: generators by name.
        judges: who looks at the pictures.
        shots: pictures of each person.
        frames: compared frames of each clip.
        pictures: folder of pictures to be driven by the clips as well.
        with_strips: keep examples for the sheet.

    Raises:
        ModelError: a model file cannot be had.
        PictureError: there is no folder `pictures`.
    """
    start_ns = clock.now_ns()
    found = Found()
    portraits: list[cross_driving.Portrait] = []
    if pictures is not None:
        portraits, found.skipped = cross_driving.open_portraits(pictures, judges)
        _say(*(f"skipped: {name}: {reason}" for name, reason in found.skipped.items()))
    for number, clip in enumerate(clips, start=1):
        begin_ns = clock.now_ns()
        try:
            driver = follow(clip, judges.track, shots=shots, frames=frames)
            played = play(driver, judges.segment, methods)
        except ModelError:
            raise
        except (AvatarError, OSError) as error:
            found.skipped[clip.name] = str(error)
            _say(f"skipped: {clip.name}: {error}")
            continue
        judged = scores.judge(played, judges)
        found.rows += [
            Row(
                clip.name,
                clip.person,
                name,
                asdict(one),
                frames=len(played.landmarks),
                unseen=judged.unseen,
                akd_floor=judged.akd_floor,
            )
            for name, one in judged.scores.items()
        ]
        if with_strips:
            found.strips += comparison_sheet.rows_of(played, list(methods))
        for portrait in portraits:
            driven = cross_driving.drive(portrait, driver, judged.faces, judges, methods)
            found.cross += [
                Row(clip.name, clip.person, name, asdict(one), picture=portrait.name)
                for name, one in driven.items()
            ]
        took = (clock.now_ns() - begin_ns) / 1e9
        _say(_line(f"{number}/{len(clips)} {clip.name}", judged.scores, took))
    found.seconds = (clock.now_ns() - start_ns) / 1e9
    return found


def _line(what: str, judged: Mapping[str, scores.Scores], seconds: float) -> str:
    parts = [f"{name} l1 {one.l1:.2f} akd {_short(one.akd)}" for name, one in judged.items()]
    return f"{what}: {', '.join(parts)} ({seconds:.1f} s)"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    count = shared.whole_number_in(1, 10_000)
    parser.add_argument(
        "--clips", type=Path, required=True, metavar="DIR", help="clips; PERSON-1.mp4, or a folder a person"
    )
    parser.add_argument(
        "--shots", type=shared.whole_number_in(1, 32), default=1, metavar="K", help="pictures of each person"
    )
    parser.add_argument("--people", metavar="A,B", help="only the clips of these people")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N clips")
    parser.add_argument(
        "--frames", type=count, default=40, metavar="N", help="compared frames of each clip (default: 40)"
    )
    parser.add_argument(
        "--generator",
        choices=shared.GENERATORS,
        default="live",
        help="what draws `model` (default: live); warp: nothing",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="its networks (default: the shipped ones)"
    )
    parser.add_argument(
        "--finetune",
        action="store_true",
        help="adapt the networks to each clip's pictures, too (minutes each; not with --cross)",
    )
    shared.add_runtime(parser)
    parser.set_defaults(runtime="torch")
    parser.add_argument(
        "--also",
        type=runtime_of,
        action="append",
        default=[],
        metavar="RUNTIME:PRECISION",
        help="let another runtime draw the same, too: openvino:bf16, ...; may be given several times",
    )
    parser.add_argument(
        "--cross", type=Path, metavar="PORTRAITS", help="drive each picture of this folder by each clip, too"
    )
    parser.add_argument(
        "--threads",
        type=shared.whole_number_in(1, 64),
        default=2,
        metavar="N",
        help="of the networks (default: 2); 1 where other programs are at work",
    )
    parser.add_argument("--sheet", type=Path, metavar="OUT.png", help="write examples to look at here")
    parser.add_argument("--csv", type=Path, metavar="OUT.csv", help="write the figures of each clip here")
    return parser


def runtime_of(text: str) -> Wanted:
    """`openvino:bf16` as a runtime and its precision, for argparse."""
    runtime, _, precision = text.partition(":")
    if runtime not in shared.RUNTIMES[1:] or precision not in shared.PRECISIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is no runtime and precision; write it as openvino:bf16")
    return Wanted(runtime, precision)


def methods_of(
    generator: str,
    weights: Path | None,
    *,
    tuned: bool = False,
    wanted: Wanted = PLAIN,
    also: Sequence[Wanted] = (),
) -> tuple[dict[str, Open], dict[str, str] | None]:
    """What is measured, by the names of the document, and which networks draw.

    Raises:
        AvatarError: there is nothing to adapt to a person.
        ModelError: there are no such networks.
    """
    methods: dict[str, Open] = {"warp_only": lambda identity: open_generator("warp", identity, SIDE)}
    if generator == "warp":
        if tuned:
            raise AvatarError("the warp has no networks that could be fine-tuned")
        return methods, None
    trained = open_networks(generator, weights)
    methods["model"] = lambda identity: NetworkGenerator(identity, SIDE, trained, wanted)
    for other in also:
        name = f"{other.runtime}:{other.precision}"
        methods[name] = partial(NetworkGenerator, side=SIDE, trained=trained, wanted=other)
    if tuned:
        teachers = Teachers(load_perceptual(), load_identity().embed_windows)
        methods["finetuned"] = lambda identity: NetworkGenerator(
            finetune(identity, trained, judges=teachers), SIDE, trained, wanted
        )
    name = f"the shipped {generator}" if weights is None else weights.name
    return methods, {"file": name, "sha256": trained.sha256}


def of_people(clips: Sequence[Clip], people: Sequence[str]) -> list[Clip]:
    """The clips of these people; raises AvatarError if somebody has none."""
    unknown = set(people) - {clip.person for clip in clips}
    if unknown:
        raise AvatarError(f"there is no clip of {', '.join(sorted(unknown))}")
    return [clip for clip in clips if clip.person in people]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench; 0, or 1 when no clip could be measured or an option is of no use."""
    options = build_parser().parse_args(argv)
    try:
        document = _run(options)
    except (AvatarError, OSError) as error:
        print(f"bench.quality: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(table(document))
    print(json.dumps(document))
    return 0 if document["clips"] else 1


def _run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and write the files; gives the JSON document."""
    clips = clips_of(options.clips)
    if options.people is not None:
        clips = of_people(clips, [name.strip() for name in options.people.split(",")])
    clips = clips[: options.limit]
    if options.finetune and options.cross is not None:
        raise AvatarError("--finetune adapts to the pictures of clips; it does not go with --cross")
    methods, networks = methods_of(
        options.generator,
        options.weights,
        tuned=options.finetune,
        wanted=shared.wanted_runtime(options),
        also=options.also,
    )
    for output in (options.sheet, options.csv):
        if output is not None:
            shared.check_output(output, [])
    with open_judges(options.threads) as judges:
        found = measure(
            clips,
            methods,
            judges,
            shots=options.shots,
            frames=options.frames,
            pictures=options.cross,
            with_strips=options.sheet is not None,
        )
    if options.csv is not None:
        write_csv(options.csv, [*found.rows, *found.cross])
    if options.sheet is not None and found.strips:
        comparison_sheet.write_sheet(options.sheet, found.strips)
    return {
        **report(found),
        "shots": options.shots,
        "frames": options.frames,
        "generator": options.generator,
        "weights": networks,
        "runtime": {"name": options.runtime, "precision": options.precision},
        "size": SIZE,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
    }


if __name__ == "__main__":
    sys.exit(main())
