"""A real browser for measuring calls: Chromium without a window, driven over its debugging pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avatar.errors import AvatarError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-default-apps", "--disable-dev-shm-usage", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--ignore-certificate-errors",
    "--remote-debugging-pipe",
    "--window-size=640,640",
)  # fmt: skip
PATIENCE_S = 60.0


def missing() -> str | None:
    """Why there is no Chromium here; None if there is one."""
    return None if _program() else f"none of {', '.join(PROGRAMS)} is installed"


def _program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Chromium:
    """One browser with a profile of its own; use it in `with`.

    Args:
        before: what stands before the command, as ("ip", "netns", "exec", "a").
        camera: an .mjpeg or .y4m file that is its webcam, again and again; None is Chromium's green pattern.
        sound: a .wav file that is its microphone; None is Chromium's beep.
        more: further options.

    Raises:
        AvatarError: it is not installed, or does not start.
    """

    def __init__(
        self,
        before: Sequence[str] = (),
        *,
        camera: Path | None = None,
        sound: Path | None = None,
        more: Sequence[str] = (),
    ) -> None:
        program = _program()
        if program is None:
            raise AvatarError(f"no Chromium: {missing()}")
        self._profile = tempfile.TemporaryDirectory(prefix="livehead-chromium-", ignore_cleanup_errors=True)
        command = [*before, program, *OPTIONS, f"--user-data-dir={self._profile.name}", *more]
        if camera is not None:
            command.append(f"--use-file-for-fake-video-capture={camera}")
        if sound is not None:
            command.append(f"--use-file-for-fake-audio-capture={sound}")
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        line = f"exec {shlex.join(command)} about:blank 3<&{to_read} 4>&{to_write}"
        self._process = subprocess.Popen(
            ["bash", "-c", line],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._read, name="chromium", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of its first process; the others are its children."""
        return self._process.pid

    def cpu_s(self) -> float:
        """Processor time that it and its children took so far [s]; 0 where /proc does not tell."""
        parents: dict[int, list[int]] = {}
        took: dict[int, float] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (
                    (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
            took[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        ours = [self.pid]
        for number in ours:
            ours += parents.get(number, [])
        return sum(took.get(number, 0.0) for number in ours)

    def page(self, url: str) -> Page:
        """Open a page, and wait until it is loaded."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        page.go(url)
        return page

    def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """One command of the DevTools protocol; AvatarError if it is refused or not answered in time."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[number] = answers
        with self._lock:
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self._to, data) :]
        try:
            answer = answers.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise AvatarError(f"Chromium does not answer to {method}") from None
        finally:
            del self._answers[number]
        if "error" in answer:
            raise AvatarError(f"Chromium: {method}: {answer['error'].get('message')}")
        found: dict[str, Any] = answer["result"]
        return found

    def close(self) -> None:
        """End it, whatever it does."""
        os.close(self._to)  # its end of the pipe is its sign to go
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._thread.join(5)
        os.close(self._from)
        self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        rest = b""
        while data := os.read(self._from, 1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                answers = self._answers.get(message.get("id", 0))
                if answers is not None:
                    answers.put(message)
        for answers in list(self._answers.values()):
            answers.put({"error": {"message": "the browser is gone"}})


class Page:
    """One tab."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", {"source": _NOTE_ERRORS})

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """One command of the DevTools protocol for this page."""
        return self._browser.call(method, parameters, self._session)

    def go(self, url: str) -> None:
        """Load `url`; AvatarError if it cannot be reached."""
        error = self.call("Page.navigate", {"url": url}).get("errorText")
        if error:
            raise AvatarError(f"Chromium: {url}: {error}")
        self.wait("document.readyState === 'complete'")

    def reload(self) -> None:
        """As the button does."""
        self.call("Page.reload")

    def run(self, script: str) -> Any:
        """What a JavaScript expression gives; a promise is waited for. AvatarError if it throws."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AvatarError(f"script: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def wait(self, condition: str, patience_s: float = 20.0) -> None:
        """Wait until a JavaScript expression is true; AvatarError after `patience_s`."""
        loop = (
            f"(async () => {{ const end = performance.now() + {patience_s * 1000};"
            f"while (performance.now() < end) {{ if ({condition}) return true;"
            " await new Promise((r) => setTimeout(r, 20)); } return false; })()"
        )
        if not self.run(loop):
            raise AvatarError(f"the page did not come to: {condition}; it says {self.text()!r}")

    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("document.body?.innerText ?? ''")).strip()

    def errors(self) -> list[str]:
        """Errors of scripts since the page was loaded."""
        return [str(one) for one in self.run("window.errorsNoted ?? []")]

    def look(self, size: tuple[int, int], *, dark: bool = False, phone: bool = False) -> bytes:
        """A PNG of the page in a window of that size."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [scheme]})
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


_NOTE_ERRORS = """
window.errorsNoted = [];
addEventListener("error", (event) => errorsNoted.push(event.message));
addEventListener("unhandledrejection", (event) => errorsNoted.push(String(event.reason)));
"""
