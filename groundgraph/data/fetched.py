"""What lies where a published file should be when it was not really fetched: Git LFS's pointer to it, or a web page."""

from __future__ import annotations

import os
from contextlib import suppress

from groundgraph.errors import InputError

START = 256  # bytes that tell
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")


def not_fetched(start: bytes) -> str | None:
    """What a file is that begins so, and the fix; None: no such thing.

    Args:
        start: Its first START bytes, or fewer.
    """
    if start.startswith(_POINTER):
        return (
            "a pointer of Git LFS, not the file that it stands for; run `git lfs pull` in its repository, or fetch it"
        )
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return (
            "a web page, not a file of data: its server asked for a login or a confirmation, or the address is that of "
            "a page about the file; open it in a browser, or fetch the file itself"
        )
    return None


def check_fetched(path: str | os.PathLike[str]) -> None:
    """Raise InputError where a file is there that was not really fetched; names it, what it is, and the fix."""
    if not os.path.isfile(path):
        return
    with suppress(OSError), open(path, "rb") as file:  # whoever reads it says that it cannot be read
        if what := not_fetched(file.read(START)):
            raise InputError(f"{path}: {what}")
