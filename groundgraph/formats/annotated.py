"""Images with boxes and relations for other programs, whether a model predicted them or they are pseudo labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from groundgraph.data.numbers import shortest
from groundgraph.data.types import AnnotatedImage, Graph
from groundgraph.errors import InputError


def best_relations(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Each pair's best predicate, as the evaluation ranks them.

    Returns:
        [R, 3] int64 (subject, object, predicate in 1..P) and [R] scores, those of `Graph.relation_scores`, best first;
        a pair without a predicate that is predicted has no row.
    """
    pairs, table = np.asarray(graph.pairs).reshape(-1, 2), np.asarray(graph.predicate_scores)[:, 1:]
    if not table.size:
        return np.zeros((0, 3), np.int64), np.zeros(0, np.float32)
    values = np.asarray(graph.relation_scores)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]
    return np.column_stack([pairs[order], 1 + table[order].argmax(1)]).astype(np.int64), values[order]


def annotated_image(image_id: str, path: str, size: tuple[int, int], graph: Graph) -> AnnotatedImage:
    """A predicted graph as annotations with scores.

    Args:
        image_id: The image's name.
        path: Its file.
        size: (width, height) in pixels.
        graph: Its graph; a pair's best predicate is its relation.
    """
    relations, scores = best_relations(graph)
    return AnnotatedImage(image_id, path, size, graph.boxes, np.asarray(graph.labels), graph.scores, relations, scores)


def relation_scores(image: AnnotatedImage) -> list[float | None]:
    """A score a relation; None where they are annotations, which have none."""
    if image.relation_scores is None:
        return [None] * len(image.relations)
    scores: list[float | None] = shortest(image.relation_scores)
    return scores


def counted_annotations(
    images: Iterable[AnnotatedImage], path: str | Path, counts: dict[str, int]
) -> Iterator[AnnotatedImage]:
    """Images as they come, counted in "images", "boxes", "relations" and "images without a box".

    Raises:
        InputError: There is none; names what was to be written.
    """
    counts.update({"images": 0, "boxes": 0, "relations": 0, "images without a box": 0})
    for image in images:
        counts["images"] += 1
        counts["boxes"] += len(image.boxes)
        counts["relations"] += len(image.relations)
        counts["images without a box"] += not len(image.boxes)
        yield image
    if not counts["images"]:
        raise InputError(f"{path}: no image to export; finish the run first")
