"""Pictures as phones, scanners and browsers save them come out as upright RGB; the rest is one clear line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from avatar.capture.pictures import MAX_PIXELS, read_picture
from avatar.errors import PictureError
from avatar.records import U8

ORIENTATION = 0x0112


def quarters() -> Image.Image:
    """48x32: red and green above, blue and white below."""
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:16, :24], rgb[:16, 24:] = (255, 0, 0), (0, 255, 0)
    rgb[16:, :24], rgb[16:, 24:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(rgb)


def corners(rgb: U8) -> list[str]:
    """Colours at the top left, top right, bottom left, bottom right."""
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    points = (rgb[4, 4], rgb[4, -5], rgb[-5, 4], rgb[-5, -5])
    return [names[int(r > 127), int(g > 127), int(b > 127)] for r, g, b in points]


def check_form(rgb: U8) -> None:
    assert rgb.dtype == np.uint8
    assert rgb.ndim == 3
    assert rgb.shape[2] == 3
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff", "avif", "ppm"])
def test_usual_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"me.{suffix}"
    quarters().save(path)
    rgb = read_picture(path)
    check_form(rgb)
    assert rgb.shape == (32, 48, 3)
    assert corners(rgb) == ["red", "green", "blue", "white"]


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "me.png"
    quarters().save(path, format="JPEG")
    assert corners(read_picture(str(path))) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, ["red", "green", "blue", "white"]),
        (2, ["green", "red", "white", "blue"]),
        (3, ["white", "blue", "green", "red"]),
        (6, ["blue", "red", "white", "green"]),
        (8, ["green", "white", "red", "blue"]),
    ],
)
def test_phone_pictures_are_upright(tmp_path: Path, orientation: int, expected: list[str]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / "phone.jpg"
    quarters().save(path, exif=exif, quality=95)
    rgb = read_picture(path)
    check_form(rgb)
    assert rgb.shape == ((48, 32, 3) if orientation in (6, 8) else (32, 48, 3))
    assert corners(rgb) == expected


def test_transparency_becomes_white(tmp_path: Path) -> None:
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[:, 10:] = (200, 0, 0, 255)
    rgba[:5, 10:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "cut_out.png")
    rgb = read_picture(tmp_path / "cut_out.png")
    check_form(rgb)
    assert rgb[15, 3].tolist() == [255, 255, 255]
    assert rgb[15, 15].tolist() == [200, 0, 0]
    assert np.abs(rgb[2, 15].astype(int) - (227, 127, 127)).max() <= 1


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    paletted = quarters().quantize(8)
    red = paletted.getpixel((2, 2))
    paletted.save(tmp_path / "p.png", transparency=red)
    assert corners(read_picture(tmp_path / "p.png")) == ["white", "green", "blue", "white"]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK"])
def test_other_colour_models(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    quarters().convert(mode).save(path)
    rgb = read_picture(path)
    check_form(rgb)
    assert rgb[-5, -5].min() > 240


def test_sixteen_bits_grey_keep_their_range(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(8, axis=0)
    Image.fromarray(grey).save(tmp_path / "x.png")
    rgb = read_picture(tmp_path / "x.png")
    check_form(rgb)
    # clipping at 255, as a plain conversion does, would make nearly all of it white
    assert np.abs(rgb[0, :, 0].astype(float) - np.linspace(0, 255, 64)).max() <= 1


def write_png_16_bit_rgb(path: Path, value: tuple[int, int, int], side: int = 8) -> None:
    """Pillow does not write these, cameras do."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + struct.pack(">3H", *value) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bits_colour(tmp_path: Path) -> None:
    write_png_16_bit_rgb(tmp_path / "x.png", (51400, 25700, 12850))
    assert np.abs(read_picture(tmp_path / "x.png")[3, 3].astype(int) - (200, 100, 50)).max() <= 1


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(tmp_path: Path, top: float) -> None:
    grey = np.linspace(0, top, 64, dtype=np.float32)[None].repeat(8, axis=0)
    Image.fromarray(grey).save(tmp_path / "x.tiff")
    rgb = read_picture(tmp_path / "x.tiff")
    assert np.abs(rgb[0, :, 0].astype(float) - np.linspace(0, 255, 64)).max() <= 1


def test_a_broken_colour_profile_is_ignored(tmp_path: Path) -> None:
    quarters().save(tmp_path / "x.png", icc_profile=b"no profile at all")
    assert corners(read_picture(tmp_path / "x.png")) == ["red", "green", "blue", "white"]


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # the red and the green primary of sRGB exchanged: what was red is green now
    exchanged = lab.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    quarters().save(tmp_path / "x.png", icc_profile=exchanged)
    assert corners(read_picture(tmp_path / "x.png")) == ["green", "red", "blue", "white"]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    other = Image.new("RGB", (48, 32), (0, 0, 0))
    quarters().save(tmp_path / "x.gif", save_all=True, append_images=[other])
    assert corners(read_picture(tmp_path / "x.gif")) == ["red", "green", "blue", "white"]


def refused(path: Path | str, match: str) -> None:
    with pytest.raises(PictureError, match=match) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "x.jpg", "there is no such file")
    refused(tmp_path, "is a folder")
    refused("https://example.org/me.jpg", "addresses are not read")
    (tmp_path / "empty.jpg").write_bytes(b"")
    refused(tmp_path / "empty.jpg", "file is empty")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("hello, this is text\n" * 20)
    refused(tmp_path / "x.jpg", "is not a picture")
    (tmp_path / "x.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    refused(tmp_path / "x.svg", "is not a picture")


def test_postscript_is_not_run(tmp_path: Path) -> None:
    head = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    (tmp_path / "x.eps").write_text(f"{head}showpage\n")
    refused(tmp_path / "x.eps", "is not a picture")


def test_heic_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 100)
    refused(tmp_path / "x.heic", "HEIC pictures are not read, save it as JPEG or PNG")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "gif"])
def test_a_truncated_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, "cannot be read|is not a picture")


def test_a_damaged_avif(tmp_path: Path) -> None:
    """Its decoder tells of damage with an error of another kind."""
    path = tmp_path / "x.avif"
    quarters().save(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    refused(path, "cannot be read")


def png_claiming(path: Path, width: int, height: int) -> None:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    data = zlib.compress(b"\0" * 1000)
    idat = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + idat)


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (60_000, 60_000)])
def test_a_huge_picture_is_not_unpacked(tmp_path: Path, size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MAX_PIXELS
    png_claiming(tmp_path / "bomb.png", *size)
    refused(tmp_path / "bomb.png", "the picture is huge")


def test_a_large_picture_is_read(tmp_path: Path) -> None:
    Image.new("L", (6000, 4000), 99).save(tmp_path / "x.png")
    rgb = read_picture(tmp_path / "x.png")
    assert rgb.shape == (4000, 6000, 3)
