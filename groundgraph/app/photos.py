"""Strangers' photos: how large one may be, told from its header before anything is decoded."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.images import ImageError, TooLargeError, header_size
from groundgraph.errors import InputError
from groundgraph.vision.detector import MAX_ASPECT

MAX_PIXELS = 40_000_000  # four times a phone's usual photo; decoded it takes 120 MB
MAX_BYTES = 30_000_000  # of an upload


def check_photo(path: Path) -> None:
    """Refuse what is no photo, or too large a one, in words for the person who dropped it.

    Raises:
        InputError: The cause and the fix, without the server's paths.
    """
    if not path.exists():  # a browser that was away had been taken to have left
        raise InputError("This photo is no longer here, for its page was away for a while. Drop it again.")
    try:
        width, height = header_size(path)
    except TooLargeError as error:
        raise InputError(
            f"This photo is too large: more than {_millions(MAX_PIXELS)} megapixels. {_SMALLER}"
        ) from error
    except ImageError as error:
        fix = "Save it as JPEG or PNG and drop it again."
        raise InputError(f"This file is no photo that can be read. {fix}") from error
    if width * height > MAX_PIXELS:
        raise InputError(
            f"This photo is too large: {width:,} × {height:,} is {_millions(width * height)} megapixels, and up to "
            f"{_millions(MAX_PIXELS)} can be looked at here. {_SMALLER}"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(
            f"This photo is a strip of {width:,} × {height:,} pixels, in which nothing can be found. Crop it: one side "
            f"may be up to {MAX_ASPECT} times the other."
        )
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"This file is larger than {_millions(MAX_BYTES)} MB. {_SMALLER}")


_SMALLER = "Scale it down (2,000 pixels a side are plenty) and drop it again."


def _millions(count: int) -> str:
    return f"{count / 1e6:.0f}"
