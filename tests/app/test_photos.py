"""Strangers' photos are refused by their headers, kindly."""

import struct
import zlib

import pytest
from PIL import Image

from groundgraph.app.photos import MAX_BYTES, check_photo
from groundgraph.errors import InputError


def png_header(path, width, height):
    """A PNG that has nothing but its header: whoever decodes it fails."""
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT")
    return path


def test_the_header_alone_says_how_large_a_photo_is(tmp_path):
    check_photo(png_header(tmp_path / "a.png", 6000, 6000))
    with pytest.raises(InputError, match=r"8,000 × 6,250 is 50 megapixels, and up to 40 .* Scale it down"):
        check_photo(png_header(tmp_path / "b.png", 8000, 6250))
    with pytest.raises(InputError, match="more than 40 megapixels"):
        check_photo(png_header(tmp_path / "c.png", 60000, 60000))


def test_what_is_no_photo_or_too_long_a_file(tmp_path):
    for name, content in (("a.png", b"text"), ("b.svg", b"<svg/>"), ("c.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="no photo that can be read") as error:
            check_photo(tmp_path / name)
        assert str(tmp_path) not in str(error.value)  # the server's folders are nobody's business
    for size in ((10_000, 1), (1, 10_000)):
        Image.new("RGB", size).save(tmp_path / "strip.png")
        with pytest.raises(InputError, match=r"is a strip of .* pixels.* up to 50 times the other"):
            check_photo(tmp_path / "strip.png")
    with pytest.raises(InputError, match="no longer here"):
        check_photo(tmp_path / "gone.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "d.bmp")
    with (tmp_path / "d.bmp").open("ab") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="larger than 30 MB"):
        check_photo(tmp_path / "d.bmp")
