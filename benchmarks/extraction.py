"""What does Ray cost? Images a second a core of `--engine ray` against the in-process run, from 1,000 to 20,000 images.

    python benchmarks/extraction.py [IMAGES ...]

For each number of MiniGenome images (1,000 and 20,000 by default) a run's five extraction stages are done by Ray, with
two workers of one core each, and by one process of one core, each in a fresh process and folder. Drawing the pictures
and parsing are not part of it.

steady: the cost of an image between the answer to a twentieth of the images and the last; a stage with fewer than 20
answers has none. quarters: the same of each quarter of the images, 1 = the mean: flat if what a stage costs does not
grow with what it has done. whole: all seconds of all stages, with what does not grow with the data: Ray starts, its
workers import torch and transformers, and load each stage's models. Memory is the most that the leading process and the
largest worker hold in a stage (without pages of mapped files, which count as resident as long as nobody needs the
room). ratio: images a second a core, Ray's by the in-process run's. The last line is one JSON object.
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

import numpy as np
import torch
from needs import needs
from rich.console import Console

from groundgraph.data.minigenome import dataset
from groundgraph.data.records import example_record, parsed_record, write_lines
from groundgraph.engine.execute import execute
from groundgraph.engine.extraction import extract
from groundgraph.engine.folder import claim
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.language import load_parser
from groundgraph.stages import artifacts, crops, regions, reliability, teachers, text
from groundgraph.stages.examples import ids_by_split
from groundgraph.stages.recipe import find_recipe, load_recipe

with needs():
    from groundgraph.engine.executors.ray import RayExecutor

WORKERS = 2


def prepare(folder: Path, images: int) -> None:
    """Draw the pictures and parse their captions, as a run's first stages would."""
    dataset.SPLITS["train"] = dataset.SPLITS["train"][0], images
    drawn = dataset.MiniGenome("train", "vg_caption", folder / "images")
    parser = load_parser("rules")
    (folder / "examples").mkdir()
    write_lines(folder / "examples" / "train.jsonl", (example_record(e, folder) for e in drawn))
    for split in ("validation", "test"):  # a detector asks about all splits
        (folder / "examples" / f"{split}.jsonl").touch()
    run = Run(load_recipe(find_recipe("demo")), folder)
    claim(folder, run.recipe)
    (folder / "parsed").mkdir()
    examples = artifacts.examples(run, "train")
    write_lines(
        folder / "parsed" / "train.jsonl", (parsed_record(e.image_id, parser.parse(list(e.captions))) for e in examples)
    )


def measure(engine: str, folder: Path) -> dict[str, Any]:
    """Do all stages in a folder that `prepare` made ready; run in a process of its own."""
    torch.set_num_threads(1)
    run, costs = Run(load_recipe(find_recipe("demo")), folder, Console(file=StringIO())), {}
    marks: list[tuple[float, int]] = []

    @contextmanager
    def bar(what: str, total: int) -> Iterator[Any]:
        yield lambda count: marks.append((time.perf_counter(), count)) if count else None

    run.progress = bar
    peak = {"leader": 0, "worker": 0}
    threading.Thread(target=watch, args=(peak,), daemon=True).start()
    if engine == "ray":
        run.executor = RayExecutor(workers=WORKERS)
    parts = {"regions": regions, "text": text, "teachers": teachers, "crops": crops, "reliability": reliability}
    for name, part in parts.items():
        marks.clear()
        peak |= dict.fromkeys(peak, 0)
        began = time.perf_counter()
        work = partial(extract, extraction=part.EXTRACTION, images=ids_by_split(run, ["train"]))
        execute(run, [Stage(name, (), "benchmark", lambda run, folder, work=work: {"beyond": work(run, folder)})])
        costs[name] = {"seconds": round(time.perf_counter() - began, 2)} | steady(marks)
        costs[name] |= {f"{whose} MiB": size >> 10 for whose, size in peak.items() if size}
    if run.executor:
        run.executor.close()
    return {"stages": costs}


def steady(marks: list[tuple[float, int]]) -> dict[str, Any]:
    """The seconds an image took, and those of each quarter by their mean; marks: when how many were done."""
    if len(marks) < 20:
        return {}
    times, done = np.array([t for t, _ in marks]), np.cumsum([count for _, count in marks])
    begin = done[-1] / 20
    at = np.interp(np.linspace(begin, done[-1], 5), done, times)
    mean = (at[-1] - at[0]) / (done[-1] - begin)
    quarters = np.diff(at) / (at[-1] - at[0]) * 4
    return {"an image": float(mean), "quarters": quarters.round(3).tolist()}


def watch(peak: dict[str, int]) -> None:
    """Keep the most that this process and any of Ray's workers held so far, in KiB."""
    while True:
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError, ValueError):
                worker = (place / "cmdline").read_bytes().startswith(b"ray::Actor")
                if worker or int(place.name) == os.getpid():
                    held = int((place / "status").read_text().partition("RssAnon:")[2].split()[0])
                    peak["worker" if worker else "leader"] = max(peak["worker" if worker else "leader"], held)
        time.sleep(0.5)


def trial(engine: str, images: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for work in (["--prepare", folder, str(images)], ["--measure", folder, engine]):
            done = subprocess.run([sys.executable, __file__, *work], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr[-2000:])
    costs = json.loads(done.stdout.splitlines()[-1])
    cores = WORKERS if engine == "ray" else 1
    costs["ms of a core an image"] = {
        name: round(1e3 * cores * stage["an image"], 3)
        for name, stage in costs["stages"].items()
        if "an image" in stage
    }
    whole = sum(stage["seconds"] for stage in costs["stages"].values())
    costs["images/s/core, whole"] = round(images / whole / cores, 2)
    print(f"{engine:10} {images:>7,} images: {json.dumps(costs)}", flush=True)
    return costs


def ratio(costs: dict[str, Any]) -> float | None:
    """In-process by Ray's steady cost of an image, over the stages that have one in both."""
    alone, many = (costs[engine]["ms of a core an image"] for engine in ("in-process", "ray"))
    both = alone.keys() & many.keys()
    return round(sum(alone[name] for name in both) / sum(many[name] for name in both), 3) if both else None


def main() -> None:
    if sys.argv[1:2] == ["--prepare"]:
        return prepare(Path(sys.argv[2]), int(sys.argv[3]))
    if sys.argv[1:2] == ["--measure"]:
        return print(json.dumps(measure(sys.argv[3], Path(sys.argv[2]))))
    import ray  # noqa: F401  (an extra; else each trial would end over it)

    sizes = [int(size) for size in sys.argv[1:]] or [1000, 20_000]
    costs = {size: {engine: trial(engine, size) for engine in ("in-process", "ray")} for size in sizes}
    whole = "images/s/core, whole"
    figures = {
        "ratio, steady": {n: ratio(t) for n, t in costs.items()},
        "ratio, whole": {n: round(t["ray"][whole] / t["in-process"][whole], 3) for n, t in costs.items()},
    }
    print(json.dumps({"sizes": costs} | figures))


if __name__ == "__main__":
    with needs():
        main()
