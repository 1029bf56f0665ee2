"""Still pictures for enrolment: whatever a phone, a scanner or a painter's museum gives, as upright RGB."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from avatar.errors import PictureError
from avatar.records import U8

MAX_PIXELS = 64_000_000
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm"}
)
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Not all that Pillow reads: EPS, for one, would start another program."""
_HEAD = 12
"""Bytes that tell what a file is."""
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim", b"heis")


def read_picture(path: str | Path) -> U8:
    """Read a picture as (H, W, 3) uint8 RGB, C-contiguous: upright, 8 bits, on white where it is transparent.

    Raises:
        PictureError: missing, unreadable, cut short, of an unknown kind, or huge (> 64 megapixels).
    """
    if "://" in str(path):
        raise PictureError(f"{path}: addresses are not read, save the picture as a file first")
    path = Path(path)
    _check_file(path)
    return _decoded(path, str(path))


def decode_picture(content: bytes, called: str) -> U8:
    """The same of the content of a file; `called` names it in errors."""
    _check_head(content[:_HEAD], called)
    return _decoded(io.BytesIO(content), called)


def _decoded(file: Path | io.BytesIO, called: str) -> U8:
    Image.init()
    formats = [name for name in _FORMATS if name in Image.OPEN]  # some are left out of some builds
    try:
        with warnings.catch_warnings():
            # Pillow's own bomb warning: the check below is stricter. Its other warnings are about metadata.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=formats) as image:
                _check_size(called, image.size)
                image.load()
                return _to_rgb(image)
    except Image.DecompressionBombError:
        raise PictureError(f"{called}: the picture is huge, at most 64 megapixels are read") from None
    except UnidentifiedImageError:
        raise PictureError(f"{called}: is not a picture this program can read, try JPEG or PNG") from None
    except Exception as error:  # what decoders raise over a damaged file has no end
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(f"{called}: the picture cannot be read: {reason}") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise PictureError(f"{path}: is a folder, not a picture")
    if not path.exists():
        raise PictureError(f"{path}: there is no such file")
    if not path.is_file():
        raise PictureError(f"{path}: is not a file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror or error}") from error
    _check_head(head, str(path))


def _check_head(head: bytes, called: str) -> None:
    if not head:
        raise PictureError(f"{called}: the file is empty")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        raise PictureError(f"{called}: HEIC pictures are not read, save it as JPEG or PNG first")


def _check_size(called: str, size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{called}: the picture is huge ({width}x{height}), "
            f"at most {MAX_PIXELS // 10**6} megapixels are read, scale it down"
        )


def _to_rgb(image: Image.Image) -> U8:
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        grey = _grey8(np.asarray(upright))
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, rgba)
    rgb = _to_srgb(upright.convert("RGB"), profile if image.mode in ("RGB", "RGBA") else None)
    return np.ascontiguousarray(rgb, dtype=np.uint8)


def _grey8(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> U8:
    """Bring one deep channel to 8 bits: integers count to 65535, floats to 1, or to 255 if any is above."""
    grey = np.nan_to_num(values.astype(np.float32))
    if np.issubdtype(values.dtype, np.floating):
        scale = 255.0 if grey.max(initial=0.0) <= 1.0 else 1.0
    else:
        scale = 1 / 257
    grey8: U8 = np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8)
    return grey8


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Phones write Display P3; taken for sRGB the skin would be pale. A broken profile is ignored."""
    if not profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted if converted is not None else image
