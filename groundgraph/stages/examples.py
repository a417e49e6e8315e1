"""Examples: the images of each split with their captions or triplets, and their truth where the data has it.

Reads the recipe's data; writes examples/SPLIT.jsonl, an image a line, and images/ where the source draws its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.read_ahead import ReadAhead
from groundgraph.data.records import Lines, example_of, example_record, write_lines
from groundgraph.data.sources import Source, open_source
from groundgraph.data.sources.captions import CaptionsSource
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.engine.fingerprints import file_identity, file_states
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.stages.cost import per_image
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""

    def files() -> list[Any]:
        return [[file_identity(path) for path in recipe.data.annotations()], _photos(open_source(recipe.data, Path()))]

    return [
        Stage(
            "examples",
            needs=(),
            settings=recipe.data.model_dump(mode="json"),
            files=files,
            work=collect,
            cost=per_image(recipe.splits, "gather {images:,} images", seconds=2),
            requirements=lambda: open_source(recipe.data, Path()).needs(),
        )
    ]


def collect(run: Run, folder: Path) -> dict[str, Any]:
    """Read or draw the data."""
    source, counts = open_source(run.recipe.data, run.folder / "images"), {}
    for split in run.recipe.splits:
        own = Counter[str]()
        stream = _stream(source, split, run.skipped, run.progress)
        write_lines(folder / f"{split}.jsonl", (example_record(e, run.folder) for e in _counted(stream, split, own)))
        counts |= own
    return {name: count for name, count in counts.items() if count}


def _stream(source: Source, split: str, skipped: Skipped, progress: ProgressBar) -> Iterator[Example]:
    """A source's examples of a split, one by one. Raises as `read_examples`."""
    if not isinstance(source, CaptionsSource):
        yield from read_examples(source, split, skipped, progress)
        return
    example = None
    for example in source.stream(split, skipped, progress):
        yield example
    if example is None:
        raise _nothing_left(split, skipped)


def _counted(stream: Iterator[Example], split: str, counts: Counter[str]) -> Iterator[Example]:
    """The examples as they come, counted."""
    for example in stream:
        counts[f"{split} images"] += 1
        counts[f"{split} captions"] += len(example.captions)
        counts[f"{split} triplets of words"] += len(example.triplets)
        yield example


def _nothing_left(split: str, skipped: Skipped) -> InputError:
    return InputError(f"no {split} image with a caption or triplet is left: {_first(skipped)}")


def read_examples(source: Source, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
    """A source's examples of a split.

    Raises:
        InputError: There is none; the message says why the first were left out.
    """
    listing = source.examples(split, skipped, progress)
    if not listing:
        raise _nothing_left(split, skipped)
    return listing


@kept("examples")
def examples(run: Run, split: str) -> Sequence[Example]:
    """A split's examples, in order; read from the disk one by one."""
    return Lines(run.folder / "examples" / f"{split}.jsonl", lambda record: example_of(record, run.folder))


@kept("examples")
def image_ids(run: Run, split: str) -> tuple[str, ...]:
    """The ids of a split's images, in order; kept in memory."""
    return tuple(example.image_id for example in examples(run, split))


def expect_pictures(run: Run, pictures: ReadAhead, split: str, part: slice) -> None:
    """Have a slice's pictures decoded, and those of the next slice while it is worked on."""
    ahead = slice(part.start, part.stop + (part.stop - part.start))
    pictures.expect([example.path for example in examples(run, split)[ahead]])


def ids_by_split(run: Run, splits: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The same of several splits, as `engine.extraction.extract` takes them."""
    return {split: image_ids(run, split) for split in splits}


def image_counts(run: Run) -> dict[str, int]:
    """How many images each split has, by the stage's record; {} where it is not done."""
    counts = (run.record("examples") or {"counts": {}})["counts"]
    return {split: counts[f"{split} images"] for split in run.recipe.splits if f"{split} images" in counts}


def _photos(source: Source) -> str:
    """The pictures that the examples may name, by their sizes and times."""
    try:
        return file_states(source.pictures())
    except ValueError:  # the stage says what is wrong with the files that name them
        return "unreadable"


def _first(skipped: Skipped, most: int = 3) -> str:
    """The first of what was skipped, and of how many."""
    if not skipped.items:
        return "the data lists none"
    count = len(skipped.items)
    causes = "; ".join(f"{name}: {why}" for name, why in skipped.items[:most])
    return f"{count} skipped, such as {causes}" if count > most else causes
