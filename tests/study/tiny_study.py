"""A study of a few seconds: `python tiny_study.py FOLDER JOBS`."""

import sys
from pathlib import Path

from rich.console import Console

from groundgraph.study import run_study
from groundgraph.study.plan import Plan, paper_tables

SIZE = (
    "data.train=24", "data.validation=6", "data.test=8", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1",
)  # fmt: skip


def tiny_plan(models=("motifs",), variants=("sgnls", "two-teachers")):
    return Plan("study", paper_tables(["vg_caption"], models, variants), SIZE, 2)


if __name__ == "__main__":
    failed = run_study(tiny_plan(), Path(sys.argv[1]), int(sys.argv[2]), Console(width=150))
    sys.exit(1 if failed else 0)
