"""The demo, fresh and once more, by one process and by two: seconds of the whole and of each stage.

    python benchmarks/demo.py [--jobs 1 2] [KEY=VALUE ...]

KEY=VALUE are keys of its recipe, for a shorter one. The claim: under 150 s fresh with two jobs on two quiet cores, a
second run, which has nothing to do, under 10 s, and the same figures whatever the number of jobs. A stage's seconds are
those of the clock, so with several jobs others share them. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from needs import needs


def run(folder: Path, jobs: int, settings: list[str]) -> float:
    """The seconds of one command."""
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "groundgraph", "demo", "--out", str(folder), "--jobs", str(jobs), *words]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - began, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    report, figures = {}, []
    with tempfile.TemporaryDirectory() as place:
        for jobs in arguments.jobs:
            folder = Path(place) / str(jobs)
            fresh, again = (run(folder, jobs, arguments.settings) for _ in range(2))
            records = {p.parent.name: json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*/stage.json"))}
            stages = {name: record["seconds"] for name, record in records.items()}
            figures.append(json.loads((folder / "metrics.json").read_text("utf-8"))["methods"])
            report[f"jobs {jobs}"] = {"fresh_s": fresh, "again_s": again, "stages_s": stages}
            print(f"{jobs} jobs: {fresh:.0f} s fresh, {again:.0f} s once more")
            for name in sorted(stages, key=stages.get, reverse=True):
                print(f"  {stages[name]:6.1f}  {name}")
    first, last = (report[f"jobs {jobs}"]["fresh_s"] for jobs in (arguments.jobs[0], arguments.jobs[-1]))
    same = all(own == figures[0] for own in figures)
    print(
        f"{first / last:.2f} times as fast with {arguments.jobs[-1]}; " + ("equal figures" if same else "OTHER FIGURES")
    )
    print(json.dumps(report | {"times": round(first / last, 2), "same_figures": same}))


if __name__ == "__main__":
    with needs():
        main()
