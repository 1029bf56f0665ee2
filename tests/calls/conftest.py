"""Networks, browsers and an avatar for the tests of calls; without what they need, all are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from how_slow import how_slow

from avatar.cli.main import main
from avatar.demo import demo_portrait
from avatar.weights import resolve
from bench import netns
from bench.chromium import Chromium
from bench.chromium import missing as no_chromium
from bench.netns import Networks, Weather


@pytest.fixture(scope="session", autouse=True)
def _what_is_needed() -> None:
    for reason in (no_chromium(), netns.missing()):
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def me(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The astronaut, enrolled."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("me")
    Image.fromarray(demo_portrait()).save(folder / "me.png")
    assert main(["enroll", str(folder / "me.png"), "-o", str(folder / "me.avatar")]) == 0
    return str(folder / "me.avatar")


@pytest.fixture(scope="session")
def clip() -> tuple[str, str]:
    """Options that make a clip the camera."""
    return "--camera", str(resolve("carphone_clip"))


@pytest.fixture
def networks() -> Iterator[Networks]:
    with Networks() as made:
        yield made


@pytest.fixture
def bad_networks() -> Iterator[Networks]:
    if reason := netns.missing(bad=True):
        pytest.skip(reason)
    with Networks(Weather()) as made:
        made.cut()
        yield made


@pytest.fixture
def browser(networks: Networks) -> Iterator[Chromium]:
    with Chromium(networks.inside(networks.far)) as made:
        yield made


@pytest.fixture
def limit() -> Callable[[float], float]:
    """What a limit [s] is on this computer, judged before the test and when it is asked for."""
    before = how_slow()
    return lambda seconds: seconds * max(before, how_slow())
