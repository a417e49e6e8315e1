"""Opening images: upright, RGB, and a clear word for what cannot be opened."""

import struct
import zlib

import numpy as np
import PIL
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


RAMP = np.tile(np.linspace(0, 1, 160, dtype=np.float32), (120, 1))


@pytest.mark.parametrize(
    "values",
    [
        RAMP,
        RAMP * 255,
        RAMP * 1.02,  # past 1 by resampling
        RAMP * 65535,
        RAMP * 2 - 1,
        RAMP * 1e6,
        (RAMP * 2**31 * 0.999).astype(np.int32),
        (RAMP * 1e5).astype(np.int32),
        (RAMP * 65535).astype(np.int32),
        (RAMP * 65535).astype(np.uint16),
        (RAMP * 4095).astype(np.uint16),
        np.where(RAMP == 0, np.nan, np.where(RAMP == 1, np.inf, RAMP)),
    ],
    ids=lambda values: f"{values.dtype} {np.nanmin(values):g}..{np.nanmax(values):g}",
)
def test_numbers_of_any_range_become_shades(tmp_path, values):
    Image.fromarray(values).save(tmp_path / "a.tif")
    shades = np.asarray(open_image(tmp_path / "a.tif"), int)
    assert np.abs(shades - 255 * RAMP[..., None]).max() <= 2.6  # 1/254 short of white where the last is infinite


def test_dark_pictures_stay_dark_and_signs_and_whites_are_read(tmp_path):
    def written(values: np.ndarray, **options) -> np.ndarray:
        Image.fromarray(values).save(tmp_path / "a.tif", **options)
        return np.asarray(open_image(tmp_path / "a.tif"), int)[..., 0]

    assert not written(np.zeros((4, 4), np.float32)).any()
    assert written(np.full((4, 4), 0.25, np.float32)).max() == 64
    assert written(np.full((4, 4), 25700, np.uint16)).max() == 100
    white_is_zero = written((RAMP * 65535).astype(np.uint16), tiffinfo={262: 0})
    assert np.abs(white_is_zero - 255 * (1 - RAMP)).max() <= 1
    Image.fromarray((RAMP.astype(float) * (2**32 - 1)).astype(np.uint32).view(np.int32)).save(tmp_path / "a.tif")
    signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, kind, 0) for kind in (2, 1))  # the sample format, in the file
    data = (tmp_path / "a.tif").read_bytes()
    assert signed in data
    (tmp_path / "a.tif").write_bytes(data.replace(signed, unsigned))
    assert np.abs(np.asarray(open_image(tmp_path / "a.tif"), int)[..., 0] - 255 * RAMP).max() <= 1
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="no number in it is finite"):
        open_image(tmp_path / "a.tif")


OLD_PILLOW = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 cannot decode it")


@pytest.mark.parametrize("mode", ["CMYK", pytest.param("YCbCr", marks=OLD_PILLOW), "LAB", "P", "PA", "RGBA", "LA", "1"])
def test_a_tiff_of_every_mode_has_its_colours(tmp_path, mode):
    Image.new("RGB", (8, 8), "white").convert(mode if mode != "LAB" else "L").save(tmp_path / "a.tif")
    assert min(open_image(tmp_path / "a.tif").getpixel((2, 2))) >= 254


def test_an_animation_is_its_first_frame_and_its_clear_parts_white(tmp_path):
    frames = [Image.new("RGBA", (6, 4), colour) for colour in ((255, 0, 0, 255), (0, 255, 0, 255))]
    frames[0].putpixel((0, 0), (0, 0, 0, 0))
    for name in ("a.gif", "a.png", "a.webp"):
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        opened = open_image(tmp_path / name)
        assert (opened.getpixel((0, 0)), opened.getpixel((3, 2))) == ((255, 255, 255), (255, 0, 0)), name


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
        (".", "not an image but a folder"),
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
