"""From the camera's picture to who watches the avatar, as far as software sees it: `python -m bench.glass`.

The camera's picture carries a time code. It is read where the tracker gets the picture, written on the avatar
frame of the same index, and read again at the far end by another process: out of a virtual camera where there
is one, else out of a pipe. Then once more by what is to be seen: a mouth that snaps open. No lens, no screen
and no call is in it, so it is not glass to glass in full; the document says what is. The last line of
standard output is one JSON document; `bench/README.md` explains its figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from avatar.tools import clock
from bench import machine, plot, timecode
from bench.latency import WARM_UP_S, add_rig

if TYPE_CHECKING:
    from avatar.live import Summary
    from bench.far_end import FarEnd, Seen
    from bench.mouth_snap import Snap

MOST_S = 1200
"""After 28 minutes the time code begins anew."""
SHARES = (50, 95, 99)
IN_IT = [
    "tracker, retargeting, warp, network, composite, and all waiting between them",
    "the time codes: writing, reading, and a copy of each picture",
    "handing over, and the arrival of the whole frame in another process",
]
NOT_IN_IT = [
    "a camera's exposure and transfer: time begins when the program could have the picture",
    "the wait of a change before the camera for its next picture: half a frame on average",
    "the call's encoder, the network, the other screen",
]
NO_DEVICE = "the copies and buffers of a virtual camera: a pipe of raw frames stands in for it"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Warm up, run with the clip, then with the snapping mouth; gives the JSON document."""
    from bench import mouth_snap
    from bench.coded import Codes, run_coded
    from bench.far_end import FarEnd
    from bench.rig import CAMERA_SIZE, identity_of, open_rig

    identity = identity_of(arguments.portrait)
    with open_rig(
        source=arguments.source,
        portrait=arguments.portrait,
        size=arguments.size,
        head=arguments.head,
        fit=arguments.fit,
        generator=arguments.generator,
        wanted=shared.wanted_runtime(arguments),
        weights=arguments.weights,
        identity=identity,
    ) as rig:
        box = mouth_snap.mouth_box(identity, arguments.size, arguments.fit)
        if box[0] < timecode.SIZE[0] and box[1] < timecode.SIZE[1]:
            raise AvatarError("the time code would cover the avatar's mouth; take a larger --size")
        device = _device(arguments.far_end)
        codes = Codes(clock.now_ns())
        with contextlib.closing(FarEnd(arguments.size, device, box, rig.fps)) as far:
            run_coded(rig, rig.source, codes, far, WARM_UP_S)
            begin = codes.now()
            summary = run_coded(rig, rig.source, codes, far, arguments.seconds)
            snapping = codes.now()
            shown = None
            if arguments.snaps:
                shown = mouth_snap.SnapCamera(mouth_snap.pictures(identity, CAMERA_SIZE), rig.fps)
                rig.retarget.reset()
                # Half a shut mouth less, so that none opens at the end.
                frames = mouth_snap.SETTLING + mouth_snap.HOLD * (2 * arguments.snaps - 0.5)
                run_coded(rig, shown, codes, far, frames / rig.fps)
            seen = far.seen()
        clip = [sight for sight in seen.sights if begin <= sight.code < snapping]
        if not clip:
            raise AvatarError(f"no frame was seen at the far end, {far.told}")
        snaps: list[Snap] = []
        if shown is not None:
            later = [sight for sight in seen.sights if sight.code >= snapping]
            snaps = mouth_snap.find_snaps(later, shown.snaps_ns)
        document = report(summary, [codes.ms(sight) for sight in clip], seen, far, snaps)
        document["snap"]["shown"] = 0 if shown is None else len(shown.snaps_ns)
        document["unread_of_camera"] = codes.unread
        document["size"] = f"{arguments.size[0]}x{arguments.size[1]}"
        document["generator"], document["runtime"] = rig.generator, rig.renderer.runtime
        document["machine"] = machine.describe()
        return document


def _device(wanted: str) -> str | None:
    from avatar.output.virtual_devices import virtual_camera_devices

    if wanted == "pipe":
        return None
    if wanted != "auto":
        return wanted
    # Elsewhere the far end could not be opened by the name that the near end has.
    there = virtual_camera_devices() if sys.platform.startswith("linux") else []
    return there[0].device if there else None


def report(
    summary: Summary, took: Sequence[float], seen: Seen, far: FarEnd, snaps: Sequence[Snap]
) -> dict[str, Any]:
    """The figures of the document."""
    return {
        "picture_to_reader_ms": _shares(took),
        "age_ms": summary.age_ms,
        "far_end": far.told,
        "in_it": IN_IT,
        "not_in_it": NOT_IN_IT if far.is_device else [*NOT_IN_IT, NO_DEVICE],
        "fps": round(summary.fps, 2),
        "dropped": summary.dropped_total,
        "frames": summary.frames,
        "seen": len(took),
        "unread": seen.unread,
        "snap": {
            **{
                name: _shares([snap.reached_ms[place] for snap in snaps])
                for place, name in enumerate(("begins_ms", "half_ms", "nearly_ms"))
            },
            "seen": len(snaps),
        },
        "drawn_from": {
            "picture_to_reader_ms": [round(value, 2) for value in sorted(took)][:: max(1, len(took) // 200)],
            "curves": [[(round(x, 1), round(y, 3)) for x, y in snap.curve] for snap in snaps],
        },
    }


def _shares(values: Sequence[float]) -> dict[str, float | None]:
    from avatar.tools.stats import percentile

    return {f"p{share}": round(percentile(values, share), 2) if values else None for share in SHARES}


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    about, snap = document["machine"], document["snap"]
    rows = {
        "camera picture to far end": document["picture_to_reader_ms"],
        "age at hand-over": document["age_ms"],
        "mouth begins to open": snap["begins_ms"],
        "mouth is half open": snap["half_ms"],
        "mouth is open by 90 %": snap["nearly_ms"],
    }
    lines = [
        f"{about['cpu']}, {about['cores']} cores, Python {about['python']}, commit {about['commit']}",
        f"{document['fps']:.1f} fps, {document['dropped']} dropped; "
        f"{document['seen']} of {document['frames']} frames seen, {document['unread']} not readable; "
        f"{snap['seen']} of {snap['shown']} snaps seen",
        f"the far end is {document['far_end']}",
        "",
        f"{'[ms]':<28}" + "".join(f"{f'p{share}':>8}" for share in SHARES),
    ]
    for name, shares in rows.items():
        values = (shares[f"p{share}"] for share in SHARES)
        lines.append(f"{name:<28}" + "".join("       -" if v is None else f"{v:8.1f}" for v in values))
    lines += ["", *(f"in it: {what}" for what in document["in_it"])]
    return "\n".join([*lines, *(f"not in it: {what}" for what in document["not_in_it"])])


def draw(document: dict[str, Any], path: Path) -> None:
    """How many frames have come after so many ms; and the avatar's mouth after the camera's has opened."""
    took, curves = document["drawn_from"]["picture_to_reader_ms"], document["drawn_from"]["curves"]
    with plot.drawn(path, 2, (5.2, 3.2)) as (left, right):
        left.plot(took, [100 * (n + 1) / len(took) for n in range(len(took))], color=plot.COLOURS[0])
        left.set_xlim(left=0)
        left.set_ylabel("% of frames have come", fontsize=8)
        left.set_xlabel("ms from the camera's picture", fontsize=8)
        left.set_title(f"far end: {document['far_end']}", fontsize=10)
        for curve in curves:
            right.plot(*zip(*curve, strict=True), ".-", color=plot.COLOURS[1], alpha=0.45, linewidth=0.8)
        right.axvline(0, color="#333333", linewidth=1.0)
        right.set_ylabel("part of the mouth's change", fontsize=8)
        right.set_xlabel("ms from the first picture with an open mouth", fontsize=8)
        right.set_title("a mouth snaps open", fontsize=10)
        plot.signed(left, document["machine"])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.glass",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    add_rig(parser)
    seconds = shared.number_in(1, MOST_S / 2)
    snaps = shared.whole_number_in(0, 200)
    parser.add_argument(
        "--seconds", type=seconds, default=20.0, metavar="N", help="of the clip (default: 20)"
    )
    parser.add_argument("--snaps", type=snaps, default=8, metavar="N", help="of the mouth (default: 8)")
    parser.add_argument(
        "--far-end", default="auto", metavar="WHERE",
        help="pipe, or a virtual camera as /dev/video10 (default: auto, a virtual camera if there is one)",
    )  # fmt: skip
    plot.add_option(parser)
    arguments = parser.parse_args(argv)
    try:
        plot.check(arguments.plot)
        document = measure(arguments)
        if arguments.plot is not None:
            draw(document, arguments.plot)
    except (AvatarError, OSError) as error:
        print(f"bench.glass: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(table(document))
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
