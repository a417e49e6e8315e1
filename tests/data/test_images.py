"""Opening images: upright, RGB, and a clear word for what cannot be opened."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from groundgraph.data import images
from groundgraph.data.images import ImageError, image_size, locate, open_image


def test_exif_orientation_is_applied(tmp_path):
    picture = Image.new("RGB", (4, 2), "black")
    picture.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show it
    picture.save(tmp_path / "a.png", exif=exif)
    opened = open_image(tmp_path / "a.png")
    assert opened.size == (2, 4) == image_size(tmp_path / "a.png")
    assert opened.getpixel((1, 0)) == (255, 0, 0)  # the top left corner went to the top right


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("LA", (9, 0), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 100, (100, 100, 100)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, seen):
    Image.new(mode, (3, 2), colour).save(tmp_path / "a.png")
    opened = open_image(tmp_path / "a.png")
    assert opened.mode == "RGB" and opened.getpixel((0, 0)) == seen


def test_cmyk_and_palette(tmp_path):
    Image.new("CMYK", (3, 2), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert open_image(tmp_path / "a.jpg").getpixel((0, 0)) == (255, 255, 255)
    Image.new("RGB", (3, 2), (0, 255, 0)).quantize(2).save(tmp_path / "a.gif")
    assert open_image(tmp_path / "a.gif").getpixel((0, 0)) == (0, 255, 0)


def test_what_cannot_be_opened_names_file_and_fix(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name, word in (
        ("cut.jpg", "truncated"),
        ("text.jpg", "not an image"),
        ("empty.jpg", "not an image"),
        ("absent.jpg", "no such image"),
        (".", "not an image"),
    ):
        with pytest.raises(ImageError, match=word) as caught:
            open_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "out" in str(caught.value)


def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path, monkeypatch):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ImageError, match="too large"):
        open_image(tmp_path / "bomb.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 399)
    with pytest.raises(ImageError, match=r"20 x 20 pixels; the limit is 399"):
        image_size(tmp_path / "a.png")


def test_locate_stays_inside_the_folder(tmp_path):
    inner = tmp_path / "images"
    (inner / "train").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(inner / "train" / "a.png")
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    assert locate(inner, "train/a.png") == inner / "train" / "a.png"
    for name in (
        "../secret.png",
        "train/../../secret.png",
        str(tmp_path / "secret.png"),
        "..\\secret.png",
        "C:\\a",
        "",
    ):
        with pytest.raises(ImageError, match="out of the image folder"):
            locate(inner, name)
    with pytest.raises(ImageError, match="no such image"):
        locate(inner, "train")
