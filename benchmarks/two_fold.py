"""Are objects of photos found no worse than by the detector alone? Two-fold: learn from one half, measure on the other.

    python benchmarks/two_fold.py DATA [--out FOLDER] [--seeds 5] [--set KEY=VALUE ...]

DATA holds images, captions, boxes and regions as ../shared/data/coco_photos or coco_mini do. Each half's captions train
a run of the recipe coco-mini (no box is seen); its model finds graphs in the other half. mAP50 is over all annotated
categories, by what the vocabulary's names mean (man: person), of the detector's own labels and of the model's: of each
half and of both together.
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
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.evaluation.detection import detection_map
from groundgraph.language.concepts import ConceptMap
from groundgraph.terminal import Console


def main() -> None:
    """Print rows a seed, then the means of both halves together."""
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
        folds = [graphs_of(arguments, files, examples, fold, seed) for fold in (0, 1)]
        pooled = {name: folds[0][name] + folds[1][name] for name in folds[0]}
        halves = [examples[1::2], examples[0::2]]
        for name, graphs, half in (("fold 0", folds[0], halves[0]), ("fold 1", folds[1], halves[1])):
            print(f"seed {seed} {name}: {line(figures(graphs, half))}", flush=True)
        rows.append(figures(pooled, halves[0] + halves[1]))
        print(f"seed {seed} pooled: {line(rows[-1])}", flush=True)
    print(f"mean of {len(rows)} seeds: {line({name: float(np.mean([row[name] for row in rows])) for name in rows[0]})}")


def line(row: dict[str, float]) -> str:
    """A row as text, per cent."""
    return "  ".join(f"{name} {100 * value:.1f}" for name, value in row.items())


def names_of(examples: list[Example]) -> list[str]:
    """All annotated categories."""
    return sorted({name for example in examples if example.truth is not None for name in example.truth.labels})


def first(folder: Path, name: str) -> Path:
    """The folder's captions or instances file."""
    found = sorted(folder.rglob(f"{name}*.json"))
    require(bool(found), f"{folder} holds no {name}*.json")
    return found[0]


def figures(graphs: dict[str, list[Named]], examples: list[Example]) -> dict[str, float]:
    """mAP50 over the categories that are annotated in some images, of each side's graphs of them."""
    truths, names = [example.truth for example in examples], names_of(examples)
    number = {name: i + 1 for i, name in enumerate(names)}
    return {side: detection_map(truths, [graph(number) for graph in own], names)[0] for side, own in graphs.items()}


class Named:
    """Objects whose labels are names of the annotation's categories, "" for none of them."""

    def __init__(self, boxes: np.ndarray, scores: np.ndarray, labels: list[str]) -> None:
        self.boxes, self.scores, self.labels = boxes, scores, labels

    def __call__(self, number: dict[str, int]) -> Graph:
        """As a graph, under these numbers; others are left out."""
        labels = np.array([number.get(label, 0) for label in self.labels], np.int64)
        kept = labels > 0
        none = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
        return Graph(self.boxes[kept], labels[kept], self.scores[kept], *none)


def graphs_of(
    arguments: argparse.Namespace, files: dict[str, Path], examples: list[Example], fold: int, seed: int
) -> dict[str, list[Named]]:
    """What the detector and every method's model find on the half that was not learnt from."""
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
    some = next(iter(predictors.values()))
    own, names = some.detector.categories, np.array(["", *names_of(examples)])
    detected = some.detector.detect(halves[1], Skipped())
    sides = {"detector": [Named(r.boxes, r.scores, [own[label] for label in r.labels]) for r in detected]}
    for method, predictor in predictors.items():
        concepts = ConceptMap(Vocabulary(tuple(names[1:])), Vocabulary(()))
        means = np.array([1 + concepts.category_of(name) for name in predictor.categories])
        graphs = [graph for _, graph in predictor.graphs([e.path for e in halves[1]], merged=False)]
        sides[method] = [Named(g.boxes, g.scores, names[means[g.labels - 1]].tolist()) for g in graphs]
    return sides


def listing(examples: list[Example]) -> dict[str, list[dict[str, object]]]:
    """The examples as a COCO captions file."""
    return {
        "images": [{"id": e.image_id, "file_name": Path(e.path).name} for e in examples],
        "annotations": [{"image_id": e.image_id, "caption": text} for e in examples for text in e.captions],
    }


if __name__ == "__main__":
    main()
