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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avatar.cli import arguments as shared
from avatar.errors import AvatarError
from avatar.tools.stats import percentile
from avatar.weights import resolve
from bench import machine, netns, timecode
from bench.chromium import Chromium, Page
from bench.chromium import missing as no_chromium
from bench.netns import BAD_NEAR, NEAR, Networks, Weather
from bench.rig import CAMERA_SIZE

CAMERA_S = 40
"""Length of the camera file; codes that come again later are told apart by their time."""
SETTLE_S = 8.0
"""Before figures are taken: the bitrate climbs."""
JOINED = "livehead.connection?.connectionState === 'connected'"
SCRIPT = Path(__file__).with_name("call_page.js")


@dataclass
class Near:
    """The process that calls."""

    process: subprocess.Popen[str]
    links: dict[str, str]
    start_wall: float

    def look(self) -> dict[str, Any]:
        """What it takes at this moment."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def end(self) -> dict[str, Any]:
        """End it; gives its summary."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AvatarError("the process that calls has ended; its words are above")
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def calling(networks: Networks, **options: Any) -> Iterator[Near]:
    """The near side, in its network."""
    command = [
        *networks.inside(networks.near),
        sys.executable,
        "-m",
        "bench.call_program",
        json.dumps(options),
    ]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    near = Near(process, {}, 0.0)
    try:
        first = near._line()
        near.links, near.start_wall = first["links"], first["start_wall"]
        yield near
    finally:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def write_camera(path: Path, seconds: float = CAMERA_S) -> None:
    """A clip of a talking man as a camera file, each picture with its number as time code."""
    with av.open(str(resolve("carphone_clip"))) as clip:
        pictures = [
            cv2.resize(frame.to_ndarray(format="rgb24"), CAMERA_SIZE, interpolation=cv2.INTER_CUBIC)
            for frame in clip.decode(video=0)
        ]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=Fraction(30))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = CAMERA_SIZE
        stream.pix_fmt = "yuvj420p"
        stream.options = {"qscale": "3"}
        for number in range(round(seconds * 30)):
            picture = np.asarray(pictures[order[number % len(order)]], np.uint8).copy()
            timecode.stamp(picture, number)
            file.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))


def join(browser: Chromium, url: str, watch: str, *, sends: bool = True) -> Page:
    """Open a link, join, and note what can be seen in the video with the id `watch`."""
    page = browser.page(url)
    page.wait("document.body.dataset.state === 'ready'")
    page.run(f"document.getElementById('with-camera').checked = {str(sends).lower()}")
    page.run("document.getElementById('join').click()")
    page.wait(JOINED, 40)
    page.run(SCRIPT.read_text(encoding="utf-8"))
    page.run(f"bench.watch({watch!r})")
    return page


def glass(camera: Sequence[Sequence[float]], guest: Sequence[Sequence[float]]) -> list[float]:
    """Milliseconds from the camera browser's picture to the guest's, for each that was seen at both ends.

    Args:
        camera: [code, seen, captured] where the camera is; wall clock [ms].
        guest: the same where the avatar is shown; each code counts when it is first seen.
    """
    began: dict[int, list[float]] = {}
    for code, seen, captured in camera:
        began.setdefault(int(code), []).append(captured or seen)
    took: list[float] = []
    before: int | None = None
    for code, seen, _ in guest:
        if int(code) == before:
            continue
        before = int(code)
        earlier = [moment for moment in began.get(int(code), []) if moment <= seen]
        if earlier and seen - max(earlier) < CAMERA_S * 500:
            took.append(seen - max(earlier))
    return took


def of_clip(near: Near, guest: Sequence[Sequence[float]]) -> list[float]:
    """Milliseconds from the clip's picture to the guest's, where a clip in the program is the camera."""
    took: list[float] = []
    before: float | None = None
    for code, seen, _ in guest:
        if code != before:
            took.append(seen - near.start_wall * 1e3 - code * timecode.STEP_NS / 1e6)
        before = code
    return took


def sync(flashes: Sequence[float], beeps: Sequence[float]) -> list[float]:
    """By how many milliseconds each beep came after its flash; without those that have none within 400 ms."""
    found = []
    for beep in beeps:
        nearest = min(flashes, key=lambda flash: abs(beep - flash), default=None)
        if nearest is not None and abs(beep - nearest) < 400:
            found.append(beep - nearest)
    return found


def shares(values: Sequence[float]) -> dict[str, float | None]:
    """The usual percentiles."""
    return {f"p{share}": round(percentile(values, share), 1) if values else None for share in (50, 95, 99)}


def longest_gap_s(rows: Sequence[Sequence[float]]) -> float:
    """The longest time without a new picture."""
    moments = [seen for code, seen, _ in rows]
    return round(float(np.diff(moments).max()) / 1e3, 2) if len(moments) > 1 else float("inf")


def processor(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Shares of one core: the whole program's, and the thread's in which the generator runs."""
    wall = after["wall_s"] - before["wall_s"]
    drawn = None
    if before["generator_s"] is not None and after["generator_s"] is not None:
        drawn = round((after["generator_s"] - before["generator_s"]) / wall, 3)
    return {"program": round((after["cpu_s"] - before["cpu_s"]) / wall, 3), "generator_thread": drawn}


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


def figures(
    near: Near, driver: Page | None, guest: Page, browsers: Sequence[Chromium], seconds: float
) -> dict[str, Any]:
    """What a call of that many seconds is like, from now on."""
    for page in (driver, guest):
        if page is not None:
            page.run("bench.take() && 0")
    guest.run("bench.flashes.length = bench.beeps.length = 0")
    stats, before = guest.run("bench.stats()"), near.look()
    cpu = [browser.cpu_s() for browser in browsers]
    time.sleep(seconds)
    after, later = near.look(), guest.run("bench.stats()")
    drawn = [round((browser.cpu_s() - was) / seconds, 2) for browser, was in zip(browsers, cpu, strict=True)]
    seen = guest.run("bench.take()")
    took = glass(driver.run("bench.take()")["rows"], seen["rows"]) if driver else of_clip(near, seen["rows"])
    offsets = sync(guest.run("bench.flashes"), guest.run("bench.beeps"))
    video, sound = (_differences(stats[kind], later[kind]) for kind in ("video", "audio"))
    return {
        "decoded_fps": round(video["decoded"] / seconds, 2),
        "glass_ms": shares(took),
        "glass_last_fifth_ms": shares(took[-max(1, len(took) // 5) :]),
        "sound_after_picture_ms": shares(offsets) | {"count": len(offsets)},
        "longest_gap_s": longest_gap_s(seen["rows"]),
        "kbit_per_s": round(video["bytes"] * 8 / seconds / 1e3),
        "video": video,
        "sound_concealed_percent": round(100 * sound["concealed"] / max(1, sound["samples"]), 2),
        "seen": len(took),
        "unread": seen["unread"],
        "held_ms": {"video": _held_ms(video), "sound": _held_ms(sound)},
        "cores": processor(before, after) | {"browsers": drawn},
    }


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """What a browser counted meanwhile."""
    return {name: round(after[name] - before[name], 3) for name in after if after[name] is not None}


def _held_ms(counted: dict[str, float]) -> float | None:
    """How long the browser held what came before it showed it, on average."""
    return round(1e3 * counted["held_s"] / counted["held"], 1) if counted["held"] else None


def again(arguments: argparse.Namespace) -> dict[str, Any]:
    """Calls one after another, by loading the page anew; then, with --minutes, one that goes on and on."""
    options = {"generator": arguments.generator, "size": arguments.size, "head": arguments.head,
               "browser_camera": False}  # fmt: skip
    rows: list[dict[str, Any]] = []
    back: list[float] = []
    with contextlib.ExitStack() as open_things:
        networks = open_things.enter_context(Networks())
        near = open_things.enter_context(calling(networks, **options))
        guest = join(
            open_things.enter_context(Chromium(networks.inside(networks.far))), near.links["guest"], "theirs"
        )
        for _ in range(arguments.calls):
            began = time.monotonic()
            guest.reload()
            guest.wait(
                f"window.livehead && {JOINED} && document.getElementById('theirs').currentTime > 0", 30
            )
            back.append(time.monotonic() - began)
            time.sleep(2)
            rows.append(near.look())
            print(row_of(rows[-1], back[-1]), flush=True)
        guest.run(SCRIPT.read_text(encoding="utf-8"))
        guest.run("bench.watch('theirs')")
        end = time.monotonic() + 60 * arguments.minutes
        every = min(60.0, max(5.0, 60 * arguments.minutes / 10))
        delays: list[float | None] = []
        while time.monotonic() + every <= end:
            time.sleep(every)
            took = of_clip(near, guest.run("bench.take()")["rows"])
            delays.append(shares(took)["p50"])
            rows.append(near.look() | {"glass_p50_ms": delays[-1], "pictures": len(took)})
            print(row_of(rows[-1], delays[-1]), flush=True)
        near.end()
    return {"rows": rows, "back_s": [round(one, 2) for one in back], "glass_p50_ms": delays,
            "machine": machine.describe(), "generator": arguments.generator}  # fmt: skip


def row_of(row: dict[str, Any], figure: float | None) -> str:
    """A row for people."""
    return (
        f"{row['wall_s']:9.1f} s  {row['rss_mib'] or 0:8.1f} MiB  {row['threads']:3} threads  "
        f"{row['files']:3} files  {row['calls']} calls  {figure if figure is not None else '-':>7.4}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0, or 1 with one line on standard error."""
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
