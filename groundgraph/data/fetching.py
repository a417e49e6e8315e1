"""A file from a server: what a dropped connection left is gone on with, and a wrong size or sum is an error."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from groundgraph.errors import InputError

Advance = Callable[[int], Any]
CHUNK = 2**20
TRIES = 5  # in a row without a byte more
PAUSE = 1.0  # seconds before the second try, twice as long before each further
PATIENCE = 60.0  # seconds that a server may be silent


class _Restart(Exception):
    """What is here cannot be gone on with."""


def fetch_file(
    address: str, place: Path, size: int | None, digest: tuple[str, str] | None, advance: Advance = lambda count: None
) -> None:
    """Fetch a file, whole or not at all: it is written under a temporary name, which a later call goes on with.

    Args:
        address: Where it is.
        place: Where it belongs; its folder is made.
        size: Its bytes; None: what the server says.
        digest: (algorithm of hashlib, how its hexadecimal sum begins); None: none is known.
        advance: Is told of so many bytes more; of fewer where what was here does not count after all.

    Raises:
        InputError: The server refuses it, offers a file of another size, drops it again and again, or it has another
            sum; says what and which way goes on.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{place}: another process is fetching it; wait for it, or stop it") from error
    try:
        _fetch(address, place, size, digest, advance)
    finally:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def _fetch(address: str, place: Path, size: int | None, digest: tuple[str, str] | None, advance: Advance) -> None:
    partial = partial_of(place)
    failures, restarts = 0, 0
    advance(_length(partial))
    while True:
        before = _length(partial)
        try:
            _receive(address, partial, size, advance)
            break
        except _Restart:
            advance(-_length(partial))
            partial.unlink(missing_ok=True)
            restarts += 1
            why = "what it sends does not go on where the last ended"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise InputError(
                    f"{address}: the server answers {error.code} ({error.reason}); if it stays so, get the file in "
                    f"another way and put it at {place}"
                ) from error
            why = f"the server answers {error.code} ({error.reason})"
        except (OSError, http.client.HTTPException) as error:
            why = str(getattr(error, "reason", "") or error) or type(error).__name__
        failures = restarts if restarts == TRIES else 0 if _length(partial) > before else failures + 1
        if failures >= TRIES:
            here = _length(partial)
            what = (
                f"fetched {here:,} bytes, then {TRIES} times nothing more"
                if here
                else f"cannot be fetched, {TRIES} tries"
            )
            raise InputError(f"{address}: {what} ({why}); what is here stays: run it again to go on") from None
        time.sleep(PAUSE * 2 ** max(failures - 1, 0))
    if digest is not None:
        _check(address, partial, digest)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, place)


def partial_of(place: Path) -> Path:
    """The temporary name of a file that is being fetched."""
    return place.with_name(f"{place.name}.part")


def _receive(address: str, partial: Path, size: int | None, advance: Advance) -> None:
    """Get what is missing of a file. Raises OSError where the connection drops before its end."""
    here = _length(partial)
    if size is not None and here >= size:
        if here > size:
            raise _Restart
        return
    request = urllib.request.Request(address, headers={"User-Agent": "groundgraph", "Accept-Encoding": "identity"})
    if here:
        request.add_header("Range", f"bytes={here}-")
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and here:  # nothing is left, or what is here is no part of it
            if _total(error.headers.get("Content-Range", "")) == here and size in (None, here):
                return
            raise _Restart from error
        raise
    with answer:
        span = answer.headers.get("Content-Range", "")
        if answer.status == 206 and not span.startswith(f"bytes {here}-"):
            raise _Restart
        length = answer.headers.get("Content-Length")
        total = _total(span) if answer.status == 206 else int(length) if length and length.isdigit() else None
        if None not in (size, total) and size != total:
            raise InputError(
                f"{address}: the server offers {total:,} bytes, and the file that was published has {size:,}; it has "
                "been changed, or a page stands in its place: look at the address in a browser"
            )
        if answer.status != 206 and here:  # a server that knows no ranges sends all of it
            advance(-here)
        with partial.open("ab" if answer.status == 206 else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                advance(len(chunk))
    size = size if total is None else total
    if size is not None and _length(partial) > size:
        raise _Restart
    if size is not None and _length(partial) < size:
        raise OSError(f"the connection ended after {_length(partial):,} of {size:,} bytes")


def _check(address: str, partial: Path, digest: tuple[str, str]) -> None:
    algorithm, sum_ = digest
    with partial.open("rb") as file:
        own = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if not own.startswith(sum_.lower()):
        partial.unlink()
        raise InputError(
            f"{address}: what came has the {algorithm} sum {own}, the file that was published {sum_}; it was deleted: "
            "run it again, and if the sum is wrong again, the file on the server is another"
        )


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _total(span: str) -> int | None:
    """The size in "bytes 10-99/100" or "bytes */100"."""
    total = span.rpartition("/")[2]
    return int(total) if total.isdigit() else None
