"""Tables of images and captions, read row by row: CSV, TSV, JSON, parquet and Arrow, as data sets are stored.

Flickr's `image_name| comment_number| comment` and token files, Conceptual Captions' TSV without a header, LAION's and
DataComp's parquet with img2dataset's keys, the Arrow files and `metadata.jsonl` of a Hugging Face data set's folder.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from groundgraph.data.images import IMAGE_ENDINGS
from groundgraph.data.text import text_file
from groundgraph.errors import InputError
from groundgraph.formats.columnar import COLUMNAR, read_columns
from groundgraph.formats.hugging_face import SPLITS
from groundgraph.formats.json_rows import LINES, LISTS, read_json_rows

CAPTIONS = (
    "caption",
    "captions",
    "text",
    "comment",
    "sentence",
    "sentences",
    "raw",
    "title",
    "alt_text",
    "description",
)
IMAGES = ("image", "image_name", "filename", "file_name", "image_path", "filepath", "path", "key", "img", "image_id")
ADDRESSES = ("url", "image_url", "img_url", "link")
# What tables end in. In a folder the first kind that is there counts: beside parquet files, img2dataset writes a .txt a
# picture, and others lay notes.
KINDS = (COLUMNAR, (".csv", ".tsv", ".token", *LINES), (".txt",))
SPLIT = "split"  # the column that says of each row which split it is of, as Karpathy's are stored on the hub
ROW_SPLITS = SPLITS | {"train": (*SPLITS["train"], "restval")}  # ours -> what rows call it
_TOKENS = re.compile(r"([^\t]+)#\d+\t")  # Flickr's, without a header: name#number, caption
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TEXTS = re.compile(_TEXT)
_LISTED = re.compile(rf"\[\s*(?:(?:{_TEXT})[\s,]*)+\]")  # a list as Python or NumPy prints it, which pandas writes
_QUOTED = re.compile(r'\A"((?:[^"]|"")*)"\Z')  # a cell that pandas quoted, where other files have quotes as they are
Row = tuple[int, Any, Any]  # number from 1, image, captions


def read_rows(
    path: Path, image: str | None = None, caption: str | None = None, split: str | None = None
) -> Iterator[Row]:
    """The rows of a table, one after another: no more than some hundreds of them are held.

    Args:
        path: One that ends in one of KINDS or LISTS.
        image: The column of the pictures: names of files, their bytes, or {"bytes", "path"} as the `datasets` library
            stores them. None: the first that is there of IMAGES, upper or lower case. A table of captions and addresses
            alone, without a header as Conceptual Captions has it (3M, or 12M, whose addresses come first) or with one,
            has the row's number of nine digits, as img2dataset names pictures.
        caption: The column of the captions: a text, a list, or a JSON list as text. None: likewise, of CAPTIONS.
        split: Only the rows that the column SPLIT says are of it, one of ROW_SPLITS; None: all.

    Yields:
        (row's number from 1, image, captions), as they stand.

    Raises:
        InputError: There is no such file or column (the message lists those that are there), or it is damaged.
    """

    def choose(names: Sequence[str]) -> list[str]:
        own = [_column(path, names, image, IMAGES, "image"), _column(path, names, caption, CAPTIONS, "caption")]
        return own if split is None else [*own, _split_column(path, names)]

    for number, cells in enumerate(_cells(path, choose, usual=not image and not caption and not split), 1):
        if split is None or _split_name(cells[2]) in ROW_SPLITS[split]:
            yield number, cells[0], cells[1]


def row_splits(path: Path) -> frozenset[str]:
    """What a table's rows say which split they are of, in small letters; nothing where it has no column SPLIT.

    Raises:
        InputError: As `read_rows`.
    """
    try:
        names = {_split_name(value) for value, *_ in _cells(path, lambda names: [_split_column(path, names)], False)}
    except _NoSplitsError:
        return frozenset()
    return frozenset(filter(None, names))


class _NoSplitsError(InputError):
    """A table has no column SPLIT."""


def _split_column(path: Path, names: Sequence[str]) -> str:
    column = next((name for name in names if name.lower() == SPLIT), None)
    if column is None:
        raise _NoSplitsError(f"{path}: no column {SPLIT!r}, which other files of its table have; give tables of a kind")
    return column


def _split_name(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


def _cells(path: Path, choose: Callable[[Sequence[str]], list[str]], usual: bool) -> Iterator[Sequence[Any]]:
    """The cells of the columns chosen, row by row; `usual`: a text may have no header, see `_text_cells`."""
    suffix = path.suffix.lower()
    if suffix in COLUMNAR:
        return read_columns(path, choose)
    return read_json_rows(path, choose) if suffix in (*LINES, *LISTS) else _text_cells(path, choose, usual)


def _text_cells(path: Path, choose: Callable[[Sequence[str]], list[str]], usual: bool) -> Iterator[Sequence[Any]]:
    """Likewise of CSV, TSV and token files; of those without a header, or of addresses alone, image and caption."""
    with text_file(path, "a table of images and captions", newline="") as file:
        head = file.readline()
        lines = chain([head], file)
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        if usual and _TOKENS.match(head):
            yield from ((m[1], line[m.end() :]) for line in lines if (m := _TOKENS.match(line)))
            return
        addresses = [field.startswith(("http://", "https://")) for field in head.split("\t")[:2]]
        bare = sum(addresses) == 1 == len(addresses) - 1  # a caption and an address, and no header
        delimiter = "\t" if path.suffix == ".tsv" or bare else max("|\t,;", key=head.count)
        quoted = delimiter in ",;"
        rows = (
            _quoted_rows(lines, delimiter) if quoted else csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        )
        names = [] if bare else [name.strip().strip('"') for name in next(rows, [])]
        if len(names) == 2:
            addresses = [name.lower() in ADDRESSES for name in names]
        if usual and (bare or len(names) == 2) and sum(addresses) == 1:
            place = addresses.index(False)
            yield from ((f"{n:09d}", row[place] if len(row) > 1 else None) for n, row in enumerate(rows))
            return
        places = [names.index(column) for column in choose(names)]
        for row in rows:
            if quoted and len(row) > len(names):  # a text in the last column that has commas and no quotes
                row[len(names) - 1 :] = [delimiter.join(row[len(names) - 1 :]).rstrip(delimiter)]
            if len(row) > max(places):
                cells = [row[place].strip() for place in places]
                yield cells if quoted else [*map(_unquoted, cells)]
            elif row:
                yield [None] * len(places)


def _quoted_rows(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    """The rows of lines whose cells may be quoted.

    A quote that nobody closes makes one cell of all that follows, up to the next quote. Where one of these lines is a
    row by itself, each line is read as one.
    """
    held: list[str] = []  # the lines of the row that is being read
    columns = 0

    def holding() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line

    for row in csv.reader(holding(), delimiter=delimiter):
        columns = columns or len(row)
        alone = [next(csv.reader([line], delimiter=delimiter), []) for line in held] if len(held) > 1 else []
        yield from alone if any(map(partial(_is_row, columns), alone[1:])) else [row]
        held.clear()


def _is_row(columns: int, cells: list[str]) -> bool:
    return len(cells) >= columns and any(cell.lower().endswith(tuple(IMAGE_ENDINGS)) for cell in cells)


def _unquoted(cell: str) -> str:
    quoted = _QUOTED.match(cell)
    return quoted[1].replace('""', '"') if quoted else cell


def _column(path: Path, names: Sequence[str], column: str | None, usual: Sequence[str], what: str) -> str:
    """A column by its name, else the first of the usual names that is there."""
    lowered = {name.lower(): name for name in reversed(names)}
    for name in [column] if column else usual:
        if name in names:
            return name
        if not column and name in lowered:
            return lowered[name]
    there = ", ".join(map(repr, names[:30])) or "none"
    if what == "image" and not column and (addresses := [lowered[name] for name in ADDRESSES if name in lowered]):
        raise InputError(
            f"{path}: its pictures are addresses ({addresses[0]!r}): fetch them by img2dataset, and name the parquet "
            "files or tars that it writes, whose keys are the pictures' names"
        )
    cause = f"no column {column!r}" if column else f"no column that is usual for the {what}"
    if any(Path(name).suffix.lower() in IMAGE_ENDINGS for name in names):
        raise InputError(f"{path}: its first line names no columns but a picture; write `image,caption` above it")
    raise InputError(f"{path}: {cause}; there are {there}: set data.columns.{what} to one of them")


def captions_of(value: Any) -> list[str] | None:
    """The captions in a cell: a text, a list of texts, such a list as text, or {"raw": text}; None: none of these.

    A list as text is JSON's, or as Python or NumPy prints it: that is what pandas writes into a CSV.
    """
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            if not _LISTED.fullmatch(value):
                return [value]
            try:
                return [ast.literal_eval(text) for text in _TEXTS.findall(value)]
            except (ValueError, SyntaxError):
                return [value]
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):  # as Karpathy's files have a sentence
        return captions_of(value.get("raw"))
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        value = [part.get("raw") for part in value]
    return value if isinstance(value, list) and all(isinstance(text, str) for text in value) else None
