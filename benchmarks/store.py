"""How fast are shuffled reads of region features, against one raw memory-mapped array? And what do other formats give?

    python benchmarks/store.py [IMAGES] [FOLDER]

Writes the features of IMAGES images (5,000: 553 MB as float16 [36, 1536]; boxes, labels and scores beside them) into
FOLDER (a temporary one by default) an image at a time, as a detector finds them, then reads every image's features
once in random order. Blocks of reads alternate with the same reads of a np.memmap of one array, each into an array of
its own, so that what else the machine does falls on both; the ratio is the median over the blocks, 1 = as fast.

"warm" (median of three passes): the files lie in the system's page cache (they fit), so this measures the formats' own
work. "cold": the pages are dropped before (POSIX_FADV_DONTNEED, after fsync), so the first read of each comes from the
disk, or from whatever cache lies under a virtual one. 11 GB on a machine of 24 are between the two.

The other formats are measured where their library is installed (h5py, zarr, pyarrow, lance, webdataset), each set up
for this use: one image a chunk, uncompressed (features do not compress); lance is asked for 64 images at once, which
is how it wants to be asked; webdataset, which has no random access, runs through a shuffle buffer of 1,000.
Memory: how much this process holds after writing that it did not hold before (without pages of mapped files).
The last line is one JSON object.
"""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from needs import needs

from groundgraph.data.store import Ragged, RegionsWriter
from groundgraph.data.types import Regions

SHAPE = (36, 1536)
BLOCK = 320  # reads between two looks at the clock
Reader = Callable[[np.ndarray], object]  # reads the features of these images
Opener = Callable[[], Reader]  # pages can be dropped only while no file is open


def features(i: int, noise: np.ndarray) -> np.ndarray:
    """An image's features: no two alike, and cheap to make."""
    return np.roll(noise, i * 7) + np.float16(i % 64)


def memmap(folder: Path, images: int, noise: np.ndarray) -> Opener:
    array = np.memmap(folder / "raw", np.float16, "w+", shape=(images, *SHAPE))
    for i in range(images):
        array[i] = features(i, noise)
    array.flush()

    def opened() -> Reader:
        array = np.memmap(folder / "raw", np.float16, "r", shape=(images, *SHAPE))
        return lambda rows: [np.array(array[i]) for i in rows]

    return opened


def ours(folder: Path, images: int, noise: np.ndarray) -> Opener:
    boxes, labels, scores = np.zeros((36, 4), np.float32), np.zeros(36, np.int64), np.zeros(36, np.float32)
    with RegionsWriter(folder / "ours", half=True) as writer:
        for i in range(images):
            writer.append(str(i), Regions(boxes, labels, scores, features(i, noise), (640, 480)))

    def opened() -> Reader:
        store = Ragged(folder / "ours")
        return lambda rows: [store.column(str(i), "features") for i in rows]

    return opened


def safetensors(folder: Path, images: int, noise: np.ndarray) -> Opener:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    save_file({"f": np.stack([features(i, noise) for i in range(images)])}, folder / "library.safetensors")

    def opened() -> Reader:
        part = safe_open(folder / "library.safetensors", framework="np").get_slice("f")
        return lambda rows: [part[int(i)] for i in rows]

    return opened


def hdf5(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import h5py

    with h5py.File(folder / "f.h5", "w") as file:
        data = file.create_dataset("f", (images, *SHAPE), np.float16, chunks=(1, *SHAPE))
        for i in range(images):
            data[i] = features(i, noise)

    def opened() -> Reader:
        data = h5py.File(folder / "f.h5", "r")["f"]
        return lambda rows: [data[i] for i in rows]

    return opened


def zarr(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import zarr

    shard = (500, *SHAPE)
    data = zarr.create_array(
        folder / "f.zarr", shape=(images, *SHAPE), chunks=(1, *SHAPE), shards=shard, dtype="f2", compressors=None
    )
    for start in range(0, images, 500):
        data[start : start + 500] = np.stack([features(i, noise) for i in range(start, min(start + 500, images))])

    def opened() -> Reader:
        data = zarr.open_array(folder / "f.zarr", mode="r")
        return lambda rows: [data[int(i)] for i in rows]

    return opened


def arrow(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import pyarrow as pa

    with pa.OSFile(str(folder / "f.arrow"), "w") as file, pa.ipc.new_file(file, _schema(pa)) as writer:
        for batch in _batches(pa, images, noise):
            writer.write_batch(batch)

    def opened() -> Reader:
        column = pa.ipc.open_file(pa.memory_map(str(folder / "f.arrow"))).read_all()["f"]
        return lambda rows: [array_of(column[int(i)]) for i in rows]

    return opened


def parquet(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(folder / "f.parquet", _schema(pa), compression="none", use_dictionary=False) as writer:
        for batch in _batches(pa, images, noise, 1):
            writer.write_batch(batch)

    def opened() -> Reader:
        file = pq.ParquetFile(folder / "f.parquet")
        return lambda rows: [array_of(file.read_row_group(int(i))["f"][0]) for i in rows]

    return opened


def lance(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import lance
    import pyarrow as pa

    lance.write_dataset(
        pa.RecordBatchReader.from_batches(_schema(pa), _batches(pa, images, noise)), str(folder / "f.lance")
    )

    def opened() -> Reader:
        data = lance.dataset(str(folder / "f.lance"))
        parts = range(0, BLOCK, 64)
        return lambda rows: [array_of(v) for k in parts for v in data.take(rows[k : k + 64].tolist())["f"]]

    return opened


def array_of(value) -> np.ndarray:
    return np.frombuffer(value.as_buffer(), np.float16).reshape(SHAPE).copy()


def _schema(pa):
    return pa.schema([("f", pa.binary(SHAPE[0] * SHAPE[1] * 2))])


def _batches(pa, images: int, noise: np.ndarray, size: int = 100) -> Iterator:
    for start in range(0, images, size):
        values = [features(i, noise).tobytes() for i in range(start, min(start + size, images))]
        yield pa.record_batch([pa.array(values, _schema(pa).field("f").type)], schema=_schema(pa))


def webdataset(folder: Path, images: int, noise: np.ndarray) -> Opener:
    import webdataset as wds

    with wds.ShardWriter(f"{folder}/f-%04d.tar", maxcount=1000, verbose=0) as writer:
        for i in range(images):
            writer.write({"__key__": str(i), "npy": features(i, noise)})
    files = sorted(map(str, folder.glob("f-*.tar")))

    def endless() -> Iterator:
        while True:
            yield from wds.WebDataset(files, shardshuffle=len(files), empty_check=False).shuffle(1000).decode()

    def opened() -> Reader:
        stream = endless()
        return lambda rows: [next(stream)["npy"] for _ in rows]

    return opened


def npz(folder: Path, images: int, noise: np.ndarray) -> Opener:
    (folder / "npz").mkdir()
    for i in range(images):
        buffer = io.BytesIO()
        np.savez(buffer, feat=features(i, noise))
        (folder / "npz" / f"{i}.npz").write_bytes(buffer.getvalue())
    return lambda: lambda rows: [np.load(folder / "npz" / f"{i}.npz")["feat"] for i in rows]


def drop_pages(folder: Path) -> None:
    """Let the system forget what it has of these files in memory."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def compare(baseline: Reader, other: Reader, images: int, seed: int) -> tuple[float, float]:
    """(ratio, images a second): median over blocks of the baseline's time by the other's."""
    order = np.random.default_rng(seed).permutation(images)
    ratios, seconds = [], 0.0
    for k, start in enumerate(range(0, images, BLOCK)):
        rows, times = order[start : start + BLOCK], {}
        for reader in (baseline, other) if k % 2 else (other, baseline):
            began = time.perf_counter()
            reader(rows)
            times[reader] = time.perf_counter() - began
        ratios.append(times[baseline] / times[other])
        seconds += times[other]
    return statistics.median(ratios), images / seconds


def resident() -> int:
    """The process's own resident bytes: what it allocated, not the files that it maps."""
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) * 1024


def measure(build: Callable, baseline: Opener, folder: Path, images: int, noise: np.ndarray) -> dict[str, float]:
    before, began = resident(), time.perf_counter()
    opened = build(folder, images, noise)
    wrote, grown = time.perf_counter() - began, resident() - before
    raw, other = baseline(), opened()
    compare(raw, other, images, 0)  # first calls import, and bring all pages in
    passes = [compare(raw, other, images, seed) for seed in (1, 2, 3)]
    warm, rate = sorted(passes)[1]
    del raw, other
    gc.collect()
    drop_pages(folder.parent)
    cold, cold_rate = compare(baseline(), opened(), images, 4)
    return {
        "written_images_a_second": round(images / wrote),
        "memory_growth_while_writing_MB": round(grown / 1e6),
        "warm_ratio": round(warm, 2),
        "warm_images_a_second": round(rate),
        "cold_ratio": round(cold, 2),
        "cold_images_a_second": round(cold_rate),
    }


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    place = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
    report: dict[str, object] = {"images": images, "MB": round(images * noise.nbytes / 1e6)}
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        folder = Path(scratch)
        (folder / "raw").mkdir()
        baseline = memmap(folder / "raw", images, noise)
        for build in (ours, safetensors, hdf5, zarr, arrow, parquet, lance, webdataset, npz):
            here = folder / "other"
            here.mkdir()
            try:
                report[build.__name__] = measure(build, baseline, here, images, noise)
                print(f"{build.__name__:<12}", report[build.__name__], flush=True)
            except ImportError as error:
                print(f"{build.__name__:<12} not installed ({error})")
            shutil.rmtree(here)
    print(json.dumps(report))


if __name__ == "__main__":
    with needs():
        main()
