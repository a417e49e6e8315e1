"""Which predicted image is which true one: by file name, or by id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.data.ids import id_text, name_text
from groundgraph.errors import InputError

Names = Sequence[str]


def image_places(
    true: tuple[Names, Names | None], predicted: tuple[Names, Names | None], where: tuple[str, str]
) -> tuple[np.ndarray, list[str]]:
    """Where each true image is among the predicted ones, -1 where it is not, and notes.

    Where both sides have file names these count, whatever the ids: two programs number the same pictures differently.
    Else ids do, and where no id is in both, the one side's ids against the other's file names. File names meet by as
    many of their last parts as tell a side's images apart.

    Args:
        true: (ids, file names or None where the file has none) of the true side.
        predicted: The same of the predicted side.
        where: The files: predictions', truth's.

    Returns:
        [N] int64, and the notes.

    Raises:
        InputError: An id occurs twice or no image is in both; names the files.
    """
    for (ids, _), file in ((true, where[1]), (predicted, where[0])):
        if not len(ids):
            raise InputError(f"{file}: holds no image")
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if list(ids).count(name) > 1)
            raise InputError(f"{file}: the image {twice!r} occurs twice; give each image once")
    both = true[1] is not None and predicted[1] is not None
    files = [side[1] if side[1] is not None else side[0] for side in (true, predicted)]
    for by_file in (True, False) if both else (False, True):
        places = _by_file(*files) if by_file else _by_id(true[0], predicted[0])
        if places is not None:
            break
    else:
        raise InputError(
            f"no image is both in {where[0]} (such as {predicted[0][0]!r}) and in {where[1]} (such as "
            f"{true[0][0]!r}); name the images alike"
        )
    if by_file:
        unequal = [
            (files[1][p], files[0][t]) for t, p in enumerate(places) if p >= 0 and not _inside(files[1][p], files[0][t])
        ]
        note = f"{len(unequal)} images are in other folders in {where[0]} than in {where[1]}"
    else:
        unequal = [(predicted[1][0], true[1][0])] if both else []
        note = f"no file name is both in {where[0]} and in {where[1]}: the images meet by their ids"
    return places, [f"{note}, such as {unequal[0][0]!r} and {unequal[0][1]!r}"] if unequal else []


def _by_id(true: Names, predicted: Names) -> np.ndarray | None:
    """By ids as programs write them: 1, 1.0 and "1" are one; as they stand where that makes two of a side alike."""
    for key in (id_text, str):
        places = _matched([key(name) for name in true], [key(name) for name in predicted])
        if places is not None:
            return places
    return None


def _by_file(true: Names, predicted: Names) -> np.ndarray | None:
    parts = [[name_text(name).split("/") for name in names] for names in (true, predicted)]
    for depth in range(1, 1 + max(len(path) for side in parts for path in side)):
        places = _matched(*(["/".join(path[-depth:]) for path in side] for side in parts))
        if places is not None:
            return places
    return None


def _matched(true: Names, predicted: Names) -> np.ndarray | None:
    """None where the names tell a side's images not apart, or none is in both."""
    place = {name: i for i, name in enumerate(predicted)}
    if len(place) < len(predicted) or len(set(true)) < len(true):
        return None
    places = np.array([place.get(name, -1) for name in true], np.int64)
    return places if (places >= 0).any() else None


def _inside(one: str, other: str) -> bool:
    """Whether one file name is the end of the other."""
    short, long = sorted((name_text(one), name_text(other)), key=len)
    return f"/{long}".endswith(f"/{short}")
