"""A packed demo model: its size, a new image in a fresh process (imports included), and images a second after that.

    python benchmarks/packed_model.py [--model FOLDER] [--images N]

The claim: under 5 MB, under 4 s, 30 images a second, on two cores. Without --model the bundled miniature's model.
Processor time is said too, which other work on the machine changes less. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.models import resolve

FRESH = """
import sys, groundgraph
groundgraph.load(sys.argv[1]).predict(sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="bundled:sgg")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    folder = Path(resolve(arguments.model))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{size / 1e6:.2f} MB in {folder}")
    with tempfile.TemporaryDirectory() as drawn:
        paths = [e.path for e in MiniGenome("test", "vg_caption", Path(drawn), arguments.images)]
        seconds, processor = [], []
        for _ in range(arguments.repeats):
            start, before = time.perf_counter(), children_seconds()
            subprocess.run([sys.executable, "-c", FRESH, str(folder), paths[0]], check=True)
            seconds.append(time.perf_counter() - start)
            processor.append(children_seconds() - before)
        fresh = {"median": median(seconds), "least": min(seconds), "processor": median(processor)}
        print("fresh process, one image: " + ", ".join(f"{name} {value:.2f} s" for name, value in fresh.items()))
        import groundgraph

        model = groundgraph.load(folder)
        model.predict(paths[:16])
        start, cpu = time.perf_counter(), time.process_time()
        for _ in model.graphs(paths):
            pass
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{len(paths) / wall:.0f} images/s ({1e3 * cpu / len(paths):.0f} ms of processor time an image)")
    report = {"megabytes": size / 1e6, "fresh_s": fresh, "images_a_second": len(paths) / wall}
    print(json.dumps(report | {"processor_ms_an_image": 1e3 * cpu / len(paths)}))


def children_seconds() -> float:
    """Processor time of the processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main()
