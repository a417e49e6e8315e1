"""COCO with relations, as SGG-Benchmark reads it (its docs/ANNOTATIONS.md): `rel_categories` and `rel_annotations`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImages
from groundgraph.formats.coco import write_coco
from groundgraph.formats.coco_annotations import RELATION_KEYS, read_boxed, read_listing, read_names, relation_keys
from groundgraph.formats.entries import vocabulary


def read_coco_relations(path: str | Path, skipped: Skipped) -> BoxedImages:
    """The images of a file with their boxes and relations, and all names that it lists, in its order.

    Args:
        path: As `coco_annotations.read_instances`, with relations.
        skipped: Gets what is left out.

    Raises:
        InputError: The file is not such JSON, has no relations, or a name occurs twice; names file and fix.
    """
    listing = read_listing(path, ("images", "annotations", "categories"))
    keys = relation_keys(listing)
    if keys is None:
        raise InputError(
            f"{path}: has no lists `{'` and `'.join(RELATION_KEYS[0])}` (nor `{'` and `'.join(RELATION_KEYS[1])}`); "
            "give COCO annotations with relations, as SGG-Benchmark has them"
        )
    names = [tuple(read_names(listing, part, path, skipped).values()) for part in ("categories", keys[0])]
    vocabularies = vocabulary(names[0], path), vocabulary(names[1], path)
    return BoxedImages(read_boxed(listing, path, skipped), vocabularies)


def write_coco_relations(
    path: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies
) -> dict[str, int]:
    """Write SGG-Benchmark's form: as `coco.write_coco`, with relations under its names; predicates count from 0.

    Returns:
        Counts.
    """
    return write_coco(path, images, vocabularies, RELATION_KEYS[0], first_predicate=0)
