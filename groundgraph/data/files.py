"""Files that are whole or not there, and what may be written over."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from groundgraph.errors import InputError
from groundgraph.system import sync_folder

EXPORT_MARK = b"# groundgraph export: scene graphs as N-Triples"  # how a file of ours begins that is no JSON


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all, even where the process is killed or the machine loses its power.

    Args:
        path: The file to write; its folder is made where there is none. What lies there is replaced.
        sync: Wait until the file and its name are on the disk. False for thousands of small files that cost little
            to make anew.

    Yields:
        The name to write under, in the same folder. It becomes `path` when the block ends, and goes when it raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if sync:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def open_text(path: Path) -> TextIO:
    """Open a text file to be written, in UTF-8 and with the line ends that the text has.

    Lone surrogates, which names of files that are no UTF-8 have, come out as JSON's own escapes, and are read back.
    """
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def write_text(path: Path, text: str) -> None:
    """Write a text file, see `atomic_write` and `open_text`."""
    with atomic_write(path) as temporary, open_text(temporary) as file:
        file.write(text)


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a value as a JSON file, see `atomic_write`."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=indent) + "\n")


def check_output(path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Make sure, before any work is done, that JSON can be written to a path and nothing of the user's is lost.

    Args:
        path: The file that will be written.
        inputs: Files that the command reads.

    Raises:
        InputError: The path is one of the inputs, a folder, or a file that holds no JSON (nor JSON lines)
            and is no export.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the file to write in it")
    if any(os.path.exists(one) and path.samefile(one) for one in inputs):
        raise InputError(f"{path}: read by this command, and would be written over; name another file to write")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
        if start and not start.startswith((b"{", b"[", EXPORT_MARK)):
            raise InputError(f"{path}: a file that is no JSON, and would be written over; name another file to write")


def check_own(path: Path, start: bytes) -> bool:
    """Make sure that a file which an export writes is absent or an earlier export's.

    Args:
        path: The file that will be written.
        start: How each such file of ours begins; b"" where none is.

    Returns:
        Whether it is absent.

    Raises:
        InputError: It begins otherwise.
    """
    if not path.exists():
        return True
    if path.is_file():
        with path.open("rb") as file:
            if start and file.read(len(start)) == start:
                return False
    raise InputError(f"{path}: not written by an earlier export, and would be written over; name another place")
