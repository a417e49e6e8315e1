"""Pseudo labels whole, all candidates with their scores, as JSON lines that need no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from groundgraph.data.numbers import shortest
from groundgraph.data.records import write_lines
from groundgraph.data.types import PseudoLabels, Regions
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError


def pseudo_line(
    image_id: str, path: str, nouns: Sequence[str], pseudo: PseudoLabels, regions: Regions, vocabularies: Vocabularies
) -> dict[str, Any]:
    """One image with all that is known of its labels, as JSON.

    {"id", "file", "width", "height", "regions": how many it has, "entities": [{"text", "category": name
    or null, "candidates": [{"region": its number, "box": [x1, y1, x2, y2] in pixels, "score": a_ij, "weight": its
    share of the softmax over all regions}], best first}], "triplets": [[entity, predicate, entity]]}. Of a grounder of
    pairs also "pairs": a list a triplet of [subject's region, object's region, log probability], best first.
    """
    categories, predicates = vocabularies
    boxes = shortest(regions.boxes)
    entities = []
    for e, (noun, category) in enumerate(zip(nouns, pseudo.categories.tolist(), strict=True)):
        here = pseudo.regions[e] >= 0
        scores, weights = shortest(pseudo.scores[e][here]), shortest(pseudo.weights[e][here])
        rows = zip(pseudo.regions[e][here].tolist(), scores, weights, strict=True)
        candidates = [{"region": r, "box": boxes[r], "score": score, "weight": weight} for r, score, weight in rows]
        name = categories[category] if category >= 0 else None
        entities.append({"text": noun, "category": name, "candidates": candidates})
    line: dict[str, Any] = {
        "id": image_id,
        "file": path,
        "width": regions.size[0],
        "height": regions.size[1],
        "regions": len(regions),
        "entities": entities,
        "triplets": [[s, predicates[p], o] for s, o, p in pseudo.triplets.tolist()],
    }
    if pseudo.pairs is not None:
        line["pairs"] = pseudo.pairs.rows()
    return line


def write_pseudo_lines(path: str | Path, lines: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Write JSON lines, one an image, with all candidates and their scores; gives counts."""
    entities = triplets = 0

    lines = iter(lines)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path}: no image to export; finish the run first")

    def counted() -> Iterable[dict[str, Any]]:
        nonlocal entities, triplets
        for line in chain([first], lines):
            entities, triplets = entities + len(line["entities"]), triplets + len(line["triplets"])
            yield line

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images = write_lines(Path(path), counted())
    return {"images": images, "entities": entities, "triplets": triplets}
