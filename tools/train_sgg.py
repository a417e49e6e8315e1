"""Trains the bundled miniature's scene-graph generator, which `groundgraph.load()` gives: the demo's recipe, packed.

    python -m tools.train_sgg [--set KEY=VALUE ...] [--out FOLDER]

It goes on where it was stopped: the run lies in `.sgg-training` beside the folder until it is done.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import groundgraph

TARGET = Path(__file__).parent.parent / "groundgraph" / "models" / "sgg"


def train(out: Path, settings: list[str]) -> dict[str, int]:
    """Run the demo's recipe with its first grounder and pack the model; gives its files' sizes in bytes."""
    folder = out.with_name(f".{out.name}-training")
    groundgraph.run("demo", ["grounder=pairs", *settings], folder)
    sizes = groundgraph.pack(folder, out, half=True)
    shutil.rmtree(folder)
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", action="append", default=[], help="a key of the recipe: sgg.heads=open")
    parser.add_argument("--out", type=Path, default=TARGET)
    args = parser.parse_args()
    sizes = train(args.out, args.set)
    print(f"{args.out}: {sum(sizes.values()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
