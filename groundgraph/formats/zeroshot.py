"""Triplets that training never saw, for zR and ngzR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.graph_checks import as_triplets
from groundgraph.data.text import plain, read_json
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.scene_graph_benchmark import TORCH
from groundgraph.formats.torch_file import read_torch
from groundgraph.formats.unpickle import read_npz
from groundgraph.formats.vrd import is_vrd, read_vrd_names, unseen_triplets


def read_zeroshot(
    path: str | Path, vocabularies: Vocabularies | None = None, notes: list[str] | None = None
) -> np.ndarray:
    """The triplets that training never saw.

    Args:
        path: An npz with `zeroshot`, Scene-Graph-Benchmark's zeroshot_triplet.pytorch, or JSON: a list of [subject
            category, object category, predicate], as names or as numbers; or the training annotations of VRD, whose
            triplets are the ones that are not meant.
        vocabularies: Number the names; a triplet with a name outside is left out.
        notes: Gets how many are left out.

    Returns:
        [Z, 3] int64 (subject label, object label, predicate).

    Raises:
        InputError: It is neither, or its triplets can only be in another order; names the file.
    """
    path = Path(path)
    if path.suffix.lower() in TORCH:
        rows: Any = read_torch(path)
        if isinstance(rows, torch.Tensor):
            rows = (rows.float() if rows.is_floating_point() else rows).numpy()
    elif path.suffix.lower() == ".json":
        rows = read_json(path, "a JSON list of triplets")
        if is_vrd(rows):
            return unseen_triplets(rows, path, vocabularies or read_vrd_names(path.parent))
        if isinstance(rows, list) and any(
            isinstance(row, list) and any(isinstance(n, str) for n in row) for row in rows
        ):
            rows = _numbers(rows, vocabularies, path, [] if notes is None else notes)
    elif path.suffix.lower() == ".npz":
        rows = read_npz(path, ("zeroshot",)).get("zeroshot")
    else:
        raise InputError(f"{path}: triplets are read from .json, .npz, {', '.join(TORCH)}; give one of these")
    what = "rows of (subject label, object label, predicate), numbered from 1"
    if not isinstance(rows, list | np.ndarray):
        raise InputError(f"{path}: holds no {what}")
    try:
        return as_triplets(rows)
    except InputError as error:
        raise InputError(f"{path}: holds no {what} ({error})") from error


def _numbers(rows: list[Any], vocabularies: Vocabularies | None, path: Path, notes: list[str]) -> list[list[int]]:
    """Triplets of names as numbers."""
    if vocabularies is None:
        raise InputError(f"{path}: names categories, but the predictions number them; give numbers")
    category, predicate = ({n: i + 1 for i, n in enumerate(names)} for names in vocabularies)
    named = []
    for i, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != 3 or not all(isinstance(n, str) for n in row):
            raise InputError(f"{path}: holds no rows of [subject, object, predicate], three names each: triplet {i}")
        named.append([plain(n) for n in row])
    numbered = [
        [(category.get(s, 0), category.get(o, 0), predicate.get(p, 0)) for s, o, p in order]
        for order in (named, [(s, o, p) for s, p, o in named], [(s, o, p) for p, s, o in named])
    ]
    fitting = [sum(all(row) for row in order) for order in numbered]
    if not fitting[0] or fitting[0] < max(fitting):
        meant = ("", "[subject, predicate, object]", "[predicate, subject, object]")[int(np.argmax(fitting))]
        hint = f", but {max(fitting)} in the order {meant}" if meant else f", such as {named[0]}"
        raise InputError(
            f"{path}: {fitting[0] or 'none'} of its {len(named)} triplets has names of the vocabulary in the order "
            f"[subject, object, predicate]{hint}; give that order and those names"
        )
    if fitting[0] < len(named):
        first = next(n for n, numbers in zip(named, numbered[0], strict=True) if not all(numbers))
        notes.append(
            f"{len(named) - fitting[0]} of {len(named)} triplets of {path} have names outside the vocabulary, such as "
            f"{first}: left out"
        )
    return [list(row) for row in numbered[0] if all(row)]
