"""Everything that a person does on the control page, in Chromium, while an avatar is running."""

from __future__ import annotations

import base64
import io
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
import pytest
from PIL import Image

from avatar.capture import CameraInfo
from avatar.output import VirtualCameraDevice
from avatar.records import U8
from page.conftest import Opened, Run, Watcher, until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

expect = pytest.importorskip("playwright.sync_api", reason="make test-page installs Playwright").expect
expect.set_options(timeout=20_000)
BEHIND_MS = 100.0
"""How old a picture may be that the page shows."""
GAP_MS = 400.0
"""No frame may be so late. A run alone makes one every 33 ms; here a browser draws on the same processor."""

ENROLLING_GAP_MS = 1000.0
"""Nor so late while pictures are taken apart, which takes all that the processor has."""


def png(picture: U8) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "PNG")
    return packed.getvalue()


def drop(page: Page, name: str, content: bytes, kind: str = "image/png") -> None:
    """Drop a file on the page as a person does."""
    page.evaluate(
        """([name, content, kind]) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], name, { type: kind }));
            for (const event of ["dragenter", "dragover", "drop"])
                document.body.dispatchEvent(
                    new DragEvent(event, { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(content).decode(), kind],
    )


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def assert_no_hole(run: Run, gap_ms: float = GAP_MS) -> None:
    """Nothing was missing from what others saw since `run.output.forget()`."""
    run.until(lambda: len(run.output.indices) > 10)
    assert min(run.output.darkest) > 60, "a black frame"
    assert run.output.longest_gap_ms() < gap_ms * run.slowness


def test_the_avatar_moves_on_the_page_and_is_not_late(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    picture = "document.getElementById('avatar').toDataURL()"
    first = page.evaluate(picture)
    until(page, f"{picture} !== {first!r}")
    behind = page.locator("#avatar")
    expect(behind).to_have_attribute("data-behind", re.compile(r"\d"))
    page.wait_for_timeout(3000)
    assert float(behind.get_attribute("data-behind") or "nan") < BEHIND_MS * run.slowness
    expect(page.locator("#summary")).to_contain_text(re.compile(r"\d+ fps · \d+ ms · face seen"))
    expect(page.locator("#slowest")).to_contain_text("ms")
    names = "['track', 'output 1', 'output 2', 'output 4', 'new'].map(stageName)"
    assert page.evaluate(f"import('/main.js').then(({{ stageName }}) => {names})") == [
        "following your face",
        "handing over to nowhere",
        "handing over to this page",
        "handing over to the virtual camera",
        "new",
    ]
    assert "token" not in page.url


def test_pictures_that_are_dropped_become_an_avatar(run: Run, window: Opened, astronaut: U8) -> None:
    page = window.visit(run.address)
    run.output.forget()
    drop(page, "Ada.png", png(np.ascontiguousarray(astronaut[:, ::-1])))
    dialog = page.get_by_role("dialog", name="New avatar")
    expect(dialog).to_be_visible()
    drop(page, "more.png", png(astronaut))
    expect(dialog.get_by_role("listitem")).to_have_count(2)
    dialog.get_by_role("button", name="Leave out more.png").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    expect(dialog.get_by_label("Name")).to_have_value("Ada")
    dialog.get_by_role("button", name="Make the avatar").click()
    expect(page.get_by_role("button", name="Use Ada")).to_have_attribute(
        "aria-pressed", "true", timeout=30_000
    )
    expect(dialog).to_be_hidden()
    assert_no_hole(run, ENROLLING_GAP_MS)
    assert [entry["name"] for entry in run.play.control.state()["avatars"]] == ["Eileen", "Ada"]


def test_what_is_no_portrait_is_told(run: Run, window: Opened, astronaut: U8) -> None:
    page = window.visit(run.address)
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="New avatar")
    dialog.get_by_role("button", name="Make the avatar").click()
    expect(dialog.get_by_role("alert")).to_have_text("Add a picture first.")
    drop(page, "notes.txt", b"words", "text/plain")
    expect(dialog.get_by_role("alert")).to_have_text("Only pictures can be used.")
    page.keyboard.press("Escape")
    drop(page, "two.png", png(np.concatenate([astronaut, astronaut], axis=1)))
    dialog.get_by_role("button", name="Make the avatar").click()
    dialog.get_by_role("button", name="2 of 2, from the left").click(timeout=20_000)
    expect(page.get_by_role("button", name="Use two")).to_have_attribute(
        "aria-pressed", "true", timeout=30_000
    )
    window.faults[:] = [fault for fault in window.faults if "422" not in fault]


def test_avatars_are_switched_without_a_gap_renamed_and_deleted(run: Run, window: Opened) -> None:
    for name in ("one", "two"):
        identity = run.play.control._parts.gallery.load("guest")
        added = run.play.control._parts.gallery.add(identity)
        run.play.control.rename(added.id, name).result(20)
    page = window.visit(run.address)
    run.output.forget()
    for name in ("one", "two", "Eileen", "one"):
        page.get_by_role("button", name=f"Use {name}").click()
        expect(page.get_by_role("button", name=f"Use {name}")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("3")
    expect(page.get_by_role("button", name="Use two")).to_have_attribute("aria-pressed", "true")
    assert_no_hole(run)
    button(page, "Rename one").click()
    page.get_by_label("Name").last.fill("<b>Grace</b>")
    page.get_by_role("dialog", name="Rename").get_by_role("button", name="Rename").click()
    expect(button(page, "Use <b>Grace</b>")).to_be_visible()
    button(page, "Delete <b>Grace</b>").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(button(page, "Use <b>Grace</b>")).to_have_count(0)
    button(page, "Keep Eileen in the gallery").click()
    expect(button(page, "Delete Eileen")).to_be_visible()


def test_the_neutral_face_is_set_after_a_count_down(
    run: Run, window: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(run.play.stage, "set_neutral", lambda: asked.append(1.0))
    page = window.visit(run.address)
    button(page, "Set neutral face").click()
    dialog = page.get_by_role("dialog", name="Your neutral face")
    expect(dialog).to_contain_text("Look straight at the screen.")
    dialog.get_by_role("button", name="Start").click()
    for left in ("3", "2", "1"):
        expect(dialog.get_by_role("timer")).to_have_text(left)
        assert asked == []
    expect(page.get_by_text("Set. The avatar is calm when you are.")).to_be_visible()
    assert asked == [1.0]
    page.keyboard.press("n")
    dialog.get_by_role("button", name="Start").click()
    page.keyboard.press("Escape")
    page.wait_for_timeout(3500)
    assert asked == [1.0], "it was closed before the end"


def test_backgrounds(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    run.output.forget()
    page.get_by_text("Colour", exact=True).first.click()
    page.locator("#colour").fill("#1020a0")
    run.until(lambda: run.corner() == [0x10, 0x20, 0xA0])
    green = png(np.full((90, 160, 3), (0, 150, 0), np.uint8))
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Picture", exact=True).first.click()
    chooser.value.set_files({"name": "green.png", "mimeType": "image/png", "buffer": green})
    run.until(lambda: run.corner() == [0, 150, 0])
    expect(page.get_by_role("radio", name="Picture")).to_be_checked()
    page.get_by_text("Blurred").click()
    run.until(lambda: run.corner() != [0, 150, 0])
    page.get_by_text("Its own").click()
    expect(page.get_by_role("radio", name="Its own")).to_be_checked()
    run.until(lambda: run.play.control.state()["busy"] is None)
    assert_no_hole(run)


def test_the_room_is_taken_only_when_nobody_is_in_it(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    page.clock.install()
    page.get_by_text("My room").click()
    dialog = page.get_by_role("dialog", name="A picture of your room")
    dialog.get_by_role("button", name="Start").click()
    page.clock.run_for(11_000)
    expect(dialog.get_by_role("alert")).to_contain_text("step out of it and try again", timeout=20_000)
    assert run.play.control.settings.background == "own"
    room = np.full((144, 176, 3), (90, 110, 100), np.uint8)
    room[:, 12::24] = 60
    run.camera.room = room
    run.until(lambda: run.play.control.view.frame is not None and run.play.control.view.frame.rgb is room)
    dialog.get_by_role("button", name="Start").click()
    page.clock.run_for(11_000)
    expect(dialog).to_be_hidden(timeout=20_000)
    run.until(lambda: abs(run.corner()[1] - 110) < 12)
    window.faults[:] = [fault for fault in window.faults if "422" not in fault]


def test_a_background_that_comes_to_nothing_leaves_the_choice_as_it_was(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    own = page.get_by_role("radio", name="Its own")
    page.get_by_text("My room").click()
    page.keyboard.press("Escape")
    expect(own).to_be_checked()
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Picture", exact=True).first.click()
    chooser.value.set_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"words"})
    expect(page.get_by_role("alert").get_by_text("notes.png")).to_be_visible()
    expect(own).to_be_checked()
    window.faults[:] = [fault for fault in window.faults if "422" not in fault]


def test_camera_and_output_are_chosen(run: Run, window: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [CameraInfo(0, "Front", "v4l2"), CameraInfo(3, "Desk", "v4l2")]
    monkeypatch.setattr("avatar.control.devices.list_cameras", lambda: there)
    device = VirtualCameraDevice("/dev/video9", "Studio")
    monkeypatch.setattr("avatar.control.devices.virtual_camera_devices", lambda: [device])
    sent = Watcher()
    monkeypatch.setattr(run.play.control._parts.outlet, "_open", lambda name: sent)
    page = window.visit(run.address)
    run.output.forget()
    cameras = page.get_by_label("Camera", exact=True)
    expect(cameras).to_have_value("0")
    expect(cameras.locator("option")).to_have_text(["Front", "Desk"])
    cameras.select_option("Desk")
    run.until(lambda: run.play.control._parts.source.camera == 3 and run.camera._closed)
    expect(cameras).to_have_value("3")
    outputs = page.get_by_label("Virtual camera")
    outputs.select_option("Studio (/dev/video9)")
    run.until(lambda: len(sent.indices) > 5)
    outputs.select_option("none")
    run.until(lambda: run.play.control.state()["outlet"] is None)
    expect(outputs).to_have_value("")
    assert_no_hole(run)


def test_the_keys_are_listed_on_the_page(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    listed = page.locator("#key-list kbd").all_text_contents()
    used = page.evaluate("import('/main.js').then(({ KEYS }) => Object.keys(KEYS))")
    assert {key.lower() for key in listed} == {*used, "1 … 9", "esc"}


def test_pause_badge_and_sliders(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    button(page, "Be right back").click()
    expect(page.get_by_text("Paused: others see the card")).to_be_visible()
    run.until(lambda: run.output.last is run.play.stage._card)
    page.keyboard.press("p")
    run.until(lambda: run.output.last is not run.play.stage._card)
    assert run.output.last is not None
    page.get_by_role("switch", name="Say that it is artificial").uncheck()
    run.until(lambda: not run.play.stage.badge)
    page.get_by_role("slider", name="Strength").fill("0.5")
    page.get_by_role("slider", name="Head range").fill("0.4")
    run.until(lambda: run.play.stage.tuning.strength == 0.5 and run.play.stage.tuning.reach == 0.4)
    expect(page.locator("#strength-value")).to_have_text("50 %")
    button(page, "Back to normal").click()
    run.until(lambda: run.play.stage.tuning.strength == 1.0)
    expect(page.get_by_role("slider", name="Strength")).to_have_value("1")


def test_recording(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    button(page, "Record").click()
    expect(page.get_by_text(re.compile("Recording avatar-.*mp4"))).to_be_visible()
    page.wait_for_timeout(1500)
    button(page, "Stop recording").click()
    saved = page.get_by_text(re.compile("Saved: "))
    expect(saved).to_be_visible()
    path = Path((saved.text_content() or "").removeprefix("Saved: "))
    with av.open(str(path)) as video:
        assert len(list(video.decode(video=0))) > 10


def test_the_camera_is_shown_only_when_asked_for(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    expect(page.locator("#driver")).to_be_hidden()
    assert not run.play.control.view.feed.watched
    button(page, "Show camera").click()
    expect(page.get_by_role("img", name="Your camera")).to_be_visible()
    run.until(lambda: run.play.control.view.feed.watched)
    until(page, "document.getElementById('driver').toDataURL().length > 8000")
    button(page, "Hide camera").click()
    run.until(lambda: not run.play.control.view.feed.watched)
    page.close()
    run.until(lambda: not run.play.control.preview.feed.watched)


def test_pictures_taken_with_the_camera(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    button(page, "New avatar").click()
    dialog = page.get_by_role("dialog", name="New avatar")
    dialog.get_by_role("button", name="Take one with the camera").click()
    expect(dialog.get_by_role("listitem")).to_have_count(1, timeout=10_000)
    expect(dialog.get_by_label("Name")).to_have_value("Me")
    dialog.get_by_role("button", name="Make the avatar").click()
    expect(page.get_by_role("button", name="Use Me")).to_have_attribute(
        "aria-pressed", "true", timeout=30_000
    )


def test_reload_and_two_tabs(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    other = window.visit(run.address)
    button(page, "Be right back").click()
    expect(button(other, "I am back")).to_be_visible()
    page.get_by_role("slider", name="Smoothing").fill("2")
    expect(other.locator("#smoothing-value")).to_have_text("200 %")
    button(other, "I am back").click()
    page.bring_to_front()
    page.reload()
    until(page, "document.getElementById('waiting').hidden")
    expect(page.locator("#smoothing-value")).to_have_text("200 %")
    for tab in (page, other):
        tab.bring_to_front()
        picture = "document.getElementById('avatar').toDataURL()"
        until(tab, f"{picture} !== {tab.evaluate(picture)!r}")
    expect(button(page, "Be right back")).to_be_visible()


def test_the_end_is_told(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    button(page, "End").click()
    run.until(run.stop.is_set)


def test_keys_can_be_switched_off(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    keys = page.get_by_role("switch", name="Listen to these keys")
    expect(keys).to_be_checked()
    keys.uncheck()
    run.until(lambda: not run.play.control.state()["settings"]["keys"])
    page.reload()
    expect(keys).not_to_be_checked()
    page.keyboard.press("p")
    keys.check()
    run.until(lambda: run.play.control.state()["settings"]["keys"])
    assert not run.play.control.state()["paused"]
    page.keyboard.press("p")
    expect(button(page, "I am back")).to_be_visible()


def test_a_program_that_does_not_answer_is_told(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    window.context.set_offline(True)
    page.keyboard.press("p")
    expect(page.get_by_role("alert").get_by_text("The program does not answer.")).to_be_visible()
    window.context.set_offline(False)
    page.keyboard.press("p")
    expect(button(page, "I am back")).to_be_visible()
    window.faults[:] = [fault for fault in window.faults if "ERR_INTERNET_DISCONNECTED" not in fault]


# For everybody


def test_the_accessibility_tree(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    tree = page.locator("body").aria_snapshot()
    for part in (
        '- heading "livehead" [level=1]',
        '- button "Be right back"',
        '- button "Set neutral face"',
        '- img "The avatar, as others see it"',
        '- button "Use Eileen" [pressed]',
        '- slider "Strength"',
        '- slider "Smoothing"',
        '- slider "Head range"',
        '- radiogroup "Background"',
        '- radio "Its own" [checked]',
        '- switch "Say that it is artificial',
        '- combobox "Camera"',
        '- heading "Keys" [level=2]',
    ):
        assert part in tree, f"{part} is not in:\n{tree}"
    unnamed = re.findall(
        r"- (?:button|slider|switch|radio|checkbox|textbox|combobox|img)(?: \[\w+\])*:?$", tree, re.M
    )
    assert unnamed == []
    for id in ("enroll", "neutral-dialog", "room-dialog", "rename-dialog"):
        page.evaluate(f"document.getElementById('{id}').showModal()")
        assert re.search(r'- dialog "[^"]+"', page.locator("body").aria_snapshot())
        page.evaluate(f"document.getElementById('{id}').close()")


def test_the_keyboard_reaches_everything(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.avatar"))
    assert {
        "end",
        "pause",
        "neutral",
        "record",
        "view",
        "guest",
        "add",
        "strength",
        "badge",
        "mirror",
        "keys",
    } <= reached
    page.locator("#pause").focus()
    page.keyboard.press("Enter")
    expect(button(page, "I am back")).to_be_focused()
    page.keyboard.press("m")
    expect(page.get_by_role("switch", name="Mirror for me")).to_be_checked()
    page.keyboard.press("r")
    expect(button(page, "Stop recording")).to_be_visible()
    page.keyboard.press("r")
    page.keyboard.press("a")
    page.get_by_role("dialog", name="New avatar").get_by_label("Name").fill("")
    page.keyboard.type("pr1m")
    assert page.get_by_role("dialog", name="New avatar").get_by_label("Name").input_value() == "pr1m"
    page.keyboard.press("Escape")
    assert run.play.control.state()["recording"] is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (820, 1100), (390, 844), (320, 640)])
def test_it_fits_and_can_be_read(
    run: Run, window: Opened, scheme: Literal["light", "dark"], size: tuple[int, int]
) -> None:
    page = window.visit(run.address)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    faint = page.evaluate(CONTRASTS)
    assert faint == []


CONTRASTS = """() => {
    const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0.7) return colour;
        }
        return [255, 255, 255];
    };
    return [...document.querySelectorAll("main *, header *")]
        .filter((element) => element.checkVisibility() && !element.closest(":disabled, .screen, .unseen"))
        .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .filter((element) => !element.matches(":has(:disabled), :disabled + span"))
        .map((element) => {
            const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
            return [element.textContent.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
        })
        .filter(([, contrast]) => contrast < 4.5);
}"""
"""Texts whose contrast is below 4.5 : 1 (WCAG AA)."""


# Foreigners

EVIL = """<!doctype html><title>evil</title><script>
window.done = [];
const at = (path) => `${TARGET}${path}`;
const note = (what) => (got) => window.done.push(`${what}: ${got}`);
const known = { credentials: "include" };
const post = (path, body) => fetch(at(path), { method: "POST", mode: "no-cors", ...known, body });
post("/api/pause", '{"paused": true}').then(() => note("post")("opaque"), note("post"));
post("/api/end", "").then(() => note("end")("opaque"), note("end"));
fetch(at("/api/cameras"), known).then(() => note("read")("read"), () => note("read")("refused"));
const image = new Image();
image.onload = () => note("image")("read");
image.onerror = () => note("image")("refused");
image.src = at("/api/avatars/guest/picture");
const socket = new WebSocket(at("/api/socket").replace("http", "ws"));
socket.onmessage = () => note("socket")("read");
socket.onerror = () => note("socket")("refused");
const script = document.createElement("script");
script.onload = () => note("script")("read");
script.onerror = () => note("script")("refused");
script.src = at("/strings.js");
document.head.append(script);
</script><iframe></iframe>"""


def test_a_foreign_page_in_the_same_browser_reads_and_changes_nothing(run: Run, window: Opened) -> None:
    page = window.visit(run.address)
    target = page.url.rstrip("/")

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = EVIL.replace("${TARGET}", target).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    # Another port of the very same host: cookies know no ports, so the browser sends ours along.
    with HTTPServer(("127.0.0.1", 0), Evil) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for host in ("127.0.0.1", "localhost"):
            tab = window.context.new_page()
            tab.goto(f"http://{host}:{server.server_port}/")
            until(tab, "window.done.length >= 6")
            done = dict(line.split(": ", 1) for line in tab.evaluate("window.done"))
            assert {done[what] for what in ("read", "image", "socket", "script")} == {"refused"}, done
        server.shutdown()
    state = run.play.control.state()
    assert not state["paused"]
    assert not run.stop.is_set()
