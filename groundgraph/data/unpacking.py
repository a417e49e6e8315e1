"""One file or folder out of a zip file: whole or not at all, and nowhere else than where it belongs."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from groundgraph.errors import InputError

CHUNK = 2**20


class DamagedArchive(InputError):
    """An archive that is damaged, or another than it should be."""


def unpack(archive: Path, member: str, place: Path, advance: Callable[[int], Any] = lambda count: None) -> None:
    """Unpack a file, or a folder with all in it; each member's sum is checked.

    Args:
        archive: A zip file.
        member: The path in it, or its end: "captions.json" finds "data/captions.json".
        place: Where it goes; must not be there, but for an empty folder.
        advance: Is told of so many bytes more that were unpacked.

    Raises:
        DamagedArchive: It is no zip file, is damaged, or has no such member; names it.
    """
    temporary = place.with_name(f".{place.name}.unpacking")
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove(temporary)
    try:
        with zipfile.ZipFile(archive) as file:
            infos = _members(file, member)
            if not infos:
                shown = ", ".join(name for name in file.namelist()[:5])
                raise DamagedArchive(f"{archive}: has no {member} in it, but {shown}; it is not the published file")
            for info, rest in infos:
                target = temporary.joinpath(*rest)
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(info) as source, target.open("wb") as copy:
                    while chunk := source.read(CHUNK):
                        copy.write(chunk)
                        advance(len(chunk))
        if place.is_dir():
            place.rmdir()
        os.replace(temporary, place)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedArchive(f"{archive}: damaged, or no zip file ({error}); delete it and fetch it again") from error
    finally:
        _remove(temporary)


def unpacked_size(archive: Path, member: str) -> int:
    """The bytes of a member when it is unpacked. Raises DamagedArchive where it is no zip file."""
    try:
        with zipfile.ZipFile(archive) as file:
            return sum(info.file_size for info, _ in _members(file, member))
    except zipfile.BadZipFile as error:
        raise DamagedArchive(f"{archive}: damaged, or no zip file ({error}); delete it and fetch it again") from error


def _members(file: zipfile.ZipFile, member: str) -> list[tuple[zipfile.ZipInfo, tuple[str, ...]]]:
    """What belongs to a member, each with its path below it; () of a file itself."""
    ending, chosen = PurePosixPath(member).parts, []
    for info in file.infolist():
        parts = PurePosixPath(info.filename).parts
        for start in range(len(parts) - len(ending) + 1):
            rest = parts[start + len(ending) :]
            if parts[start : start + len(ending)] == ending and parts[0] != "__MACOSX":
                if not info.is_dir() and not set(rest) & {"..", "/"} and not any("\\" in p or ":" in p for p in rest):
                    chosen.append((info, rest))
                break
    return chosen[:1] if chosen and not chosen[0][1] else chosen  # a file of that name is one file


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
