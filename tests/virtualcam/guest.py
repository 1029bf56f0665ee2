"""What is done in the machine of `machine.py`: scenes, each of which gives facts for a test to judge.

python -m virtualcam.guest OUT AVATAR MOTION    writes OUT/facts.json: scene -> what was seen
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import VirtualCameraError
from avatar.output.loopback import Loopback
from avatar.output.virtual_camera import VirtualCamera
from avatar.output.virtual_devices import virtual_camera_devices
from avatar.records import U8, Frame
from avatar.tools.signs import OFF, card

Facts = dict[str, Any]

SIZE = (1280, 720)
SMALL = (640, 360)
"""Of `avatar run`, which is slow in an emulated machine."""
FRAMES = 15
COLOURS = (
    *((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)),
    *((200, 30, 90), (30, 160, 220), (238, 198, 170)),
)
BITS = 8
AGAIN_S = 0.3
"""The first frame is sent again so often, until the reader has begun."""
LOST_S = 6.0
"""A later frame that has not come after so long, on a slow machine, is lost."""
PATIENCE_S = 60.0
DIFFERENT = 5
"""So many pictures that differ show that the avatar moves."""
OURS, SPARE, SHARED = "/dev/video0", "/dev/video1", "/dev/video2"

_OPENCV = """
import sys, time, cv2
capture = cv2.VideoCapture()
while True:
    good, bgr = capture.read() if capture.isOpened() else (False, None)
    if good:
        sys.stdout.buffer.write(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).tobytes())
        sys.stdout.flush()
    elif not capture.isOpened():
        time.sleep(0.2)
        capture.open(sys.argv[1], cv2.CAP_V4L2)
"""
_PYAV = """
import sys, av
for frame in av.open(sys.argv[1], format="v4l2", options={"fflags": "nobuffer"}).decode(video=0):
    sys.stdout.buffer.write(frame.to_ndarray(format="rgb24").tobytes())
    sys.stdout.flush()
"""


def picture(code: int) -> U8:
    """All colours, and below them the bits of `code` in black and white."""
    width, height = SIZE
    rgb = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        rgb[: height // 2, number * width // len(COLOURS) : (number + 1) * width // len(COLOURS)] = colour
    for bit in range(BITS):
        rgb[height // 2 :, bit * width // BITS : (bit + 1) * width // BITS] = 255 * (code >> bit & 1)
    return rgb


def code_of(rgb: U8) -> int:
    """What `picture` was made of."""
    height, width = rgb.shape[:2]
    middles = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(rgb[3 * height // 4, middle, 1] > 127) << bit for bit, middle in enumerate(middles))


def off_by(rgb: U8) -> float:
    """The largest distance of a colour from what was sent [levels], in the mean of its field's middle."""
    height, width = rgb.shape[:2]
    field = width // len(COLOURS)
    rows = slice(height // 8, 3 * height // 8)
    middles = (rgb[rows, n * field + field // 4 : n * field + 3 * field // 4] for n in range(len(COLOURS)))
    means = np.array([middle.mean((0, 1)) for middle in middles])
    return float(np.abs(means - COLOURS).max())


class Watching:
    """A program that watches a device and writes raw RGB pictures to a pipe.

    Attributes:
        codes: of all pictures that came.
        newest: the last one; None before the first.
    """

    def __init__(self, command: Sequence[str], size: tuple[int, int] = SIZE) -> None:
        self.size = size
        self.codes: list[int] = []
        self.newest: U8 | None = None
        self._changed = threading.Condition()
        self._program = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether no more pictures will come."""
        return not self._thread.is_alive()

    def sees(self, code: int, seconds: float) -> bool:
        """Wait until that one came."""
        with self._changed:
            return self._changed.wait_for(lambda: code in self.codes, seconds)

    def close(self) -> None:
        """Watch no more."""
        self._program.kill()
        self._program.wait()
        self._thread.join()

    def _read(self) -> None:
        width, height = self.size
        assert self._program.stdout is not None
        while len(content := self._program.stdout.read(3 * width * height)) == 3 * width * height:
            rgb = np.frombuffer(content, np.uint8).reshape(height, width, 3)
            with self._changed:
                self.newest = rgb
                self.codes.append(code_of(rgb))
                self._changed.notify_all()


def by_opencv(device: str) -> tuple[str, ...]:
    """OpenCV, which tries again until there is a camera."""
    return (sys.executable, "-c", _OPENCV, device)


def by_pyav(device: str) -> tuple[str, ...]:
    """PyAV."""
    return (sys.executable, "-c", _PYAV, device)


def by_ffmpeg(device: str) -> tuple[str, ...]:
    """The program ffmpeg."""
    begin = ("ffmpeg", "-loglevel", "error", "-fflags", "nobuffer", "-f", "v4l2", "-i", device)
    return (
        *begin,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-flush_packets",
        "1",
        "-",
    )


def frame(code: int) -> Frame:
    """The picture of that code."""
    return Frame(picture(code), code, time.monotonic_ns())


@contextlib.contextmanager
def watched(camera: VirtualCamera, command: Sequence[str], code: int) -> Iterator[Watching]:
    """Feed `camera` with one picture until it is seen. Before the first one its device is no camera."""
    camera(frame(code))
    with contextlib.closing(Watching(command)) as watching:
        until = time.monotonic() + PATIENCE_S
        while not watching.sees(code, AGAIN_S):
            if watching.ended or time.monotonic() > until:
                raise TimeoutError("no picture came")
            camera(frame(code))
        yield watching


def through(command: Sequence[str], *, lag: int = 0) -> Facts:
    """Each frame is sent once, and the next one when it was seen, or `lag` frames later."""
    with contextlib.closing(VirtualCamera(30, SIZE, OURS)) as camera, watched(camera, command, 1) as watching:
        lost, worst, began = [], 0.0, time.monotonic()
        for code in range(2, FRAMES + 2):
            camera(frame(code))
            if not watching.sees(code - lag, LOST_S):
                lost.append(code - lag)
            assert watching.newest is not None
            worst = max(worst, off_by(watching.newest))
        seconds = time.monotonic() - began
        seen = list(dict.fromkeys(watching.codes))
    return {
        "lost": lost,
        "in_order": seen == sorted(seen),
        "off_by": worst,
        "frames": len(seen),
        "fps": FRAMES / seconds,
    }


def from_card(watching: Watching) -> float:
    """Wait for the card; the mean distance of what is watched from it [levels]."""
    wanted = card(watching.size, OFF).astype(np.int16)
    until, difference = time.monotonic() + LOST_S, 255.0
    while difference > 3 and time.monotonic() < until:
        time.sleep(0.1)
        if watching.newest is None:
            continue
        difference = float(np.abs(watching.newest - wanted).mean())
    return difference


def last_frame() -> Facts:
    """The program ends while somebody watches; then it is started again, and that one sees it."""
    camera = VirtualCamera(30, SIZE, OURS)
    with watched(camera, by_opencv(OURS), 5) as watching:
        camera.close()
        difference = from_card(watching)
        with contextlib.closing(VirtualCamera(30, SIZE, OURS)) as again:
            again(frame(9))
            seen = watching.sees(9, LOST_S)
    return {"from_card": difference, "seen_after_restart": seen}


def who_watches() -> Facts:
    """Whether it is told that somebody watches, and that he left."""
    with contextlib.closing(VirtualCamera(30, SIZE, OURS)) as camera:
        camera(frame(1))
        before = camera.wanted
        with watched(camera, by_opencv(OURS), 2):
            meanwhile = camera.wanted
        return {"before": before, "meanwhile": meanwhile, "after": camera.wanted}


def reader_first() -> Facts:
    """Who watches came first: to a device that is always a camera, and to one that is not yet one."""
    facts: Facts = {}
    for name, device in (("exclusive", OURS), ("shared", SHARED)):
        with contextlib.closing(Watching(by_opencv(device))) as watching:
            time.sleep(5.0)
            with contextlib.closing(VirtualCamera(30, SIZE, device)) as camera:
                until = time.monotonic() + PATIENCE_S
                while not watching.sees(3, AGAIN_S) and time.monotonic() < until:
                    camera(frame(3))
                facts[name] = watching.sees(3, 0)
    return facts


def killed() -> Facts:
    """A program that feeds a device is killed; also one that is pyvirtualcam alone, which frees nothing."""
    code = (
        "import sys, time, numpy, pyvirtualcam\n"
        f"camera = pyvirtualcam.Camera(*{SIZE}, 30, device={SPARE!r})\n"
        f"camera.send(numpy.zeros(({SIZE[1]}, {SIZE[0]}, 3), numpy.uint8))\n"
        "print('fed', flush=True)\n"
        "time.sleep(1000)"
    )
    with subprocess.Popen((sys.executable, "-c", code), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        fed = child.stdout.readline().strip()
        try:
            VirtualCamera(30, SIZE, SPARE).close()
            busy = ""
        except VirtualCameraError as error:
            busy = str(error)
        child.kill()
    left = Loopback(SPARE).takes_frames()
    with contextlib.closing(VirtualCamera(30, SIZE, SPARE)) as camera, watched(camera, by_opencv(SPARE), 4):
        pass
    return {"fed": fed, "busy": busy, "takes_frames": left, "works_again": Loopback(SPARE).takes_frames()}


def another_size() -> Facts:
    """Somebody watches, and the program comes back with frames of another size."""
    camera = VirtualCamera(30, SIZE, OURS)
    with watched(camera, by_opencv(OURS), 6):
        camera.close()
        try:
            VirtualCamera(30, (640, 480), OURS).close()
            told = ""
        except VirtualCameraError as error:
            told = str(error)
    with contextlib.closing(VirtualCamera(30, (640, 480), OURS)) as smaller:
        return {"told": told, "alone": smaller.size}


def listed() -> Facts:
    """What our own look at the system finds."""
    devices = virtual_camera_devices()
    return {
        "devices": [(one.device, one.name) for one in devices],
        "exclusive": [Loopback(one.device).exclusive() for one in devices],
    }


def run(avatar: str, motion: str) -> Facts:
    """`avatar run` feeds a device; it rests, is watched, and its terminal is closed."""
    size = f"{SMALL[0]}x{SMALL[1]}"
    options = ("--camera", motion, "--output", f"virtualcam:{OURS}", "--generator", "warp", "--no-page")
    command = (sys.executable, "-m", "avatar", "run", avatar, *options, "--size", size, "--head", "128")
    log = Path(os.environ["TMPDIR"]) / "run.log"
    began = time.monotonic()
    with log.open("w") as written:
        child = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT)
    until = began + 2 * PATIENCE_S
    while "at rest" not in log.read_text() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.5)
    rested, rested_s = "at rest" in log.read_text(), time.monotonic() - began
    with contextlib.closing(Watching(by_opencv(OURS), SMALL)) as watching:
        different: set[bytes] = set()
        until = time.monotonic() + 2 * PATIENCE_S
        while len(different) < DIFFERENT and child.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            if watching.newest is not None:
                different.add(watching.newest[::16, ::16].tobytes())
        child.send_signal(signal.SIGHUP)
        status = child.wait(PATIENCE_S)
        difference = from_card(watching)
    return {
        "rested": rested,
        "rested_after_s": rested_s,
        "different": len(different),
        "status": status,
        "from_card": difference,
        "log": log.read_text(),
    }


def main(out: Path, avatar: str, motion: str) -> None:
    """Play all scenes; one that fails gives its error."""
    scenes: dict[str, Callable[[], Facts]] = {
        "listed": listed,
        "opencv": lambda: through(by_opencv(OURS)),
        "pyav": lambda: through(by_pyav(OURS)),
        # It gives a frame when the next one is there.
        "ffmpeg": lambda: through(by_ffmpeg(OURS), lag=1),
        "last_frame": last_frame,
        "who_watches": who_watches,
        "reader_first": reader_first,
        "killed": killed,
        "another_size": another_size,
        "run": lambda: run(avatar, motion),
    }
    facts: dict[str, Facts] = {}
    for name, scene in scenes.items():
        began = time.monotonic()
        try:
            facts[name] = scene()
        except Exception:
            facts[name] = {"error": traceback.format_exc()}
        facts[name]["took_s"] = round(time.monotonic() - began, 1)
        print(name, facts[name], flush=True)
        (out / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
