"""HDF5 files from elsewhere: opened beside whoever has them open, and only datasets of numbers read as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from groundgraph.errors import InputError
from groundgraph.formats.pickle_machine import memory_of

# What h5py raises while it reads.
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, MemoryError)


def open_h5(path: str | Path, kind: str) -> h5py.File:
    """The file, opened to be read; another program may have it open.

    kind  what is meant to be there, for messages: "VG-SGG.h5 of Visual Genome"
    Raises InputError, naming file and cause.
    """
    if not Path(path).exists():
        raise InputError(f"{Path(path).absolute()}: no such file; give {kind}")
    if not Path(path).is_file():
        raise InputError(f"{path}: a folder or a device, no file; give {kind}")
    try:
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

    Raises InputError, naming file and dataset, where there is a group, a text or a scalar in its place, or where its
    numbers lie in another file.
    """
    check_links(place, (name,), path)
    found: Any = place.get(name)
    if not isinstance(found, h5py.Dataset):
        what = "a group" if isinstance(found, h5py.Group) else "missing"
        raise InputError(f"{path}: {name} is {what}, not a dataset of numbers; make the file anew")
    if found.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} holds {_kind(found.dtype)}, not numbers; make the file anew")
    if not (len(found.shape or ()) in axes if axes else found.shape):
        wanted = " or ".join(map(str, axes)) if axes else "1 or more"
        raise InputError(f"{path}: {name} has the shape {found.shape}, not {wanted} axes; make the file anew")
    if found.is_virtual or found.external:
        raise InputError(f"{path}: {name} is stored in another file; make one file of both (h5repack)")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > _limit(found):
        raise InputError(f"{path}: {name} has chunks of {found.chunks}, more than the file could fill; make it anew")
    return found


def taken(found: h5py.Dataset, part: Any, path: str | Path) -> np.ndarray:
    """Some of a dataset, as `found[part]` gives it.

    Raises InputError, naming file and dataset, where it is more than the file could fill: rows that nobody wrote take
    no room there, and are made of nothing when they are read.
    """
    size = np.broadcast_to(np.zeros((), found.dtype), found.shape)[part].nbytes
    if size > _limit(found):
        raise InputError(f"{path}: {found.name} claims {size:,} bytes, more than the file could fill; make it anew")
    return found[part]


def check_links(place: h5py.Group, names: Iterable[str], path: str | Path) -> None:
    """Raises InputError where one of these names in a group is a link to another place or another file."""
    for name in names:
        if name in place.keys() and not isinstance(place.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{path}: {name} is a link to somewhere else; put what it means in its place (h5repack)")


def _limit(found: h5py.Dataset) -> int:
    return memory_of(found.file.id.get_filesize())


def _kind(dtype: Any) -> str:
    return "texts" if h5py.check_string_dtype(dtype) or dtype.kind in "SUO" else f"values of {dtype}"
