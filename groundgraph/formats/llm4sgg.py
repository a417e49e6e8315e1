"""Triplets of images as LLM4SGG publishes them: `aligned_triplet_info_vg.json`, and the grounded file made of it.

Their layout is VS3's: {"text_scene_graph": {image id: {"objects": [name, ...], "triplets": [[subject, predicate,
object], ...]}}}. The names are those of the vocabulary that they were aligned to. What else a file has
(boxes in the grounded one, `original_triplets` in VS3's own) is not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundgraph.data.ids import id_text
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.entries import items, name, shortened

Triplets = tuple[tuple[str, str, str], ...]
_KIND = "LLM4SGG's aligned_triplet_info_vg.json"


def read_text_graphs(path: str | Path, skipped: Skipped) -> dict[str, Triplets]:
    """Image id -> its triplets (subject, predicate, object) of names, each once, in the order of the file.

    Args:
        path: The file; ids are COCO's, or Visual Genome's where its captions were read.
        skipped: Gets images and triplets that are left out, since they are none.

    Raises:
        InputError: It is no such file, or no image in it has a triplet.
    """
    content = read_json(path, _KIND)
    graphs = content.get("text_scene_graph") if isinstance(content, dict) else None
    if not isinstance(graphs, dict):
        raise InputError(f'{path}: has no object "text_scene_graph"; give {_KIND}')
    images: dict[str, Triplets] = {}
    for key, graph in graphs.items():
        where, image = f"{Path(path).name}: image {plain(key)[:100]!r}", id_text(plain(key))
        if image is None or not isinstance(graph, dict):
            skipped.add(where, f"is {shortened(graph)}" if image else "has no id")
        elif image in images:
            skipped.add(where, "its id occurs before; the first counts")
        else:
            images[image] = _triplets(graph, where, skipped)
    images = {image: triplets for image, triplets in images.items() if triplets}
    if not images:
        raise InputError(f"{path}: no image has a triplet; give {_KIND}")
    return images


def _triplets(graph: dict[str, Any], where: str, skipped: Skipped) -> Triplets:
    triplets: list[tuple[str, str, str]] = []
    try:
        listed = items(graph, "triplets")
    except InputError as error:
        skipped.add(where, str(error))
        return ()
    wrong = 0
    for entry in listed:
        try:
            subject, predicate, object_ = map(name, entry if isinstance(entry, list) else ())
        except ValueError:  # of another length, or with something that is no name
            wrong += 1
        else:
            triplets.append((subject, predicate, object_))
    if wrong:
        skipped.add(where, f"{wrong} of {len(listed)} triplets are no [subject, predicate, object]")
    return tuple(dict.fromkeys(triplets))
