"""Examples, parsed captions and pseudo labels as JSON lines: what lies in a run folder for a person to open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from groundgraph.data.files import atomic_write, open_text
from groundgraph.data.types import Entity, Example, GroundTruth, Mention, ParsedCaption, Triplet
from groundgraph.errors import InputError

T = TypeVar("T")
_BLOCK = 1 << 20  # bytes looked through at a time


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line, see `atomic_write`; gives how many."""
    count = 0
    with atomic_write(path) as temporary, open_text(temporary) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read what `write_lines` wrote; raises ValueError naming file and line where it is damaged."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield _parsed(line, path, number)


def _parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, nested without end
        raise InputError(f"{path}, line {number}: not JSON ({error}); delete the folder and run again") from error


class Lines(Sequence[T]):
    """What `write_lines` wrote as a list that needs no memory: 8 bytes a line, which is parsed when it is asked for.

    Args:
        path: The file.
        of: Makes an item of a line's record.

    Raises:
        InputError: As `read_lines`.
    """

    def __init__(self, path: Path, of: Callable[[dict[str, Any]], T]) -> None:
        self.path, self._of = path, of
        ends, offset = [np.zeros(1, np.int64)], 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                ends.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1 + offset)
                offset += len(block)
        self._starts = np.concatenate(ends)
        if self._starts[-1] != offset:
            raise InputError(f"{path}, line {len(self)}: cut off; delete the folder and run again")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int | slice) -> Any:
        rows = range(len(self))
        with self.path.open("rb") as file:
            if isinstance(index, slice):
                return [self._read(file, row) for row in rows[index]]
            return self._read(file, rows[index])

    def __iter__(self) -> Iterator[T]:
        return (self._of(record) for record in read_lines(self.path))

    def _read(self, file: BinaryIO, row: int) -> T:
        start, end = self._starts[row : row + 2].tolist()
        file.seek(start)
        return self._of(_parsed(file.read(end - start), self.path, row + 1))


def example_record(example: Example, root: Path) -> dict[str, Any]:
    """An example as JSON; its path is kept relative to `root` where it lies inside, so that the folder can be moved."""
    path = Path(example.path)
    inside = path.is_relative_to(root)
    record: dict[str, Any] = {"id": example.image_id, "path": str(path.relative_to(root) if inside else path.resolve())}
    record |= {"captions": list(example.captions), "triplets": [list(t) for t in example.triplets]}
    if example.size is not None:
        record["size"] = list(example.size)
    if example.truth is not None:
        truth = example.truth
        record["truth"] = {
            "boxes": np.asarray(truth.boxes, np.float64).round(3).tolist(),
            "labels": list(truth.labels),
            "relations": [list(r) for r in truth.relations],
            "mentions": [[m.caption, *m.span, list(m.objects), m.entity] for m in truth.mentions],
        }
    return record


def example_of(record: dict[str, Any], root: Path) -> Example:
    """The inverse of `example_record`."""
    truth = None
    if (kept := record.get("truth")) is not None:
        truth = GroundTruth(
            np.array(kept["boxes"], np.float32).reshape(-1, 4),
            tuple(kept["labels"]),
            tuple((s, p, o) for s, p, o in kept["relations"]),
            tuple(Mention(c, (a, b), tuple(objects), entity) for c, a, b, objects, entity in kept["mentions"]),
        )
    path = str(root / record["path"])  # an absolute path stays itself
    width_height = record.get("size")
    size = None if width_height is None else (width_height[0], width_height[1])
    triplets = tuple(tuple(t) for t in record["triplets"])
    return Example(record["id"], path, tuple(record["captions"]), triplets, truth, size)


def parsed_record(image_id: str, captions: Iterable[ParsedCaption]) -> dict[str, Any]:
    """An image's parsed captions as JSON."""
    return {
        "id": image_id,
        "captions": [
            {
                "text": c.text,
                "entities": [vars(entity) for entity in c.entities],
                "triplets": [[t.subject, t.predicate, t.object] for t in c.triplets],
            }
            for c in captions
        ],
    }


def parsed_of(record: dict[str, Any]) -> list[ParsedCaption]:
    """The inverse of `parsed_record`."""
    return [
        ParsedCaption(
            c["text"],
            tuple(
                Entity(e["text"], e["head"], e["name"], tuple(e["span"]), tuple(e["head_span"]), tuple(e["attributes"]))
                for e in c["entities"]
            ),
            tuple(Triplet(*t) for t in c["triplets"]),
        )
        for c in record["captions"]
    ]
