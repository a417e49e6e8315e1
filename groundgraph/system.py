"""What Linux, macOS and Windows do each in their own way."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil


def peak_memory(others: bool = False) -> int:
    """The largest resident memory of this process so far, in bytes.

    Args:
        others: Or of a process that it started and that has ended, where one had more; unknown on Windows.
    """
    try:
        import resource
    except ImportError:  # Windows; elsewhere psutil knows no peak
        now = psutil.Process().memory_info()
        return getattr(now, "peak_wset", now.rss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if others:
        peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024


def trim_memory() -> None:
    """Give the system what is freed: glibc keeps it in pieces, and a process grows from slice to slice.

    It takes a tenth of the bundled experts' time, and nothing to speak of beside real ones. Fewer, larger pieces
    (M_MMAP_THRESHOLD) would do too, but take half of the time again.
    """
    if trim := _malloc_trim():
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; None where there is another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def cores() -> int:
    """How many processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block NumPy and torch compute on one thread: the same digits everywhere, and no waiting for busy cores."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def sync_folder(folder: Path) -> None:
    """Write a folder's names to the disk."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folder, and keeps its names in a journal
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a symbolic link to a file or folder, or a copy where the system or the disk has no links for us.

    Raises FileExistsError where the target is there.
    """
    try:
        os.symlink(source.resolve(), target, target_is_directory=source.is_dir())
    except FileExistsError:
        raise
    except (NotImplementedError, OSError):
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
