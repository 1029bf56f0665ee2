"""The window: refused in one line where there is no display, and tried on a display without a screen."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_clips import picture
from PIL import Image

from avatar.errors import OutputError
from avatar.output import window as window_module
from avatar.output.display import missing_display
from avatar.output.window import Window
from avatar.records import U8, Frame

TESTS = Path(__file__).parent


def test_no_display(tmp_path: Path) -> None:
    def why(**env: str) -> str | None:
        return missing_display(platform="linux", env=env, sockets=tmp_path)

    assert "DISPLAY is not set" in (why() or "")
    assert "Wayland but no X11" in (why(WAYLAND_DISPLAY="wayland-0") or "")
    assert why(DISPLAY=":93") == "the display :93 does not answer"
    assert why(DISPLAY="nonsense") == "the display nonsense does not answer"
    assert missing_display(platform="darwin", env={}) is None
    assert missing_display(platform="win32", env={}) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no X11")
def test_a_display_that_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "X93"))
        server.listen()
        for display in (":93", ":93.0", "unix:93"):
            assert missing_display(platform="linux", env={"DISPLAY": display}, sockets=tmp_path) is None


def test_a_display_over_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1] - 6000
        if number < 0:
            pytest.skip("the port is too low to stand for a display")
        assert missing_display(platform="linux", env={"DISPLAY": f"127.0.0.1:{number}.0"}) is None
    gone = missing_display(platform="linux", env={"DISPLAY": f"127.0.0.1:{number}.0"})
    assert gone == f"the display 127.0.0.1:{number}.0 does not answer"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
@pytest.mark.parametrize("display", [None, ":93"])
def test_without_a_display_it_is_one_line(monkeypatch: pytest.MonkeyPatch, display: str | None) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(OutputError, match=r"no window can be opened: .*; take --output FILE") as caught:
        Window()
    assert "\n" not in str(caught.value)


class StandInGui:
    """Behaves as the window functions of cv2."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[U8] = []
        self.keys: list[int] = []
        self.visible = 1.0
        self.open: list[str] = []
        monkeypatch.setattr(window_module, "missing_display", lambda: None)
        monkeypatch.setattr(window_module, "windows_would_hang", lambda: False)
        monkeypatch.setattr(cv2, "currentUIFramework", lambda: "TEST")
        monkeypatch.setattr(cv2, "namedWindow", lambda title, flags: self.open.append(title))
        monkeypatch.setattr(cv2, "resizeWindow", lambda title, width, height: None)
        monkeypatch.setattr(cv2, "imshow", lambda title, picture: self.shown.append(picture))
        monkeypatch.setattr(cv2, "waitKey", lambda ms: self.keys.pop(0) if self.keys else -1)
        monkeypatch.setattr(cv2, "getWindowProperty", self.get_property)
        monkeypatch.setattr(cv2, "destroyWindow", self.open.remove)

    def get_property(self, title: str, prop: int) -> float:
        if self.visible < 0:
            raise cv2.error("(-27:Null pointer) NULL guiReceiver (please create a window)")
        return self.visible


@pytest.fixture
def gui(monkeypatch: pytest.MonkeyPatch) -> StandInGui:
    return StandInGui(monkeypatch)


def left_red() -> Frame:
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[:, :15] = (255, 0, 0)
    return Frame(rgb, 0, 0)


def test_people_see_themselves_as_in_a_mirror(gui: StandInGui) -> None:
    Window()(left_red())
    assert gui.shown[0][10, 25].tolist() == [0, 0, 255]  # red, in OpenCV's order, on the right
    assert gui.shown[0][10, 5].tolist() == [0, 0, 0]


def test_or_not(gui: StandInGui) -> None:
    frame = left_red()
    Window(mirror=False)(frame)
    assert gui.shown[0][10, 5].tolist() == [0, 0, 255]
    assert frame.rgb[10, 5].tolist() == [255, 0, 0]


@pytest.mark.parametrize("key", [27, ord("q")])
def test_keys_that_end_it(gui: StandInGui, key: int) -> None:
    window = Window()
    window(left_red())
    assert not window.closed
    gui.keys = [key]
    window(left_red())
    assert window.closed
    window(left_red())
    assert window.frames == len(gui.shown) == 2
    window.close()
    window.close()
    assert gui.open == []


@pytest.mark.parametrize("visible", [0.0, -1.0])
def test_closing_it_ends_it(gui: StandInGui, visible: float) -> None:
    window = Window()
    gui.visible = visible
    window(left_red())
    assert window.closed
    gui.open.clear()
    window.close()


def test_other_keys_are_passed_on(gui: StandInGui) -> None:
    pressed: list[str] = []
    window = Window(on_key=pressed.append)
    gui.keys = [ord("n"), -1, 0x100000 + ord("m")]
    for _ in range(3):
        window(left_red())
    assert pressed == ["n", "m"]
    assert not window.closed


def test_an_opencv_without_windows(gui: StandInGui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(OutputError, match="built without windows"):
        Window()


def test_an_opencv_that_fails_at_it(gui: StandInGui, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(title: str, flags: int) -> None:
        raise cv2.error("OpenCV(5.0.0) window.cpp:1301: error: (-2)\nRebuild the library\n")

    monkeypatch.setattr(cv2, "namedWindow", fail)
    with pytest.raises(OutputError, match="no window can be shown: Rebuild the library"):
        Window()(left_red())


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A display that nobody looks at."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("there is no Xvfb here, which gives a display without a screen")
    read, write = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    assert number
    yield f":{number}"
    server.terminate()
    server.wait(10)


REAL = """
import sys
sys.path.insert(0, {tests!r})
from avatar.output.window import Window
from made_clips import frame
window = Window(mirror=False)
for number in range(30):
    window(frame(7, (320, 240)))
from PIL import ImageGrab
shot = ImageGrab.grab(xdisplay={display!r})
shot.save(sys.argv[1])
window.close()
print(window.frames, window.closed)
"""


@pytest.mark.parametrize(
    "program",
    [
        "import av\nfrom avatar.output import Window\nWindow()",
        "import avatar.output\nimport av\navatar.output.Window().close()\nprint('good')",
        "import avatar.capture\nimport av\nfrom avatar.output import Window\nWindow().close()\nprint('good')",
    ],
)
def test_libraries_in_the_wrong_order_do_not_hang(screen: str, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "DISPLAY": screen},
    )
    if program.startswith("import av\n"):
        assert "OutputError: no window can be opened: 'av' was imported before 'cv2'" in done.stderr
    else:
        assert done.stdout == "good\n"


def test_a_real_window(screen: str, tmp_path: Path) -> None:
    code = REAL.format(tests=str(TESTS), display=screen)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "shot.png")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "DISPLAY": screen},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "30 False\n"
    shot = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    match = cv2.matchTemplate(shot, picture(7, (320, 240)), cv2.TM_SQDIFF_NORMED)
    assert match.min() < 0.01
