"""HDF5 files from elsewhere: opened beside whoever has them open, and only datasets of numbers read as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from groundgraph.data.fetched import check_fetched
from groundgraph.errors import InputError
from groundgraph.formats.untrusted import memory_of

# What h5py raises while it reads.
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, MemoryError)


def open_h5(path: str | Path, kind: str) -> h5py.File:
    """The file, opened to be read; another program may have it open.

    Args:
        path: The file.
        kind: What is meant to be there, for messages: "VG-SGG.h5 of Visual Genome".

    Raises:
        InputError: It is none, may not be read, or is damaged; names file and cause.
    """
    if not Path(path).exists():
        raise InputError(f"{Path(path).absolute()}: no such file; give {kind}")
    if not Path(path).is_file():
        raise InputError(f"{path}: a folder or a device, no file; give {kind}")
    try:
        check_fetched(path)
        return h5py.File(path, "r", locking=False)
    except PermissionError as error:
        raise InputError(f"{path}: may not be read (permission denied); give yourself the right to") from error
    except (OSError, RuntimeError) as error:
        if "unable to lock" in str(error) or "already open" in str(error):
            why = "another program has it open to write, or was broken off as it did; close it, or make a copy"
            raise InputError(f"{path}: {why} (h5clear --status {path}) ({error})") from error
        raise InputError(f"{path}: damaged, truncated or no HDF5 file ({error}); fetch it again") from error


def dataset(place: h5py.Group, name: str, path: str | Path, axes: tuple[int, ...] | None = None) -> h5py.Dataset:
    """The dataset of numbers of that name, unread; axes: how many it may have, None: at least one.

    Raises:
        InputError: There is a group, a text or a scalar in its place, or its numbers lie in another file; names file
            and dataset.
    """
    check_links(place, (name,), path)
    array: Any = place.get(name)
    if not isinstance(array, h5py.Dataset):
        what = "a group" if isinstance(array, h5py.Group) else "missing"
        raise InputError(f"{path}: {name} is {what}, not a dataset of numbers; make the file anew")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} holds {_kind(array.dtype)}, not numbers; make the file anew")
    if not (len(array.shape or ()) in axes if axes else array.shape):
        expected = " or ".join(map(str, axes)) if axes else "1 or more"
        raise InputError(f"{path}: {name} has the shape {array.shape}, not {expected} axes; make the file anew")
    if array.is_virtual or array.external:
        raise InputError(f"{path}: {name} is stored in another file; make one file of both (h5repack)")
    if array.chunks and math.prod(array.chunks) * array.dtype.itemsize > _limit(array):
        raise InputError(f"{path}: {name} has chunks of {array.chunks}, more than the file could fill; make it anew")
    return array


def taken(array: h5py.Dataset, part: Any, path: str | Path) -> np.ndarray:
    """Some of a dataset, as `array[part]` gives it.

    Raises:
        InputError: It is more than the file could fill: rows that nobody wrote take no room there, and are made of
            nothing when they are read; names file and dataset.
    """
    size = np.broadcast_to(np.zeros((), array.dtype), array.shape)[part].nbytes
    if size > _limit(array):
        raise InputError(f"{path}: {array.name} claims {size:,} bytes, more than the file could fill; make it anew")
    return array[part]


def check_links(place: h5py.Group, names: Iterable[str], path: str | Path) -> None:
    """Raises InputError where one of these names in a group is a link to another place or another file."""
    for name in names:
        if name in place.keys() and not isinstance(place.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name} is a link to somewhere else; put what it means in its place (h5repack)")


def _limit(array: h5py.Dataset) -> int:
    return memory_of(array.file.id.get_filesize())


def _kind(dtype: Any) -> str:
    return "texts" if h5py.check_string_dtype(dtype) or dtype.kind in "SUO" else f"values of {dtype}"
