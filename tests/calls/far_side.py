"""What the tests of calls do in the far network: join with a browser, and look at what comes."""

from __future__ import annotations

import time
from typing import Any

from bench.call_ends import JOINED
from bench.chromium import Chromium, Page

PLAYS = "document.getElementById('theirs')?.currentTime > 0"
STATS = """(async () => { for (const one of (await livehead.connection.getStats()).values())
  if (one.type === 'inbound-rtp' && one.kind === 'video')
    return {decoded: one.framesDecoded, frozen: one.totalFreezesDuration, freezes: one.freezeCount,
            width: one.frameWidth, lost: one.packetsLost}; return {decoded: 0}; })()"""


def join(browser: Chromium, link: str) -> Page:
    page = browser.page(link)
    page.wait("document.body.dataset.state === 'ready'")
    page.run("document.getElementById('join').click()")
    page.wait(JOINED, 60)
    page.wait(PLAYS, 60)
    return page


def happens(page: Page, seconds: float) -> dict[str, Any]:
    """What happens in so many seconds of a call."""
    before = page.run(STATS)
    time.sleep(seconds)
    after = page.run(STATS)
    return {name: after[name] - (before.get(name) or 0) for name in ("decoded", "frozen", "freezes", "lost")}


def goes_on(page: Page, seconds: float, least_fps: float) -> None:
    """See that pictures come; what else the computer does may hold them up twice."""
    found = [happens(page, seconds)]
    while found[-1]["decoded"] < least_fps * seconds:
        assert len(found) < 3, (found, page.text())
        found.append(happens(page, seconds))
