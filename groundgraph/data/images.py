"""One safe way to find an image in a folder and to open it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from groundgraph.data.fetched import START, not_fetched
from groundgraph.errors import InputError

# What photos come in. Pillow knows more, some by way of other programs (EPS runs Ghostscript), which strangers' files
# should not reach; a format that this Pillow was built without is left out.
Image.init()
FORMATS: list[str] = [
    name
    for name in ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN
]
IMAGE_ENDINGS = frozenset(ending for ending, kind in Image.EXTENSION.items() if kind in FORMATS)
MAX_PIXELS = 80_000_000  # below Pillow's own alarm; a small file that unpacks to more is refused
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # TIFF tags
_ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap width and height


class ImageError(InputError):
    """An image that cannot be used; the message names the file and the fix."""


class TooLargeError(ImageError):
    """An image of more than MAX_PIXELS."""


def locate(folder: str | Path, name: str) -> Path:
    r"""The path of an image that an annotation names, inside `folder`; a\1.JPG finds a/1.jpg where it is alone.

    Links inside the folder are the user's own and followed. Raises ImageError where the name leads out of the folder
    or no file is there.
    """
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    if not name or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts:
        raise ImageError(
            f"{_shown(name)!r}: leads out of the image folder {folder}; name images relative to that folder"
        )
    for path in _spellings(Path(folder), name):
        try:
            if path.is_file():
                return path
        except OSError:  # a name longer than the file system allows
            break
    raise ImageError(f"{_shown(Path(folder) / name)}: no such image; check the image folder or leave the entry out")


def locate_any(folder: str | Path, names: Sequence[str]) -> Path:
    """The path of the first name that is there. Raises ImageError as `locate`, for the first name."""
    for name in names if len(names) > 1 else ():
        try:
            return locate(folder, name)
        except ImageError:
            continue
    return locate(folder, names[0])


def _spellings(folder: Path, name: str) -> Iterator[Path]:
    """A Windows program's backslashes; with its ending in small or capital letters."""
    for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
        path = folder / spelled
        yield path
        for ending in {path.suffix.lower(), path.suffix.upper()} - {path.suffix}:
            yield path.with_suffix(ending)


def _shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: no longer than a file's name can be."""
    text = str(path)
    return text if len(text) <= 500 else f"{text[:500]}..."


def open_image(path: str | os.PathLike[str]) -> Image.Image:
    """The image as RGB, upright (EXIF orientation applied), fully decoded; what is transparent turns white.

    Raises:
        ImageError: For a missing, unreadable, truncated or oversized file.
    """
    with _opened(path) as image:
        image.load()
        return _rgb(ImageOps.exif_transpose(image), getattr(image, "tag_v2", {}))


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(width, height) of the upright image in pixels, from its header alone. Raises ImageError as `open_image`."""
    return image_frame(path)[0]


def header_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(width, height) in pixels as stored; nothing is decoded, where a PNG's EXIF would be behind its pixels.

    Raises:
        TooLargeError: For an oversized file.
        ImageError: As `open_image`.
    """
    with _opened(path) as image:
        return image.size


def image_frame(path: str | os.PathLike[str]) -> tuple[tuple[int, int], int]:
    """`image_size`, and the EXIF orientation, 1..8, that is applied. Raises ImageError as `open_image`."""
    with _opened(path) as image:
        (width, height), noted = image.size, image.getexif().get(_ORIENTATION)
        orientation = noted if isinstance(noted, int) and 1 <= noted <= 8 else 1
        return ((height, width) if orientation in SIDEWAYS else (width, height)), orientation


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """The open file; whatever its decoder raises, there or in the `with` block, becomes an ImageError."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device would be read for ever
            raise IsADirectoryError(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is stricter
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                yield image
    except FileNotFoundError as error:
        raise ImageError(f"{os.path.abspath(path)}: no such image; check the path or leave the entry out") from error
    except Image.DecompressionBombError as error:
        raise TooLargeError(
            f"{path}: too large ({error}; the limit is {MAX_PIXELS:,} pixels); scale it down or leave it out"
        ) from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: not an image but a folder or a device; name the images, or leave it out") from error
    except UnidentifiedImageError as error:
        with open(path, "rb") as file:
            what = not_fetched(file.read(START))
        if what:
            raise ImageError(f"{path}: {what}") from error
        raise ImageError(
            f"{path}: not an image of a kind that is read; save it as JPEG or 8-bit PNG, or leave it out"
        ) from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more on damaged files
        raise ImageError(f"{path}: damaged or truncated ({error}); fetch it again or leave it out") from error


def _rgb(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_grey(np.asarray(image), tags))
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        page.alpha_composite(image.convert("RGBA"))
        image = page
    return image.convert("RGB")


def _grey(values: np.ndarray, tags: Mapping[int, Any]) -> np.ndarray:
    """Numbers of unknown range as bytes: of 0..1, 0..255 or 0..65535 by the largest, and others stretched.

    Others are negative numbers, larger ones, and those that leave four bits unused (12 bits in 16, floats past 1).
    """
    if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)  # Pillow has no mode for them
    values = values.astype(np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("no number in it is finite")
    low, high = min(finite.min(), np.float32(0)), finite.max()
    full = next((top for top in (1, 255, 65535) if high <= top), np.inf)
    if low == 0 and 16 * high >= full < np.inf:
        high = full
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    shade = (values - low) / max(high - low, np.finfo(np.float32).tiny)
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero, as in radiographs
        shade = 1 - shade
    return (255 * shade).round().astype(np.uint8)
