"""Evaluation: grounding accuracy, pseudo labels, scene graph detection and object detection of every method.

Reads all that was made of the measured split and the pseudo labels of the training split; writes
evaluation/metrics.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import TruthArrays, prediction_arrays, truth_arrays
from groundgraph.data.types import Example, Graph, GroundTruth, ParsedCaption
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.evaluation.calibration import calibration_figures
from groundgraph.evaluation.detection import detection_map
from groundgraph.evaluation.grounding import (
    EntityObjects,
    GroundedEntities,
    ambiguous,
    category_truth,
    entity_truth,
    grounding_accuracy,
    unseen,
)
from groundgraph.evaluation.novel import novel_recall
from groundgraph.evaluation.pairs import right_pairs
from groundgraph.evaluation.pseudo_labels import PseudoLabelledImage, label_quality
from groundgraph.evaluation.recall import harmonic_mean, sgdet_recall
from groundgraph.language.concepts import ConceptMap, same_concept
from groundgraph.stages import grounding, pseudo_labels, sgg
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import detector_categories, label_settings
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.missing import BY_CAPTIONS, CAPTIONS, detection_notes, grounding_notes
from groundgraph.stages.names import novel
from groundgraph.stages.parsed import parsed, triplet_rows
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.stages.relations import triplet_pairs, vrd_figures
from groundgraph.stages.teachers import targets
from groundgraph.stages.vocabulary import INDUCED, vocabulary

NAME = "evaluation"
GROUPS = ("all", "ambiguous", "unseen")
KS = (5, 10, 20, 50, 100)
RECALLS = ("R", "mR", "ngR")


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    return [
        Stage(
            NAME,
            needs=tuple(_needs(recipe)),
            settings=[*label_settings(recipe), recipe.evaluation.convention],  # the former: what is "unseen"
            work=measure,
            cost=per_image(recipe.scored, "measure {images:,} images", seconds=0.3),
            reusable=False,
        )
    ]


def _needs(recipe: Recipe) -> Iterator[str]:
    yield from ("examples", "regions", "vocabulary", "parsed", "concepts")
    if recipe.interaction:
        yield "teachers"
    for name, method in recipe.methods.items():
        if method.grounds:
            yield from (grounding.stage_of(name), pseudo_labels.stage_of(name))
        yield sgg.stage_of(name)


def measure(run: Run, folder: Path) -> dict[str, Any]:
    """Write every method's figures as fractions of 1 (null where the data cannot tell), chance, and counts.

    Where figures are null or of a part of the annotations only, "notes" says why, a sentence each.
    """
    listing = examples(run, run.recipe.measured)
    with_truth = [i for i, example in enumerate(listing) if example.truth is not None]
    truths = [listing[i].truth for i in with_truth]
    objects, predicates = (v.names for v in vocabulary(run))
    true = truth_arrays(truths, objects, predicates)
    annotated, means = annotated_categories(truths, objects, run.recipe.vocabulary.name != INDUCED)
    withheld = novel(run)
    figures: dict[str, Any] = {}
    chance: dict[str, Any] = dict.fromkeys(GROUPS)
    counts: dict[str, Any] = {}
    convention = run.recipe.evaluation.convention
    for name, method in run.recipe.methods.items():
        row: dict[str, Any] = {"grounding": dict.fromkeys(GROUPS)}
        if method.grounds:
            accuracy = grounding_accuracy(grounded(run, name))
            chance, counts = accuracy["chance"], {f"{g} entities measured": accuracy["counts"][g] for g in GROUPS}
            row["grounding"] = {g: accuracy["accuracy"][g] for g in GROUPS}
            row["pseudo labels"] = label_quality(labelled(run, name))
            pairs = right_pairs(triplet_pairs(run, name, objects_meant(run, run.recipe.measured)))
            if pairs["triplets"]:
                row["pairs"] = {"pair": pairs["pair"], "entity": pairs["entity"]}
                chance["pairs"] = {"pair": pairs["pair chance"], "entity": pairs["entity chance"]}
                counts["triplets of several candidate pairs measured"] = pairs["triplets"]
        for task, file in (("sgdet", "graphs"), *((task, task) for task in run.recipe.sgg.tasks)):
            all_graphs = sgg.graphs(run, name, file)
            graphs = [all_graphs[i] for i in with_truth]
            others = "default" if convention == "vrd" else convention
            predicted = prediction_arrays(graphs)
            recall = sgdet_recall(true, predicted, KS, others) if len(true.relations) else {}
            row[task] = {f"{recall_name}@{k}": recall.get(f"{recall_name}@{k}") for recall_name in RECALLS for k in KS}
            row[task] |= {f"F1@{k}": harmonic_mean(row[task][f"R@{k}"], row[task][f"mR@{k}"]) for k in KS}
            if task == "sgdet":
                if own := shown_figures(run, name, true, graphs):
                    row["calibration"] = own
                row["mAP50"] = detection_map(truths, renamed(graphs, means), annotated)[0] if annotated else None
                if withheld[0].any() or withheld[1].any():
                    row["novel"] = novel_recall(true, predicted, *withheld, KS)
        if convention == "vrd" and len(true.relations):
            row["vrd"] = vrd_figures(run, name, true, with_truth)
        figures[name] = row
    metrics: dict[str, Any] = {"methods": figures, "chance": chance, "counts": counts | _counts(run)}
    notes = detection_notes(truths, len(true.relations), dict(zip(objects, means.tolist(), strict=True)), annotated)
    if any(row.get("calibration", {}).get("by") == CAPTIONS for row in figures.values()):
        notes.append(BY_CAPTIONS)
    grounds = any(method.grounds for method in run.recipe.methods.values())
    if grounds and any(truth.labels for truth in truths):
        notes += grounding_notes(truths, chance)
    if notes:
        metrics["notes"] = notes
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    return {"methods": len(figures), "images measured": len(listing)}


def metrics(run: Run) -> dict[str, Any]:
    """What `measure` wrote."""
    return json.loads((run.folder / NAME / "metrics.json").read_text(encoding="utf-8"))


def true_objects(example: Example, captions: list[ParsedCaption]) -> EntityObjects:
    """Which true objects an image's entities mean: by mention where the data knows, by category where it has boxes."""
    if example.truth is not None and example.truth.mentions:
        return entity_truth(example, captions)
    return category_truth(example, captions, same_concept)


@kept("parsed")
def objects_meant(run: Run, split: str) -> list[EntityObjects]:
    """The `true_objects` of each image of a split, looked up once for all methods."""
    return [true_objects(*pair) for pair in zip(examples(run, split), parsed(run, split), strict=True)]


def grounded(run: Run, method: str) -> list[GroundedEntities]:
    """The measured entities whose true boxes are known, an image at a time, with a method's scores."""
    split, detector = run.recipe.measured, detector_categories(run)
    columns = examples(run, split), objects_meant(run, split), regions(run, split), grounding.scores(run, split, method)
    images = []
    for example, by_caption, proposals, scores in zip(*columns, strict=True):
        if example.truth is None:
            continue
        objects = [meant for caption in by_caption for meant in caption]
        has_truth = np.array([bool(meant) for meant in objects], bool)
        objects = [meant for meant in objects if meant]
        # A category's boxes say nothing of which one is meant, so without mentions nothing counts as ambiguous.
        groups = {"unseen": unseen(example.truth, objects, detector, same_concept)}
        if example.truth.mentions:
            groups["ambiguous"] = ambiguous(example.truth, objects)
        true = [example.truth.boxes[list(meant)] for meant in objects]
        images.append(GroundedEntities(scores[has_truth] if scores.size else scores, proposals.boxes, true, groups))
    return images


def labelled(run: Run, method: str) -> Iterator[PseudoLabelledImage]:
    """The train split's images whose truth is known, with a method's scores and the teachers' targets."""
    count = len(image_ids(run, "train"))
    silent: Lazy[Any] = Lazy(count, lambda i: (None, None))
    best: Lazy[Any] = Lazy(count, lambda i: None)
    if run.recipe.methods[method].pairs:
        best = Lazy(count, lambda i: grounding.pairs(run, "train", method)[i].regions[:, 0])
    rows = zip(
        examples(run, "train"),
        objects_meant(run, "train"),
        (triplet_rows(captions) for captions in parsed(run, "train")),
        regions(run, "train"),
        grounding.scores(run, "train", method),
        targets(run, "train") if run.recipe.teachers.object and run.recipe.interaction else silent,
        best,
        strict=True,
    )
    for example, by_caption, triplets, proposals, scores, teachers, pairs in rows:
        if example.truth is not None:
            true = [example.truth.boxes[list(objects)] for caption in by_caption for objects in caption]
            yield PseudoLabelledImage(scores, proposals.boxes, true, triplets, *teachers[:2], pairs)


def shown_figures(run: Run, method: str, true: TruthArrays, graphs: Sequence[Graph]) -> dict[str, Any] | None:
    """What the scores of what people are shown are worth, see `calibration_figures`; None: scores are not calibrated.

    Where no relation is annotated, on images held out from training, by what their captions say.
    """
    if not len(true.relations):
        return sgg.held_out(run, method)
    showing = sgg.showing(run, method)
    if showing.calibration is None:
        return None
    merged = [showing.merging.merged(graph) for graph in graphs]
    raw = np.concatenate([graph.relation_scores for graph in merged])
    return calibration_figures(true, prediction_arrays(merged), showing.calibration(raw), raw, showing.min_score)


def _counts(run: Run) -> dict[str, Any]:
    """What the stages before counted, under the words of the report."""
    counts: dict[str, Any] = {}
    for stage in ("examples", "parsed", "concepts", *(("teachers",) if run.recipe.interaction else ())):
        counts |= {f"{stage}: {name}": value for name, value in run.record(stage)["counts"].items()}
    for method in (name for name, method in run.recipe.methods.items() if method.grounds):
        labels = run.record(pseudo_labels.stage_of(method))["counts"]
        counts |= {f"pseudo labels ({method}): {name}": value for name, value in labels.items()}
    for stage in (f(method) for method in run.recipe.methods for f in (grounding.stage_of, sgg.stage_of)):
        if precision := (run.record(stage) or {"counts": {}})["counts"].get("precision"):
            counts[f"{stage}: precision"] = precision
    return counts


def annotated_categories(
    truths: Sequence[GroundTruth], vocabulary: Sequence[str], annotators: bool = False
) -> tuple[list[str], np.ndarray]:
    """The categories to measure detection by, and which of them, from 1, each of the vocabulary counts as (0: none).

    These are the annotated ones that a category of the vocabulary means, as nouns do: a vocabulary induced from
    captions says man and woman, the annotations person.

    Args:
        truths: The annotations.
        vocabulary: Its categories.
        annotators: The vocabulary is what the annotators named, so that each category counts as itself alone.
    """
    names = sorted({name for truth in truths for name in truth.labels})
    if annotators and set(names) <= set(vocabulary):
        return (list(vocabulary) if names else []), np.arange(1, len(vocabulary) + 1)
    concepts = ConceptMap(Vocabulary(tuple(names)), Vocabulary(()))
    means = [concepts.category_of(name) for name in vocabulary]
    measured = sorted({m for m in means if m >= 0})
    return [names[m] for m in measured], np.array([measured.index(m) + 1 if m >= 0 else 0 for m in means])


def renamed(graphs: Sequence[Graph], means: np.ndarray) -> list[Graph]:
    """The graphs' objects under the annotations' categories, without relations; those of none are left out."""
    renamed = []
    for graph in graphs:
        labels = means[graph.labels - 1]
        kept = labels > 0
        none = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
        renamed.append(Graph(graph.boxes[kept], labels[kept], graph.scores[kept], *none))
    return renamed
