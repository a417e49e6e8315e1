"""Tables as JSON: a line a row, as `datasets` has `metadata.jsonl`, or one list of rows (ALBEF, BLIP, LLaVA)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.text import parse_json, text_file
from groundgraph.errors import InputError
from groundgraph.formats.json_stream import read_objects

LINES, LISTS = (".jsonl", ".ndjson"), (".json",)


def read_json_rows(path: Path, choose: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a file, one after another, none of them held; what a row lacks is None.

    Args:
        path: One that ends in LINES, or in LISTS.
        choose: Of the keys of the first row, those that are wanted.

    Yields:
        Their values, in that order.

    Raises:
        InputError: There is no such file, or it is damaged or of another form; or what `choose` raises.
    """
    keys: Sequence[str] = ()
    for row in _lines(path) if path.suffix.lower() in LINES else _list(path):
        keys = keys or choose(list(row))
        yield tuple(row.get(key) for key in keys)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with text_file(path, "JSON lines of images and captions") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            row = parse_json(line, path, "write one object a line", number)
            if not isinstance(row, dict):
                raise InputError(f'{path}, line {number}: no object; write {{"file_name": NAME, "text": TEXT}}')
            yield row


def _list(path: Path) -> Iterator[dict[str, Any]]:
    with text_file(path, "a JSON list of images and captions") as file:
        start = file.read(64).lstrip()
    if start[:1] == "{":
        raise InputError(
            f"{path}: an object, where a table is a list of them; of COCO's captions set data.source to coco, of "
            "Karpathy's dataset_*.json to karpathy; give JSON lines a name that ends in .jsonl"
        )
    return read_objects(path)
