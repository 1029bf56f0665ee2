"""What is laid over the avatar: the badge that says it is artificial; and the card in place of it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avatar.records import F32, U8

BADGE = "AI GENERATED"
"""As the Code of Practice to Article 50 of the European AI Act words it."""
PAUSED = "Be right back"
OFF = "Camera off"

_HEIGHT = 0.052
"""Of the badge, as a part of the canvas' smaller side;"""
_HEIGHT_MIN = 18
"""[px], and not less than can be read."""
_MARGIN = 0.028
_FINE = 4
"""Drawn so much bigger and then scaled down: PIL's own edges are rough."""
_BADGE_GROUND = (12, 16, 24, 190)
_INK = (255, 255, 255, 255)
_CARD_TOP, _CARD_BOTTOM = (38, 46, 62), (20, 25, 36)
_CARD_INK = (226, 231, 240, 255)


class Badge:
    """Lays the badge over frames of one size, at the top right.

    Args:
        size: (width, height) of the frames.
        text: what it says.
    """

    def __init__(self, size: tuple[int, int], text: str = BADGE) -> None:
        width = size[0]
        pill = _pill(text, max(_HEIGHT_MIN, round(_HEIGHT * min(size))), width)
        margin = round(_MARGIN * min(size))
        across, down = pill.shape[1], pill.shape[0]
        self.rows = slice(margin, margin + down)
        """Of the frame that it covers, and"""
        self.columns = slice(max(0, width - margin - across), max(0, width - margin - across) + across)
        """columns."""
        alpha = pill[..., 3:].astype(np.float32) / np.float32(255)
        self._ink: F32 = pill[..., :3] * alpha + np.float32(0.5)
        self._through: F32 = np.repeat(1 - alpha, 3, axis=2)

    def __call__(self, rgb: U8) -> None:
        """Lay it over `rgb` (H, W, 3), which is changed."""
        part = rgb[self.rows, self.columns]
        part[:] = part * self._through + self._ink

    def mirrored(self, rgb: U8) -> U8:
        """`rgb`, which has the badge, as in a mirror; the badge moves over, too, but can still be read."""
        turned = np.ascontiguousarray(rgb[:, ::-1])
        width = rgb.shape[1]
        there = slice(width - self.columns.stop, width - self.columns.start)
        # The pill's own outline is the same in a mirror: around it stays what is behind.
        np.copyto(turned[self.rows, there], rgb[self.rows, self.columns], where=self._through < 1)
        return turned


def card(size: tuple[int, int], text: str = PAUSED) -> U8:
    """A calm picture (H, W, 3) with a line of text, for when there is nothing else to show."""
    width, height = size
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, bottom = (np.array(colour, np.float32) for colour in (_CARD_TOP, _CARD_BOTTOM))
    ground = np.broadcast_to(top + down * (bottom - top), (height, width, 3))
    picture = Image.fromarray(np.rint(ground).astype(np.uint8))
    font = _font(text, 0.085 * height, 0.8 * width)
    ImageDraw.Draw(picture).text((width / 2, height / 2), text, font=font, fill=_CARD_INK[:3], anchor="mm")
    return np.array(picture)


def _pill(text: str, height: int, room: int) -> U8:
    """(height, W, 4) RGBA: rounded ground, a ring, the text."""
    tall = _FINE * height
    font = _font(text, 0.52 * tall, _FINE * room * 0.5)
    left, _, right, _ = font.getbbox(text)
    ring, pad = 0.3 * tall, 0.42 * tall
    wide = round(right - left + 2 * pad + ring + 0.22 * tall)
    picture = Image.new("RGBA", (wide, tall), (*_BADGE_GROUND[:3], 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, wide - 1, tall - 1), tall / 2, fill=_BADGE_GROUND)
    middle, thick = tall / 2, max(1, round(0.07 * tall))
    draw.ellipse((pad, middle - ring / 2, pad + ring, middle + ring / 2), outline=_INK, width=thick)
    draw.text((pad + ring + 0.22 * tall, middle), text, font=font, fill=_INK, anchor="lm")
    return np.array(picture.resize((max(1, round(wide / _FINE)), height), Image.Resampling.BOX))


def _font(text: str, size: float, room: float) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, as big as wanted, or as fits into `room` pixels."""
    font = ImageFont.load_default(max(1.0, size))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType, and text cannot be drawn")
    wide = font.getlength(text)
    return font if wide <= room else font.font_variant(size=max(1.0, size * room / wide))
