"""The control page: what a run shows and lets be changed in a browser of this machine."""

from __future__ import annotations

from avatar.page.page import Page, has_browser

__all__ = ["Page", "has_browser"]
