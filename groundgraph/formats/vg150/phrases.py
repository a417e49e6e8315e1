"""Visual Genome's region descriptions as captions of its images."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from groundgraph.data.ids import whole_number
from groundgraph.data.text import plain
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.json_stream import read_objects


def read_phrases(
    path: Path, trained: Container[int], every: Container[int], skipped: Skipped
) -> dict[int, tuple[str, ...]]:
    """Image id -> its region descriptions, each once whatever its case.

    Args:
        path: region_descriptions.json.
        trained: Ids of the images whose descriptions are kept.
        every: Ids of all images of image_data.json.
        skipped: Gets entries without regions or with more than one id, and regions without a phrase.

    Raises:
        InputError: It is no such list, or none of its images is among `every`; names the file.
    """
    matched, phrases = False, {}
    for number, entry in enumerate(read_objects(path)):
        regions = entry.get("regions")
        if not isinstance(regions, list):
            skipped.add(f"{path.name}[{number}]", "has no list of regions")
            continue
        ids = _image_ids(entry, regions)
        if len(ids) != 1:
            has = f"the images' ids {', '.join(map(str, sorted(ids)[:3]))}" if ids else "no image's id"
            skipped.add(f"{path.name}[{number}]", f"has {has}; its id and its regions' image_id must be one number")
            continue
        (name,) = ids
        matched = matched or name in every
        if name in trained:
            texts = [plain(r["phrase"]) for r in regions if isinstance(r, dict) and isinstance(r.get("phrase"), str)]
            phrases[name] = _distinct([*phrases.get(name, ()), *texts])
            if len(texts) < len(regions):
                skipped.add(str(name), f"{len(regions) - len(texts)} regions without a phrase that is text")
    if not matched:
        raise InputError(f"{path}: none of its images is one of image_data.json; both must be of one release")
    return phrases


def _distinct(phrases: Iterable[str]) -> tuple[str, ...]:
    """The phrases that are not empty, each once whatever its case, as it first stands."""
    kept: dict[str, str] = {}
    for phrase in filter(None, phrases):
        kept.setdefault(phrase.casefold(), phrase)
    return tuple(kept.values())


def _image_ids(entry: dict[str, Any], regions: list[Any]) -> set[int]:
    """The ids that an entry has for its image: its own, and those of its regions, where some releases have it alone."""
    values = [entry.get("id"), entry.get("image_id"), *(r.get("image_id") for r in regions if isinstance(r, dict))]
    return {number for number in map(whole_number, values) if number is not None}
