"""One run at a time in a folder: a lock that the system takes away when its process dies, and says whose it is."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from groundgraph.errors import InputError

NAME = ".lock"
_HOLDER = ".lock-holder"  # who; a file of its own, since Windows lets nobody read a locked one
_WAIT_SECONDS = 0.5  # seconds: `holder` holds the lock itself for a moment


@contextmanager
def held(folder: Path) -> Iterator[str]:
    """Hold a folder's lock; gives what is left of a run that was killed in it, or "".

    Raises InputError, saying who holds it, where another process does. On a file system without locks nothing is held,
    or a marker file of filelock's stands in.
    """
    lock, note = FileLock(folder / NAME), folder / _HOLDER
    try:
        _acquire(lock, _WAIT_SECONDS)
    except Timeout as error:
        who = _text(note) or "another process"
        raise InputError(f"{folder}: {who} is at work in this folder; wait for it, or choose another --out") from error
    try:
        left = _text(note)
        now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        whose = f"process {os.getpid()} on {socket.gethostname()}, since {now} ({shlex.join(sys.argv)[:300]})"
        with suppress(OSError):  # a full disk: the lock is held all the same
            note.write_text(whose, encoding="utf-8", errors="replace")
        yield left
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def holder(folder: Path) -> str | None:
    """Who is at work in a folder, None: nobody. Nothing is written."""
    if not (folder / NAME).exists():
        return None
    lock = FileLock(folder / NAME)
    try:
        _acquire(lock, 0)
    except Timeout:
        return _text(folder / _HOLDER) or "another process"
    except PermissionError:  # another user's run, which only leaves a note while it lasts, or when it was killed
        return _text(folder / _HOLDER) or None
    lock.release()
    return None


def _acquire(lock: FileLock, seconds: float) -> None:
    """Raises Timeout where another holds it, PermissionError where the file may not be written."""
    try:
        lock.acquire(timeout=seconds)
    except (Timeout, PermissionError):
        raise
    except (NotImplementedError, OSError) as error:
        if getattr(error, "filename", None) is not None:  # the file, not the lock, is what fails
            raise


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
