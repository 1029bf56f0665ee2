"""Calls over WebRTC: the avatar to a browser, to a conference server, and a browser as the camera."""

from __future__ import annotations

# before PyAV, which aiortc loads, or no window could be opened: see avatar.output
import cv2  # noqa: F401

from avatar.call.call import Call, CallOptions
from avatar.call.camera import BrowserCamera
from avatar.call.ice import Ice, parse_ice

__all__ = ["BrowserCamera", "Call", "CallOptions", "Ice", "parse_ice"]
