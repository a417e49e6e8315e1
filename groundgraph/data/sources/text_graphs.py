"""Triplets from a file in place of captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from groundgraph.data.types import Example, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.llm4sgg import Triplets


def with_triplets(
    examples: Sequence[Example], triplets: Mapping[str, Triplets], path: Path, skipped: Skipped
) -> list[Example]:
    """The examples that a file has triplets of, in order, with these in place of their captions.

    Args:
        examples: Of images.
        triplets: Image id -> its triplets, as `formats.llm4sgg.read_text_graphs` gives them.
        path: The file, for messages.
        skipped: Gets how many images are in one of the two alone.

    Raises:
        InputError: No image is in both.
    """
    chosen = [replace(e, captions=(), triplets=triplets[e.image_id]) for e in examples if e.image_id in triplets]
    if examples and not chosen:
        raise InputError(
            f"{path}: its images (such as {next(iter(triplets))!r}) are none of those trained on (such as "
            f"{examples[0].image_id!r}); give the file of this setting's images"
        )
    for count, what in (
        (len(examples) - len(chosen), "images of the data without a triplet in it"),
        (len(triplets) - len(chosen), "images in it that are not trained on"),
    ):
        if count:
            skipped.add(path.name, f"{count} {what}")
    return chosen
