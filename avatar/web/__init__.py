"""What every page of the program is served with: a server, its certificate, and who may ask it."""

from __future__ import annotations
