"""A call with real parts on one computer: `python -m bench.call`. As root; needs Chromium and iproute2.

Chromium with a camera file -> the program, which renders -> another Chromium, in networks of their own. The
camera's pictures carry time codes, which are read when the first browser gets them from its camera, and again
when the second one shows the avatar. All share one processor: the document says who took how much of it.
The last line of standard output is one JSON document; `bench/README.md` explains its figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from bench import machine, netns
from bench.call_ends import JOINED, Near, calling, join, watch, write_camera
from bench.call_figures import (
    arrived,
    differences,
    glass,
    held_ms,
    left_over,
    longest_gap_s,
    of_clip,
    processor,
    shares,
    sync,
)
from bench.chromium import Chromium, Page
from bench.chromium import missing as no_chromium
from bench.netns import BAD_NEAR, NEAR, Networks, Weather
from bench.soak import Row, as_line, complaints, growth

SETTLE_S = 8.0
"""Before figures are taken: the bitrate climbs."""
SETTLING = 3
"""The age is not judged in the first of so many parts of a long call: for eight minutes the browser went on
adapting for how long it holds pictures back."""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One call of `--seconds`; with a bad wire, then so long again on a good one, to see it recover."""
    weather = Weather(
        arguments.loss / 100, arguments.delay / 1e3, arguments.kbit * 1e3 if arguments.kbit else None
    )
    bad = weather != Weather()
    options = {
        "generator": arguments.generator, "size": arguments.size, "head": arguments.head,
        "codec": arguments.codec, "quality": arguments.quality, "browser_camera": not bad,
        "name": BAD_NEAR if bad else NEAR,
        "portrait": str(arguments.portrait.resolve()) if arguments.portrait else None,
    }  # fmt: skip
    with contextlib.ExitStack() as open_things:
        networks = open_things.enter_context(Networks(Weather() if bad else None))
        near = open_things.enter_context(calling(networks, **options))
        if bad:
            networks.cut()
        inside = networks.inside(networks.far)
        driver, browsers = None, []
        if not bad:
            folder = Path(open_things.enter_context(tempfile.TemporaryDirectory()))
            write_camera(folder / "camera.mjpeg")
            camera = open_things.enter_context(Chromium(inside, camera=folder / "camera.mjpeg"))
            browsers.append(camera)
            driver = join(camera, near.links["camera"], "mine")
        browsers.append(open_things.enter_context(Chromium(inside)))
        guest = join(browsers[-1], near.links["guest"], "theirs", sends=arguments.both_ways)
        guest.run("bench.listen()")
        document: dict[str, Any] = {"generator": arguments.generator, "weather": vars_of(weather)}
        if networks.wire is not None:
            time.sleep(SETTLE_S)
            networks.wire.weather = weather
            document["bad"] = figures(near, None, guest, browsers, arguments.seconds)
            networks.wire.weather = Weather()
            document["after"] = figures(near, None, guest, browsers, arguments.seconds)
        else:
            time.sleep(SETTLE_S)
            document["call"] = figures(near, driver, guest, browsers, arguments.seconds)
        errors = guest.errors() + (driver.errors() if driver is not None else [])
        if errors:
            raise AvatarError(f"scripts of the page failed: {errors}")
        document |= near.end()
    document["size"] = f"{arguments.size[0]}x{arguments.size[1]}"
    document["codec"], document["quality"] = arguments.codec, arguments.quality
    document["machine"] = machine.describe()
    return document


def vars_of(weather: Weather) -> dict[str, float | None]:
    """The weather as plain values."""
    return {
        "loss_percent": weather.loss * 100,
        "delay_ms": weather.delay_s * 1e3,
        "kbit_per_s": weather.bits_per_s / 1e3 if weather.bits_per_s else None,
    }


def _counted(guest: Page) -> dict[str, Any]:
    """What the browser has counted of picture and sound; a connection that was just made anew has to begin.

    Raises:
        AvatarError: one of them does not come any more.
    """
    for _ in range(50):
        counted: dict[str, Any] = guest.run("bench.stats()")
        if {"video", "audio"} <= counted.keys():
            return counted
        time.sleep(0.1)
    raise AvatarError("picture or sound do not reach the browser any more")


def figures(
    near: Near, driver: Page | None, guest: Page, browsers: Sequence[Chromium], seconds: float
) -> dict[str, Any]:
    """What a call of that many seconds is like, from now on."""
    stats = _counted(guest)
    for page in (driver, guest):
        if page is not None:
            page.run("bench.take() && 0")
    guest.run("bench.flashes.length = bench.beeps.length = 0")
    before = near.look()
    cpu = [browser.cpu_s() for browser in browsers]
    time.sleep(seconds)
    after, seen = near.look(), guest.run("bench.take()")
    drawn = [round((browser.cpu_s() - was) / seconds, 2) for browser, was in zip(browsers, cpu, strict=True)]
    later = _counted(guest)
    took = (
        glass(driver.run("bench.take()")["rows"], seen["rows"])
        if driver
        else of_clip(near.start_wall, seen["rows"])
    )
    offsets = sync(guest.run("bench.flashes"), guest.run("bench.beeps"))
    remade = later["made_at"] != stats["made_at"]  # then the browser counts from the new connection on
    before_it = {} if remade else stats
    video, sound = (differences(before_it.get(kind, {}), later[kind]) for kind in ("video", "audio"))
    return {
        "decoded_fps": round((seen["frames"] if remade else video["decoded"]) / seconds, 2),
        "remade": remade,
        "glass_ms": shares(took),
        "glass_last_fifth_ms": shares(took[-max(1, len(took) // 5) :]),
        "sound_after_picture_ms": shares(offsets) | {"count": len(offsets)},
        "longest_gap_s": longest_gap_s(seen["rows"]),
        "kbit_per_s": round(video["bytes"] * 8 / seconds / 1e3),
        "video": video,
        "sound_concealed_percent": round(100 * sound["concealed"] / max(1, sound["samples"]), 2),
        "seen": len(took),
        "unread": seen["unread"],
        "held_ms": {"video": held_ms(video), "sound": held_ms(sound)},
        "cores": processor(before, after) | {"browsers": drawn},
    }


def minutes(near: Near, guest: Page, count: float) -> Iterator[Row]:
    """A row for each minute of a call that goes on; of less, where `count` is small."""
    every = min(60.0, max(5.0, 6 * count))
    guest.run("bench.take() && 0")
    before, at = _counted(guest)["video"], time.monotonic()
    for number in range(int(60 * count / every)):
        time.sleep(every)
        took, taken = arrived(near.start_wall, guest.run("bench.take()")["rows"]), near.look()
        now, since = _counted(guest)["video"], at
        at = time.monotonic()
        video, before = differences(before if now["decoded"] >= before["decoded"] else {}, now), now
        delay = shares(took)["p50"]
        row = Row(
            round((number + 1) * every / 60, 2),
            round(video["decoded"] / (at - since), 2),
            None if delay is None else round(delay + (held_ms(video) or 0), 1),
            taken["rss_mib"],
            taken["threads"],
            taken["files"],
        )
        print(as_line(row), flush=True)
        yield row


def again(arguments: argparse.Namespace) -> dict[str, Any]:
    """Calls one after another, by loading the page anew; then, with --minutes, one that goes on and on."""
    options = {"generator": arguments.generator, "size": arguments.size, "head": arguments.head,
               "browser_camera": False}  # fmt: skip
    rows: list[Row] = []
    back: list[float] = []
    looks: list[dict[str, Any]] = []
    with contextlib.ExitStack() as open_things:
        networks = open_things.enter_context(Networks())
        near = open_things.enter_context(calling(networks, **options))
        browser = open_things.enter_context(Chromium(networks.inside(networks.far)))
        guest = join(browser, near.links["guest"], "theirs")
        for _ in range(arguments.calls):
            began = time.monotonic()
            guest.reload()
            guest.wait(
                f"window.livehead && {JOINED} && document.getElementById('theirs').currentTime > 0", 30
            )
            back.append(round(time.monotonic() - began, 2))
            time.sleep(2)
            looks.append(near.look())
            print(f"back after {back[-1]:.2f} s: {looks[-1]}", flush=True)
        if arguments.calls:  # the page was loaded anew
            watch(guest, "theirs")
        rows = list(minutes(near, guest, arguments.minutes))
        near.end()
    settling = len(rows) // SETTLING
    wrong = (complaints(rows, settling) if rows else []) + (left_over(looks) if looks else [])
    print("passed: nothing grew" if not wrong else "failed: " + "; ".join(wrong))
    return {
        "back_s": back,
        "after_each": looks,
        "rows": [asdict(row) for row in rows],
        "growth": growth(rows, settling) if rows else {},
        "complaints": wrong,
        "generator": arguments.generator,
        "machine": machine.describe(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 when something grew, or with one line on standard error."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m bench.call",
        description=__doc__.split("\n\n")[0],
        formatter_class=shared.HelpFormatter,
    )
    parser.add_argument("--generator", choices=shared.GENERATORS, default="live")
    parser.add_argument("--portrait", type=Path, metavar="FILE", help="(default: the astronaut)")
    parser.add_argument("--size", type=shared.size, default=(512, 512), metavar="WxH")
    parser.add_argument("--head", type=shared.whole_number_in(128, 1024), default=512, metavar="PIXELS")
    parser.add_argument("--codec", choices=("vp8", "h264"), default="vp8")
    parser.add_argument("--quality", choices=("usual", "high"), default="usual")
    parser.add_argument("--seconds", type=shared.number_in(3, 600), default=25.0, metavar="N")
    parser.add_argument("--both-ways", action="store_true", help="the guest sends its camera, too")
    parser.add_argument("--loss", type=shared.number_in(0, 50), default=0.0, metavar="PERCENT")
    parser.add_argument("--delay", type=shared.number_in(0, 1000), default=0.0, metavar="MS", help="each way")
    parser.add_argument("--kbit", type=shared.number_in(50, 1e6), metavar="KBIT/S", help="what goes through")
    parser.add_argument("--calls", type=shared.whole_number_in(0, 1000), default=0, metavar="N",
                        help="instead: so many one after another")  # fmt: skip
    parser.add_argument("--minutes", type=shared.number_in(0, 600), default=0.0, metavar="N",
                        help="instead, or after --calls: one that goes on so long")  # fmt: skip
    arguments = parser.parse_args(argv)
    try:
        bad = bool(arguments.loss or arguments.delay or arguments.kbit)
        for reason in (no_chromium(), netns.missing(bad=bad)):
            if reason:
                raise AvatarError(f"not here: {reason}")
        document = again(arguments) if arguments.calls or arguments.minutes else measure(arguments)
    except (AvatarError, OSError) as error:
        print(f"bench.call: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return shared.INTERRUPTED
    print(json.dumps(document))
    return 1 if document.get("complaints") else 0


if __name__ == "__main__":
    sys.exit(main())
