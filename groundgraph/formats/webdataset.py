"""WebDataset's tars, as img2dataset writes them: members of one key are a picture and its caption."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from groundgraph.data.fetched import check_fetched
from groundgraph.data.images import IMAGE_ENDINGS
from groundgraph.errors import InputError

LARGEST = 64 << 20  # bytes of a member
_TEXTS = (".txt", ".caption")


def read_tar(path: Path) -> Iterator[tuple[int, Any, Any]]:
    """A tar's samples, one after another, never unpacked: (number from 1, {"path", "bytes"}, caption).

    The captions are the lines of the member `.txt`, else `caption` or `text` of `.json`; None where there is none.

    Raises:
        InputError: It is missing or damaged; names it.
    """
    check_fetched(path)
    try:
        with tarfile.open(path, "r|*") as tar:
            members = ((PurePosixPath(m.name), _content(tar, m)) for m in tar if m.isfile() and m.size <= LARGEST)
            samples = groupby(members, key=lambda member: str(member[0].parent / member[0].name.partition(".")[0]))
            for number, (key, parts) in enumerate(samples, 1):
                content = {f".{name.name.partition('.')[2].lower()}": data for name, data in parts}
                ending = next((e for e in content if PurePosixPath(f"0{e}").suffix in IMAGE_ENDINGS), None)
                picture = (
                    None
                    if ending is None
                    else {"path": f"{path.name.partition('.')[0]}/{key}{ending}", "bytes": content[ending]}
                )
                yield number, picture, _caption(content)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name it in data.captions") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path}: damaged, or no tar ({error}); fetch it again") from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _caption(content: dict[str, bytes]) -> Any:
    texts = [ending for ending in _TEXTS if ending in content] or [e for e in content if e.endswith(".txt")]
    if texts:
        return content[texts[0]].decode("utf-8-sig", "replace").split("\n")
    try:
        fields = json.loads(content.get(".json", b"{}"))
    except ValueError:
        return None
    return next((fields[k] for k in ("caption", "text") if isinstance(fields, dict) and fields.get(k)), None)
