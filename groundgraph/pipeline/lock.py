"""One run at a time in a folder: a lock that the system takes away when its process dies, and says whose it is."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from groundgraph.errors import InputError

NAME = ".lock"
_PATIENCE = 0.5  # seconds: `holder` holds the lock itself for a moment


@contextmanager
def held(folder: Path) -> Iterator[str]:
    """Hold a folder's lock; gives what is left of a run that was killed in it, or "".

    Raises InputError, saying who holds it, where another process does. On a file system without locks nothing is held.
    """
    with (folder / NAME).open("a+", encoding="utf-8") as file:
        until = time.monotonic() + _PATIENCE
        while not _try(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                file.seek(0)
                who = file.read().strip() or "another process"
                raise InputError(f"{folder}: {who} is at work in this folder; wait for it, or choose another --out")
            time.sleep(0.05)
        file.seek(0)
        left = file.read().strip()
        now = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        whose = f"process {os.getpid()} on {socket.gethostname()}, since {now} ({shlex.join(sys.argv)[:300]})"
        file.truncate(0)
        with suppress(OSError):  # a full disk: the lock is held all the same
            os.write(file.fileno(), whose.encode())
        try:
            yield left
        finally:
            file.truncate(0)


def holder(folder: Path) -> str | None:
    """Who is at work in a folder, None: nobody. Nothing is written."""
    try:
        with (folder / NAME).open(encoding="utf-8") as file:
            return None if _try(file.fileno(), fcntl.LOCK_SH) else file.read().strip() or "another process"
    except FileNotFoundError:
        return None


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
