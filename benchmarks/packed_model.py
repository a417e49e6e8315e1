"""A packed demo model: its size, a new image in a fresh process (imports included), and images a second after that.

    python benchmarks/packed_model.py [--model FOLDER] [--images N]

The claim: under 5 MB, under 4 s, 30 images a second, on two cores. Without --model the bundled miniature's model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
        seconds = []
        for _ in range(arguments.repeats):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", FRESH, str(folder), paths[0]], check=True)
            seconds.append(time.perf_counter() - start)
        print(
            f"fresh process, one image: median {sorted(seconds)[len(seconds) // 2]:.2f} s, least {min(seconds):.2f} s"
        )
        import groundgraph

        model = groundgraph.load(folder)
        model.predict(paths[:16])
        start, cpu = time.perf_counter(), time.process_time()
        for _ in model.graphs(paths):
            pass
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(f"{len(paths) / wall:.0f} images/s ({1e3 * cpu / len(paths):.0f} ms of processor time an image)")


if __name__ == "__main__":
    main()
