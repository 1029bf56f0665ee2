"""The near side of `bench.call`, in a process of its own since networks are a matter of processes.

    python -m bench.call_program OPTIONS-AS-JSON

It makes a call as `avatar call` does, with time codes carried from the camera's picture to the avatar's frame
of the same index, a flash in a corner and a beep for each second of the camera's time. It says its links as a
line of JSON, then a line each time one is asked for on standard input, and ends with that.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame

from avatar.call import BrowserCamera, Call, CallOptions
from avatar.call.sound import PIECE, PIECE_NS, RATE, SoundFeed
from avatar.capture import VideoFile
from avatar.live import run_live
from avatar.live.workers import Renderer as Render
from avatar.live.workers import Source
from avatar.live.workers import Tracker as Track
from avatar.pipeline import Renderer
from avatar.records import Face, Frame, Motion
from avatar.retarget import Retargeter
from avatar.runtime import Wanted
from avatar.tools import clock
from avatar.tools.stats import StageTimes
from avatar.track import FaceTracker
from avatar.weights import resolve
from bench.coded import Codes
from bench.rig import CAMERA_SIZE, identity_of, open_clip
from bench.soak import open_files, rss_mib, threads

FLASH_NS = 100_000_000
"""How long flash and beep last in each second."""
SPOT = 64
"""Side of the flash, in the upper right corner [px]."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is called, and how."""

    generator: str
    size: tuple[int, int]
    head: int
    listen: str = "0.0.0.0"
    name: str = "10.77.0.1"
    codec: str = "vp8"
    quality: str = "usual"
    browser_camera: bool = True
    """False: a clip is the camera."""
    portrait: str | None = None


def flashing(render: Render) -> Render:
    """A renderer that paints the flash."""

    def rendered(motion: Motion, index: int, captured_ns: int) -> Frame:
        frame = render(motion, index, captured_ns)
        rgb = frame.rgb.copy()
        rgb[:SPOT, -SPOT:] = 255 if captured_ns % 1_000_000_000 < FLASH_NS else 0
        return replace(frame, rgb=rgb)

    return rendered


class CountingCamera(BrowserCamera):
    """Counts a browser's pictures by the size in which they come: short of time, it sends smaller ones."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def take(self, picture: VideoFrame) -> None:
        """Lay in a picture as it comes."""
        size = f"{picture.width}x{picture.height}"
        self.sizes[size] = self.sizes.get(size, 0) + 1
        super().take(picture)


def reading(codes: Codes, track: Track) -> Track:
    """A tracker that reads the code of each picture first."""

    def tracked(frame: Frame) -> Face | None:
        whole = np.asarray(cv2.resize(frame.rgb, CAMERA_SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)
        return codes.tracker(lambda _: track(frame))(replace(frame, rgb=whole))

    return tracked


class Beeper:
    """A microphone that hears a beep when the flash is seen."""

    def __init__(self, feed: SoundFeed) -> None:
        self._feed, self._ending = feed, threading.Event()
        self._thread = threading.Thread(target=self._beep, name="beeper", daemon=True)
        self._thread.start()

    def _beep(self) -> None:
        begin_ns = clock.now_ns()
        tone = np.asarray(12_000 * np.sin(np.arange(PIECE) * 2 * np.pi * 1000 / RATE), np.int16)
        samples_ns = np.arange(PIECE) * 1_000_000_000 // RATE
        while not self._ending.wait(max(0.0, (begin_ns + PIECE_NS - clock.now_ns()) / 1e9)):
            loud = (begin_ns + samples_ns) % 1_000_000_000 < FLASH_NS
            self._feed.put(begin_ns, np.where(loud, tone, 0).astype(np.int16))
            begin_ns += PIECE_NS

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()


def look(began: tuple[float, float], call: Call) -> dict[str, Any]:
    """What the process takes at this moment."""
    wall, cpu = time.monotonic() - began[0], time.process_time() - began[1]
    generator = next((one for one in threading.enumerate() if one.name == "generator"), None)
    return {
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "generator_s": None if generator is None else _thread_s(generator.native_id),
        "rss_mib": rss_mib(),
        "threads": threads(),
        "files": open_files(),
        "calls": len(call._peers),
    }


def _thread_s(number: int | None) -> float | None:
    """Processor time of a thread [s]."""
    try:
        fields = Path(f"/proc/self/task/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def open_camera(options: Options, codes: Codes) -> Iterator[tuple[Source, CountingCamera | None]]:
    """Where pictures with codes come from."""
    if options.browser_camera:
        camera = CountingCamera()
        with contextlib.closing(camera):
            yield camera, camera
    else:
        clip: VideoFile = open_clip(resolve("carphone_clip"), paced=True)
        with contextlib.closing(clip):
            yield codes.camera(clip), None


def main(argv: list[str]) -> int:
    """Call until standard input ends."""
    given = json.loads(argv[0])
    options = Options(**given | {"size": tuple(given["size"])})
    identity = identity_of(Path(options.portrait) if options.portrait else None)
    times, stop = StageTimes(), threading.Event()
    renderer = Renderer(
        identity, head_size=options.head, size=options.size, generator=options.generator, times=times,
        wanted=Wanted("auto"),
    )  # fmt: skip
    start_ns, start_wall = clock.now_ns(), time.time()
    codes = Codes(start_ns)
    with (
        open_camera(options, codes) as (source, camera),
        FaceTracker() as tracker,
        contextlib.closing(
            Call(
                CallOptions(
                    listen=options.listen,
                    names=(options.name,),
                    codec=options.codec,  # type: ignore[arg-type]
                    quality=options.quality,  # type: ignore[arg-type]
                ),
                camera=camera,
            )
        ) as call,
        contextlib.closing(Beeper(call.sound)),
    ):
        began = time.monotonic(), time.process_time()
        links = {link.role: link.url for link in call.links()}
        print(json.dumps({"links": links, "start_wall": start_wall}), flush=True)

        def serve() -> None:
            for _ in sys.stdin:
                print(json.dumps(look(began, call)), flush=True)
            stop.set()

        threading.Thread(target=serve, name="asked", daemon=True).start()
        summary = run_live(
            source,
            reading(codes, tracker),
            Retargeter(identity),
            codes.renderer(flashing(renderer)),
            [call],
            stop=stop,
            fps=30.0,
            times=times,
        )
        sizes = camera.sizes if camera is not None else {}
        ending = {"summary": summary.as_json(), "runtime": renderer.runtime, "camera_sizes": sizes}
        print(json.dumps(ending), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
