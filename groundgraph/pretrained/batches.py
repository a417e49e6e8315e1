"""Many new images: graphs in any format of predictions, going on where a call was broken off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from groundgraph.data.images import IMAGE_ENDINGS, image_size
from groundgraph.data.text import read_text
from groundgraph.data.types import ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.formats import FILE_NAMES, GRAPH_WRITERS, PREDICTION_WRITERS
from groundgraph.formats.graph_lines import GraphLines
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.registry import lookup
from groundgraph.sgg.calibration import at_least


def listed_images(places: Sequence[str | Path]) -> list[Path]:
    """The image files that are meant, each once.

    Args:
        places: Images; folders, of which all images in them and in folders below, in order of their names; lists, files
            *.txt with a path a line, relative to the list.

    Raises:
        InputError: A folder has no image, or a list is empty.
    """
    paths: dict[Path, None] = {}
    for place in map(Path, places):
        if place.is_dir():
            images = [p for p in sorted(place.rglob("*")) if p.suffix.lower() in IMAGE_ENDINGS and p.is_file()]
            if not images:
                raise InputError(f"{place}: no image in this folder; name one that has some")
        elif place.suffix.lower() == ".txt" and place.is_file():
            lines = [line.strip() for line in read_text(place, "a list of images, a path a line").splitlines()]
            images = [place.parent / line for line in lines if line]
            if not images:
                raise InputError(f"{place}: an empty list; write a path a line")
        else:
            images = [place]
        paths |= dict.fromkeys(images)
    return list(paths)


def predict_batch(
    model: SceneGraphModel,
    images: Sequence[Path],
    out: Path,
    form: str,
    min_score: float = 0.0,
    skipped: Skipped | None = None,
    progress: ProgressBar | None = None,
) -> tuple[Path, dict[str, int]]:
    """Find the scene graphs of images and write them, whole or as far as a call has come.

    Args:
        model: Whose graphs.
        images: Image files; those that `out` has already are not looked at again.
        out: Gets graphs.jsonl, see `formats.graph_lines.GraphLines`, and what `form` asks for of all that it holds.
        form: A key of PREDICTION_WRITERS.
        min_score: Of the relations written, with the objects that they join, in 0..1; 0: all.
        skipped: Gets what cannot be used, with the cause.
        progress: Shows how far it is.

    Returns:
        The file or folder, and counts.

    Raises:
        InputError: Another form, or `out` has graphs that something else made.
    """
    if form not in PREDICTION_WRITERS:
        raise InputError(f"graphs are written as {', '.join(PREDICTION_WRITERS)}, not {form}")
    skipped = Skipped() if skipped is None else skipped
    vocabularies = tuple(model.categories), tuple(model.predicates)
    lines = GraphLines(out / FILE_NAMES["jsonl"], vocabularies, {"model": model.identity, "min_score": min_score})
    due = [path for path in images if os.path.abspath(path) not in lines.done]
    counts = {"images": 0, "images done before": len(images) - len(due)}
    for path, graph in model.graphs(due, skipped, progress):
        lines.add(os.path.abspath(path), image_size(path), at_least(graph, min_score))
        counts["images"] += 1
    target = out / FILE_NAMES.get(form, form)
    if target == lines.path or not lines.done:
        return target, counts
    write = lookup(PREDICTION_WRITERS, form, "format")
    if form in GRAPH_WRITERS:
        root = os.path.commonpath([os.path.dirname(image) for image in lines.done])
        write(target, ((os.path.relpath(image, root), g) for image, g in lines.graphs()), vocabularies)
    else:
        write(target, lines.annotated(), vocabularies)
    return target, counts
