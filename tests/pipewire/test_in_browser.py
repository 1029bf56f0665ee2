"""What a browser lists, as a meeting in it would (make test-pipewire)."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from avatar.audio import NAME, Carrier

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WHAT_IT_HEARS = """async () => {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    const label = stream.getAudioTracks()[0].label;
    stream.getTracks().forEach((track) => track.stop());
    const listed = await navigator.mediaDevices.enumerateDevices();
    return listed.filter((one) => one.kind === "audioinput").map((one) => one.label).concat(label);
}"""


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """A page that may ask for microphones: one of this computer."""
    server = HTTPServer(("127.0.0.1", 0), _Empty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_chromium_lists_the_microphone(desk_microphone: str, address: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    programs = [found for name in BROWSERS if (found := shutil.which(name))]
    if not programs:
        pytest.skip("there is no Chromium")
    with closing(Carrier(desk_microphone)), playwright.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=programs[0],
            args=["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--no-first-run"],
        )
        page = browser.new_page()
        page.goto(address)
        heard = page.evaluate(WHAT_IT_HEARS)
        browser.close()
    print(heard)
    assert NAME in heard
    assert not any("not to be listened to" in label for label in heard)
