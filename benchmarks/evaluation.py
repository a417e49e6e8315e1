"""How much faster is the evaluation than the published evaluators' steps, one image after the other? Equal figures.

    python benchmarks/evaluation.py [FILE.npz ...]

FILE is of the golden layout (see groundgraph.data.graph_checks); by default ../shared/golden's, or, where these are
not there, a seeded set of their size. The loop is what the published evaluators do, step by step: one image after the
other, all labels against all labels, boxes relation by relation, a full sort of all scores, and for every K the union
of what was found. `evaluate` is timed with all it does besides: checking its input and the tables by predicate; and
once more with mAP50, which pycocotools counts on both sides. Both are timed in this run, by processor time on one
thread.
The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from functools import reduce
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from needs import needs

from groundgraph.evaluation.evaluate import METRICS, evaluate

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "evaluation"
KS = (20, 50, 100)


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of one box with many, inclusive pixels, float32."""
    one = np.float32(1)
    corner, end = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    sides = np.clip(end - corner + one, 0, None)
    shared = sides[:, 0] * sides[:, 1]
    area = (box[2] - box[0] + one) * (box[3] - box[1] + one)
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    return shared / (area + areas - shared)


def matches(rels, labels, boxes, predicted, predicted_labels, predicted_boxes) -> list[list[int]]:
    """For each predicted triplet (subject, object, predicate) the true relations that it matches."""
    true = np.column_stack([labels[rels[:, 0]], rels[:, 2], labels[rels[:, 1]]])
    named = np.column_stack([predicted_labels[predicted[:, 0]], predicted[:, 2], predicted_labels[predicted[:, 1]]])
    equal = (true[:, None] == named[None]).all(-1)
    result = [[] for _ in predicted]
    for r in range(len(rels)):
        rows = np.flatnonzero(equal[r])
        near = np.ones(len(rows), bool)
        for end in (0, 1):
            near &= overlaps(boxes[rels[r, end]], predicted_boxes[predicted[rows, end]]) >= 0.5
        for row in rows[near]:
            result[row].append(r)
    return result


def loop(z: dict[str, np.ndarray], task: str) -> dict[str, dict[str, float]]:
    """Every figure of `evaluate` but mAP50, an image at a time, under the sgb convention."""
    predicates = z["pred_rel_scores"].shape[1] - 1
    recalls = {name: {k: [] for k in KS} for name in ("R", "ngR", "zR", "ngzR")}
    by_predicate = {name: {k: [[] for _ in range(predicates)] for k in KS} for name in ("mR", "ngmR")}
    for i in range(len(z["gt_box_offsets"]) - 1):
        own, rel = (slice(*z[f"gt_{n}_offsets"][i : i + 2]) for n in ("box", "rel"))
        box, pair = (slice(*z[f"pred_{n}_offsets"][i : i + 2]) for n in ("box", "pair"))
        labels, boxes, rels = z["gt_labels"][own], z["gt_boxes"][own], z["gt_rels"][rel]
        pairs, table = z["pred_pairs"][pair], z["pred_rel_scores"][pair]
        detected, where, scores = z["pred_labels"][box], z["pred_boxes"][box], z["pred_scores"][box]
        if task == "predcls":
            detected, where, scores = labels, boxes, np.ones(len(labels))
        if not len(rels) or not len(pairs):
            continue
        best = np.column_stack([pairs, 1 + table[:, 1:].argmax(1)])
        every = scores[pairs].prod(1)[:, None] * table[:, 1:]
        order = np.column_stack(np.unravel_index(np.argsort(-every.ravel()), every.shape))[:100]
        free = np.column_stack([pairs[order[:, 0]], order[:, 1] + 1])
        triplets = np.column_stack([labels[rels[:, 0]], labels[rels[:, 1]], rels[:, 2]])
        unseen = set(np.flatnonzero((triplets[:, None] == z["zeroshot"][None]).all(-1).any(1)).tolist())
        for prefix, predicted in (("", best), ("ng", free)):
            matched = matches(rels, labels, boxes, predicted, detected, where)
            for k in KS:
                hit = reduce(np.union1d, matched[:k]).astype(int)
                recalls[f"{prefix}R"][k].append(len(hit) / len(rels))
                if unseen:
                    recalls[f"{prefix}zR"][k].append(len(unseen & set(hit.tolist())) / len(unseen))
                for p in range(predicates):
                    of_it = int((rels[:, 2] == p + 1).sum())
                    if of_it:
                        by_predicate[f"{prefix}mR"][k][p].append(int((rels[hit, 2] == p + 1).sum()) / of_it)
    figures = {name: {str(k): float(np.mean(v)) for k, v in ks.items()} for name, ks in recalls.items()}
    for name, ks in by_predicate.items():
        means = {k: [float(np.mean(v)) if v else 0.0 for v in lists] for k, lists in ks.items()}
        figures[name] = {str(k): sum(values) / predicates for k, values in means.items()}
    return figures


def seeded(images: int = 60) -> dict[str, np.ndarray]:
    """A set of the golden sgdet set's size: true boxes moved a little, 300 pairs an image, 50 predicates."""
    rng = np.random.default_rng(0)
    true, rels, boxes, pairs = 12, 14, 36, 300
    corner = rng.random((images, true, 2)) * 300
    gt = np.concatenate([corner, corner + 40 + rng.random((images, true, 2)) * 200], -1)
    labels = rng.integers(1, 151, (images, true))
    source = rng.integers(0, true, (images, boxes))
    moved = np.take_along_axis(gt, source[..., None], 1) + rng.normal(0, 12, (images, boxes, 4))
    named = np.where(rng.random((images, boxes)) < 0.7, np.take_along_axis(labels, source, 1), 1)
    gt_rels = np.concatenate([rng.integers(0, true, (images, rels, 2)), rng.integers(1, 51, (images, rels, 1))], -1)
    joined = {"gt_boxes": gt, "pred_boxes": moved, "pred_scores": rng.random((images, boxes)), "gt_labels": labels}
    joined |= {"pred_labels": named, "gt_rels": gt_rels, "pred_pairs": rng.integers(0, boxes, (images, pairs, 2))}
    arrays = {name: value.reshape(-1, *value.shape[2:]) for name, value in joined.items()}
    arrays["pred_rel_scores"] = rng.random((images * pairs, 51))
    for name in ("gt_boxes", "pred_boxes", "pred_scores", "pred_rel_scores"):
        arrays[name] = arrays[name].astype(np.float32)
    for name, rows in (("gt_box", true), ("gt_rel", rels), ("pred_box", boxes), ("pred_pair", pairs)):
        arrays[f"{name}_offsets"] = np.arange(images + 1) * rows
    ends = labels[np.arange(images)[:, None, None], gt_rels[..., :2]]
    arrays["zeroshot"] = np.concatenate([ends, gt_rels[..., 2:]], -1).reshape(-1, 3)[::10]
    return arrays


def best_of(times: int, call) -> tuple[float, object]:
    """Least processor time in seconds of some calls, and the result: what else the machine does counts less so."""
    seconds = []
    for _ in range(times):
        began = time.process_time()
        result = call()
        seconds.append(time.process_time() - began)
    return min(seconds), result


def main() -> None:
    paths = [Path(p) for p in sys.argv[1:]] or sorted(GOLDEN.glob("*.npz"))
    sets = {}
    for path in paths:
        with np.load(path) as arrays:
            sets[path.stem] = dict(arrays)
    sets = sets or {"seeded": seeded()}
    report: dict[str, object] = {"cpu": platform.processor() or platform.machine()}
    for name, arrays in sets.items():
        task = "predcls" if name == "predcls" else "sgdet"
        images = len(arrays["gt_box_offsets"]) - 1
        slow, expected = best_of(3, lambda a=arrays, t=task: loop(a, t))
        fast, figures = best_of(20, lambda a=arrays, t=task: evaluate(a, task=t, convention="sgb", detection=False))
        whole, _ = best_of(5, lambda a=arrays, t=task: evaluate(a, task=t, convention="sgb"))
        assert all(figures[f] == expected[f] for f in METRICS), f"{name}: the figures differ"
        report[name] = {
            "images": images,
            "loop_ms_an_image": round(1e3 * slow / images, 3),
            "ms_an_image": round(1e3 * fast / images, 3),
            "ms_an_image_with_mAP50": round(1e3 * whole / images, 3),
            "times_the_loop": round(slow / fast, 1),
            "times_the_loop_with_mAP50": round((slow + whole - fast) / whole, 1),
        }
        print(
            f"{name}: {images} images, equal figures; an image {1e3 * slow / images:.2f} ms by the loop, "
            f"{1e3 * fast / images:.2f} ms by evaluate"
        )
    print(json.dumps(report))


if __name__ == "__main__":
    with needs():
        main()
