"""Parsed captions: captions to entities and triplets; bare triplets of words to sentences (METHOD.md section 1).

Reads the examples; writes parsed/SPLIT.jsonl, an image a line, in the order of the examples.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.records import Lines, parsed_of, parsed_record, read_lines, write_lines
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Entity, Example, ParsedCaption
from groundgraph.engine.extraction import CHUNK
from groundgraph.engine.run import Advance, Run
from groundgraph.engine.stage import Stage
from groundgraph.language import open_parser
from groundgraph.language.config import ParserConfig
from groundgraph.language.sentences import triplet_caption
from groundgraph.models.hub import TOKENIZER, WEIGHTS
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import examples
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe

KEY = "parser's key"  # what is needed in the environment
COUNTS = ("captions", "entities", "triplets", "captions without an entity")


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    config = recipe.parser
    model = config.model
    return [
        Stage(
            "parsed",
            needs=("examples",),
            settings=[config.settings, recipe.precision] if config.network else config.settings,
            files=lambda: [*([model_identity(model)] if model else []), *map(_version, config.packages)],
            work=parse,
            cost=per_image(recipe.splits, "parse captions: {images:,} images", seconds=config.seconds),
            requirements=lambda: _requirements(config),
        )
    ]


def parse(run: Run, folder: Path) -> dict[str, Any]:
    """Parse the captions of every split; what a broken-off attempt parsed is taken over."""
    parser, counts = open_parser(run.recipe.parser, **run.placement), Counter(dict.fromkeys(COUNTS, 0))
    for split in run.recipe.splits:
        with run.progress(f"parsing {split} captions", len(examples(run, split))) as advance:
            write_lines(folder / f"{split}.jsonl", _records(run, split, parser, counts, advance))
    return {what: count for what, count in counts.items() if count or what in COUNTS}


def _records(run: Run, split: str, parser: Any, counts: Counter[str], advance: Advance) -> Iterator[dict[str, Any]]:
    """A split's records, slice by slice; each slice is kept in a file of its own at once, after its counts."""
    listing, size = examples(run, split), getattr(parser, "images_at_once", CHUNK * 4)
    for start in range(0, len(listing), size):
        part = listing[start : start + size]
        path = run.scratch() / f"{split}-{start}-{size}.jsonl"
        if not path.exists():
            before = Counter(getattr(parser, "counts", ()))
            records = [parsed_record(e.image_id, own) for e, own in _parsed(run, split, parser, part)]
            own = _count(records) + (Counter(getattr(parser, "counts", ())) - before)
            run.skipped.keep()  # before the images that it is about
            write_lines(path, [own, *records])
        lines = read_lines(path)
        counts.update(next(lines))
        yield from lines
        advance(len(part))


def _parsed(
    run: Run, split: str, parser: Any, part: Sequence[Example]
) -> Iterator[tuple[Example, list[ParsedCaption]]]:
    """Some images with their parsed captions, bare triplets and paraphrases among them."""
    if hasattr(parser, "parse_example"):  # it reads the data's annotations
        whole = [caption for e in part for caption in parser.parse_example(e)]
    else:
        whole = parser.parse([caption for e in part for caption in e.captions])
    paraphrased = split == "train" and hasattr(parser, "paraphrases")
    flat, paraphrases = iter(whole), iter(parser.paraphrases(whole) if paraphrased else ())
    for example in part:
        written = (triplet_caption(*t, named=run.recipe.data.named) for t in example.triplets)
        count = len(example.captions)
        captions = [*islice(flat, count), *written, *filter(None, islice(paraphrases, count))]
        if not any(c.entities for c in captions):
            run.skipped.add(example.image_id, "no caption names an entity")
        yield example, captions


def _count(records: Sequence[dict[str, Any]]) -> Counter[str]:
    """Captions, entities and triplets of parsed images, and captions without an entity."""
    captions = [caption for record in records for caption in record["captions"]]
    sizes = [len(captions), *(sum(len(c[what]) for c in captions) for what in ("entities", "triplets"))]
    return Counter(dict(zip(COUNTS, [*sizes, sum(not c["entities"] for c in captions)], strict=True)))


def unread(run: Run) -> dict[str, int]:
    """What the parser counted of its own in a run that has the stage, such as captions that it could not read."""
    counts = run.record("parsed")["counts"]
    return {what: count for what, count in counts.items() if what not in COUNTS}


@kept("parsed")
def parsed(run: Run, split: str) -> Sequence[list[ParsedCaption]]:
    """A split's parsed captions, an image at a time, in the order of its examples."""
    return Lines(run.folder / "parsed" / f"{split}.jsonl", parsed_of)


def entities(captions: list[ParsedCaption]) -> list[Entity]:
    """All entities of an image, caption after caption: the rows of its targets and scores."""
    return [entity for caption in captions for entity in caption.entities]


def triplet_rows(captions: list[ParsedCaption]) -> np.ndarray:
    """Subject and object of an image's triplets as rows of its entities: [T, 2] int64."""
    firsts = np.cumsum([0, *(len(c.entities) for c in captions)])
    rows = [
        (first + t.subject, first + t.object) for first, c in zip(firsts, captions, strict=False) for t in c.triplets
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


def _version(name: str) -> str:
    """The version of an installed package, for a fingerprint; "" where there is none of that name."""
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""


def _requirements(config: ParserConfig) -> list[Need]:
    needs = []
    if config.network:
        needs.append(need_model("parser's model", config.network, "parser.model", WEIGHTS, TOKENIZER))
    for variable in config.variables:
        fix = f"export {variable}=... with the key of the parser's server"
        needs.append(Need(KEY, variable, fix, key="parser.api_key_env", there=variable in os.environ))
    for package in config.packages:
        there = bool(_version(package) or find_spec(package)) if package.isidentifier() else None
        needs.append(Need("parser's model", package, f"pip install {package}", key="parser.model", there=there))
    return needs
