"""Are objects of photos found no worse than by the detector alone? Two-fold: learn from one half, measure on the other.

    python benchmarks/two_fold.py DATA [--out FOLDER] [--seeds 5] [--set KEY=VALUE ...]

DATA holds images, captions, boxes and regions as ../shared/data/coco_photos or coco_mini do. Each half's captions train
a run of the recipe coco-mini (no box is seen); its model finds graphs in the other half. mAP50 is over the COCO
categories that the run's vocabulary means, for the detector's own labels and for the model's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from needs import needs, require

import groundgraph
from groundgraph.data.sources.coco import read_coco
from groundgraph.data.types import Example, Graph, Skipped
from groundgraph.evaluation.detection import detection_map
from groundgraph.stages.evaluation import annotated_categories, renamed
from groundgraph.terminal import Console


def main() -> None:
    """Print a row a fold and seed, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/two-fold"), help="where the runs go")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="a key of the recipe coco-mini to change")
    arguments = parser.parse_args()
    files = {name: first(arguments.data, name) for name in ("captions", "instances")}
    with needs():
        examples = read_coco(files["captions"], arguments.data / "images", Skipped(), files["instances"])
    rows = []
    for seed in range(arguments.seeds):
        for fold in (0, 1):
            rows.append(measure(arguments, files, examples, fold, seed))
            print(f"seed {seed} fold {fold}: " + "  ".join(f"{k} {100 * v:.1f}" for k, v in rows[-1].items()))
    print("mean: " + "  ".join(f"{k} {100 * np.mean([row[k] for row in rows]):.1f}" for k in rows[0]))


def first(folder: Path, name: str) -> Path:
    """The folder's captions or instances file."""
    found = sorted(folder.rglob(f"{name}*.json"))
    require(bool(found), f"{folder} holds no {name}*.json")
    return found[0]


def measure(
    arguments: argparse.Namespace, files: dict[str, Path], examples: list[Example], fold: int, seed: int
) -> dict[str, float]:
    """mAP50 of the detector and of every method's model on the half that was not learnt from."""
    halves = [examples[half::2] for half in (fold, 1 - fold)]
    out = arguments.out / f"{arguments.data.name}-{fold}"
    out.mkdir(parents=True, exist_ok=True)
    captions = out / "captions.json"
    text = json.dumps(listing(halves[0]))
    if not captions.exists() or captions.read_text(encoding="utf-8") != text:
        captions.write_text(text, encoding="utf-8")
    settings = [
        f"data.images={(arguments.data / 'images').resolve()}",
        f"data.captions={captions.resolve()}",
        "data.instances=null",
        f"detector.model={(arguments.data / 'regions.npz').resolve()}",
        f"seed={seed}",
        *arguments.set,
    ]
    result = groundgraph.run("coco-mini", settings, out / "run", console=Console(quiet=True))
    predictors = {method: groundgraph.load(result.folder, method) for method in result.metrics["methods"]}
    truths = [example.truth for example in halves[1]]
    some = next(iter(predictors.values()))
    annotated, means = annotated_categories(truths, some.categories)
    number = {name: i + 1 for i, name in enumerate(annotated)}
    detected = some.detector.detect(halves[1], Skipped())
    labels = np.array([number.get(name, 0) for name in some.detector.categories])
    none = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
    own = [Graph(r.boxes[(k := labels[r.labels] > 0)], labels[r.labels[k]], r.scores[k], *none) for r in detected]
    row = {"categories": len(annotated) / 100, "detector": detection_map(truths, own, annotated)[0]}
    for method, predictor in predictors.items():
        graphs = [graph for _, graph in predictor.graphs([e.path for e in halves[1]], merged=False)]
        row[method] = detection_map(truths, renamed(graphs, means), annotated)[0]
    return row


def listing(examples: list[Example]) -> dict[str, list[dict[str, object]]]:
    """The examples as a COCO captions file."""
    return {
        "images": [{"id": e.image_id, "file_name": Path(e.path).name} for e in examples],
        "annotations": [{"image_id": e.image_id, "caption": text} for e in examples for text in e.captions],
    }


if __name__ == "__main__":
    main()
