"""What does Ray cost? Images a second a core of `--engine ray` against the in-process run, from 1,000 to 20,000 images.

    python benchmarks/extraction.py [IMAGES ...]

For each number of MiniGenome images (1,000 and 20,000 by default) a run's five extraction stages are done by Ray, two
workers of one core each, and for the first number by one process of one core as well, each in a fresh process and
folder. Drawing the pictures and parsing are not part of it.

Of each stage the time from its first answered slices to its last is taken, an image: the cost of an image. What comes
before (Ray starts, workers import and load their models) is the start, told apart since it does not grow with the data.
Memory is the largest resident of the process that leads and of the largest worker.
ratio: images a second a core, Ray's by the in-process run's, without the start (steady) and with it (whole), at the
first number; flat: an image's cost at the last number by that at the first. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from rich.console import Console

from groundgraph.data.minigenome import dataset
from groundgraph.data.records import example_record, parsed_record, write_lines
from groundgraph.language import load_parser
from groundgraph.pipeline import artifacts, extraction
from groundgraph.pipeline.config import find_recipe, load_recipe
from groundgraph.pipeline.ray_engine import RayEngine
from groundgraph.pipeline.run import Run, Stage
from groundgraph.pipeline.streaming import extract

WORKERS = 2
STAGES = {
    "regions": extraction.REGIONS,
    "text": extraction.TEXT,
    "teachers": extraction.TEACHERS,
    "crops": extraction.CROPS,
    "reliability": extraction.WEIGHTS,
}


def prepare(folder: Path, images: int) -> None:
    """Draw the pictures and parse their captions, as a run's first stages would."""
    dataset.SPLITS["train"] = dataset.SPLITS["train"][0], images
    drawn = dataset.MiniGenome("train", "vg_caption", folder / "images")
    parser = load_parser("rules")
    (folder / "examples").mkdir()
    write_lines(folder / "examples" / "train.jsonl", (example_record(e, folder) for e in drawn))
    run = Run(load_recipe(find_recipe("demo")), folder)
    (folder / "parsed").mkdir()
    listed = artifacts.examples(run, "train")
    write_lines(
        folder / "parsed" / "train.jsonl", (parsed_record(e.image_id, parser.parse(list(e.captions))) for e in listed)
    )


def measure(engine: str, folder: Path) -> dict[str, Any]:
    """Do all stages in a folder that `prepare` made ready; run in a process of its own."""
    torch.set_num_threads(1)
    run, told = Run(load_recipe(find_recipe("demo")), folder, Console(file=StringIO())), {}
    marks: list[tuple[float, int]] = []

    @contextmanager
    def bar(what: str, total: int) -> Iterator[Any]:
        yield lambda count: marks.append((time.perf_counter(), count)) if count else None

    run.bar = bar
    peak = [0]
    if engine == "ray":
        run.engine = RayEngine(workers=WORKERS)
        threading.Thread(target=watch, args=(peak,), daemon=True).start()
    for name, what in STAGES.items():
        marks.clear()
        began = time.perf_counter()
        work = partial(extract, what=what, splits=["train"])
        run.execute([Stage(name, (), "benchmark", lambda run, folder, work=work: {"beyond": work(run, folder)})])
        done = sum(count for _, count in marks[1:])
        told[name] = {
            "seconds": round(time.perf_counter() - began, 2),
            "an image": (marks[-1][0] - marks[0][0]) / done if done else None,
        }
    if run.engine:
        run.engine.close()
    own = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return {"stages": told, "leader MiB": own >> 10, "worker MiB": peak[0] >> 10}


def watch(peak: list[int]) -> None:
    """Keep the largest resident memory of any of Ray's workers so far, in KiB."""
    while True:
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError, ValueError):
                if (place / "cmdline").read_bytes().startswith(b"ray::"):
                    status = (place / "status").read_text()
                    peak[0] = max(peak[0], int(status.partition("VmHWM:")[2].split()[0]))
        time.sleep(1)


def trial(engine: str, images: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for work in (["--prepare", folder, str(images)], ["--measure", folder, engine]):
            done = subprocess.run([sys.executable, __file__, *work], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr[-2000:])
    told = json.loads(done.stdout.splitlines()[-1])
    stages = told["stages"]
    cores = WORKERS if engine == "ray" else 1
    # A stage of too few slices for a first and a last has no cost of its own: its seconds stand for it.
    steady = {name: s["an image"] if s["an image"] else s["seconds"] / images for name, s in stages.items()}
    told["ms of a core an image"] = {name: round(1e3 * cores * cost, 3) for name, cost in steady.items()}
    told["images/s/core steady"] = round(1 / (cores * sum(steady.values())), 2)
    whole = sum(s["seconds"] for s in stages.values())
    told["images/s/core whole"] = round(images / whole / cores, 2)
    print(f"{engine:10} {images:>7,} images: {json.dumps(told)}", flush=True)
    return told


def main() -> None:
    if sys.argv[1:2] == ["--prepare"]:
        return prepare(Path(sys.argv[2]), int(sys.argv[3]))
    if sys.argv[1:2] == ["--measure"]:
        return print(json.dumps(measure(sys.argv[3], Path(sys.argv[2]))))
    sizes = [int(size) for size in sys.argv[1:]] or [1000, 20_000]
    alone = trial("in-process", sizes[0])
    many = {size: trial("ray", size) for size in sizes}
    first, last = many[sizes[0]], many[sizes[-1]]
    steady, whole = "images/s/core steady", "images/s/core whole"
    figures = {
        "in-process": alone,
        "ray": many,
        "ratio steady": round(first[steady] / alone[steady], 3),
        "ratio whole": round(first[whole] / alone[whole], 3),
        "ratio whole, last": round(last[whole] / alone[steady], 3),
        "flat": round(first[steady] / last[steady], 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
