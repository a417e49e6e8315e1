"""Streams a parquet file of a million captions into a run's lines, and says the time and the memory's peak."""

import argparse
import resource
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from groundgraph.data.records import example_record, write_lines
from groundgraph.data.sources.caption_config import CaptionsData
from groundgraph.data.sources.captions import CaptionsSource
from groundgraph.data.types import Skipped

LIMIT = 1536  # MiB


@contextmanager
def _bar(what, total):
    yield lambda count: None


def main(rows: int) -> None:
    """Write the file in batches, read it, print the figures.

    Every row names a picture of its own, all links to one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        Image.new("RGB", (8, 6)).save(folder / "images" / "0.jpg")
        for row in range(1, rows):
            (folder / "images" / f"{row}.jpg").symlink_to("0.jpg")
        schema = pa.schema({"key": pa.string(), "caption": pa.string()})
        with pq.ParquetWriter(folder / "captions.parquet", schema) as writer:
            for start in range(0, rows, 50_000):
                keys = [str(row) for row in range(start, min(rows, start + 50_000))]
                captions = [
                    f"photo {key} of a man who rides a brown horse along the beach in the evening" for key in keys
                ]
                writer.write_table(pa.table({"key": keys, "caption": captions}, schema))
        data = CaptionsData(source="table", captions=(str(folder / "captions.parquet"),), images=str(folder / "images"))
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.monotonic()
        stream = CaptionsSource(data, folder / "run").stream("train", Skipped(), _bar)
        count = write_lines(folder / "train.jsonl", (example_record(example, folder) for example in stream))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{count:,} rows in {time.monotonic() - began:.0f} s; peak {peak:.0f} MiB, of them {before:.0f} before")
        assert count == rows and peak < LIMIT, f"more than {LIMIT} MiB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    main(parser.parse_args().rows)
