"""Parquet and Arrow files, read row by row: chosen columns alone, whatever the file's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.fetched import check_fetched
from groundgraph.errors import InputError

COLUMNAR = (".parquet", ".arrow", ".feather")
_ROWS, _PICTURES = 1024, 16  # rows read at a time, and of rows that have pictures in them


def read_columns(path: Path, choose: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a file, one after another: no more than some hundreds of them are held.

    Args:
        path: One that ends in COLUMNAR.
        choose: Of the names of all columns, those that are wanted.

    Yields:
        Their values, in that order.

    Raises:
        InputError: There is no such file, or it is damaged; or what `choose` raises.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f'{path}: reading it needs pyarrow: pip install "groundgraph[tables]"') from error
    check_fetched(path)
    try:
        with pa.OSFile(str(path)) if path.suffix == ".parquet" else pa.memory_map(str(path)) as file:
            columns: Sequence[str] = []
            if path.suffix == ".parquet":
                table = pq.ParquetFile(file)
                columns = choose(table.schema_arrow.names)
                rows = _at_once(pa, table.schema_arrow, columns)
                batches = table.iter_batches(rows, columns=list(dict.fromkeys(columns)))
            else:
                batches = _arrow_batches(pa, file)
            for batch in batches:
                columns = columns or choose(batch.schema.names)
                batch.validate(full=True)  # a damaged file's offsets would be followed wherever they point
                rows = _at_once(pa, batch.schema, columns)
                for start in range(0, len(batch), rows):  # Arrow files have batches of any size
                    part = batch.slice(start, rows)
                    yield from zip(*(part.column(column).to_pylist() for column in columns), strict=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; name one that is there") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged, or no {path.suffix[1:]} file ({error}); fetch it again") from error


def _at_once(pa: Any, schema: Any, columns: Sequence[str]) -> int:
    """How many rows are made Python's values at a time."""
    pictures = (pa.types.is_struct, pa.types.is_binary, pa.types.is_large_binary)
    return _PICTURES if any(of(schema.field(column).type) for column in columns for of in pictures) else _ROWS


def _arrow_batches(pa: Any, file: Any) -> Iterator[Any]:
    """The batches of an Arrow stream, as `datasets` writes it, or file."""
    try:
        yield from pa.ipc.open_stream(file)
    except pa.ArrowInvalid:
        reader = pa.ipc.open_file(file)
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
