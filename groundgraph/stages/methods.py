"""The stages that every method goes through: ground, label, train a scene-graph model, measure, report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.images import open_image
from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.store import StoredRegions, write_ragged
from groundgraph.data.types import Graph, PseudoLabels
from groundgraph.engine.extraction import CHUNK
from groundgraph.engine.run import Advance, Run
from groundgraph.engine.stage import Stage, model_identity
from groundgraph.errors import InputError
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.grounding import build_grounder
from groundgraph.grounding.data import GroundingImage
from groundgraph.grounding.pseudo_labels import (
    NEGLIGIBLE,
    draw_labels,
    keep_best,
    pseudo_of,
    pseudo_record,
    soft_labels,
    softmax_shares,
    top_regions,
)
from groundgraph.language.concepts import ConceptMap
from groundgraph.sgg import new_model
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.examples import Draw
from groundgraph.sgg.inference import predict
from groundgraph.sgg.lstm import precision_of
from groundgraph.sgg.storing import save_sgg
from groundgraph.sgg.supervision import supervised
from groundgraph.sgg.training import train_sgg
from groundgraph.stages import artifacts
from groundgraph.stages.evaluation import measure
from groundgraph.stages.extraction import object_aware
from groundgraph.stages.proposals import pooling_detector
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.report import write_summary
from groundgraph.training.trainer import seeded


def method_stages(recipe: Recipe) -> list[Stage]:
    """Three stages a grounder, then the figures and the report of all."""
    listing: list[Stage] = []
    labelling, seed = recipe.pseudo_labels, recipe.seed
    graphs = [recipe.sgg.model_dump(), seed]
    if recipe.sgg.tasks:
        graphs.append(recipe.detector.model_dump())
    uniter = recipe.sgg.uniter if recipe.sgg.model == "uniter" else None
    if uniter and uniter.checkpoint:
        graphs += [model_identity(uniter.checkpoint), model_identity(uniter.tokenizer)]
    given = ("examples", "regions", "vocabulary")
    for method in recipe.grounder:
        learn = partial(learn_graphs, method=method)
        if method == "full":
            listing.append(Stage("sgg-full", given, graphs, learn, shared=True))
            continue
        grounding, pseudo = f"grounding-{method}", f"pseudo-{method}"
        if method == "sgnls":
            listing.append(Stage(grounding, ("examples", "parsed", "regions"), None, apply_rule))
        else:
            asked = ("teachers",) if method == "ours" and recipe.needs_teachers else ()
            weighed = ("reliability",) if method == "ours" and recipe.needs_expert else ()
            how = [recipe.grounding.model_dump(), seed]
            if asked:  # of what is stored, what counts; and Eq. 8's temperature
                how += [recipe.teachers.object, recipe.interaction and recipe.interaction.temperature]
            needs = ("examples", "parsed", "regions", "text", *asked, *weighed)
            listing.append(Stage(grounding, needs, how, partial(ground, method=method), shared=True))
        kept = [labelling.kind, labelling.stored or labelling.top, seed]
        drawn = [*graphs, labelling.kind, labelling.top, labelling.draw]
        listing += [
            Stage(pseudo, (*given, "parsed", grounding), kept, partial(label, method=method)),
            Stage(f"sgg-{method}", (*given, pseudo), drawn, learn, shared=True),
        ]
    made = tuple(stage.name for stage in listing)
    taught = ("teachers",) if recipe.needs_teachers else ()
    listing.append(Stage("evaluation", (*given, "parsed", "concepts", *taught, *made), None, measure))
    shown = ("matches", *(("text",) if recipe.needs_text else ()), "evaluation")
    listing.append(
        Stage(
            "report", (*listing[-1].needs, *shown), recipe.model_dump(mode="json", exclude={"device"}), write_summary
        )  # it shows the recipe
    )
    return listing


def ground(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the grounder and score every region for every entity.

    A training that is broken off goes on from its checkpoint with the same losses.
    """
    data = {split: artifacts.grounding_images(run, split, method) for split in run.recipe.splits}
    grounder, epochs = build_grounder(method, run.recipe.grounding), run.recipe.grounding.epochs
    with run.progress(f"training the grounder ({method})", epochs) as advance:
        told = steps_of(advance)
        curves = grounder.train(
            data["train"],
            data.get("validation", []),
            run.recipe.seed,
            lambda done, steps, _: told(done * epochs // steps, epochs),
            checkpoint=run.scratch() / "training.pt",
            ranks=run.processes,
            device=run.device,
        )
    if not run.processes.first:
        return {}
    grounder.save(folder)
    (folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")
    for split in dict.fromkeys(("train", run.recipe.measured)):
        write_scores(folder, run, split, grounder.scores(data[split]))
    parameters = sum(p.numel() for p in grounder.model.parameters())
    return {"parameters": parameters, "precision": run.recipe.grounding.precision}


def apply_rule(run: Run, folder: Path) -> dict[str, Any]:
    """Score every region for every entity by the SGNLS rule, which learns nothing and reads the categories alone."""
    for split in dict.fromkeys(("train", run.recipe.measured)):
        count, scores = len(artifacts.names(run, split)), []
        with run.progress(f"matching regions of {split} images", count) as advance:
            for start in range(0, count, CHUNK):
                targets = object_aware(run, split, slice(start, start + CHUNK))
                widthless = [[np.zeros((n, 0), np.float32) for n in target.shape] for target in targets]
                images = [GroundingImage(*w, target) for w, target in zip(widthless, targets, strict=True)]
                scores += build_grounder("sgnls").scores(images)
                advance(len(images))
        write_scores(folder, run, split, scores)
    return {"parameters": 0}


def write_scores(folder: Path, run: Run, split: str, scores: list[np.ndarray]) -> None:
    """A method's grounding scores [E, V] of a split's images, by their ids."""
    write_ragged(folder / f"{split}.safetensors", artifacts.names(run, split), {"scores": scores})


def label(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Pseudo labels of the train split, in the evaluation vocabulary, as JSON lines."""
    concepts = ConceptMap(*artifacts.vocabulary(run))
    rng = np.random.default_rng(run.recipe.seed)
    counts: Counter[str] = Counter()
    records = []
    rows = zip(
        artifacts.examples(run, "train"),
        artifacts.parsed(run, "train"),
        artifacts.scores(run, "train", method),
        strict=True,
    )
    for example, captions, scores in rows:
        named = artifacts.entities(captions)
        categories = [concepts.category(entity) for entity in named]
        regions, values = candidates(run, scores, len(named), method, rng)
        said = [t for caption in captions for t in caption.triplets]
        triplets = []
        for (subject, object_), t in zip(artifacts.triplet_rows(captions).tolist(), said, strict=True):
            predicate = concepts.predicate(t.predicate)
            kept = predicate >= 0 and categories[subject] >= 0 and categories[object_] >= 0
            counts["triplets" if kept else "triplets dropped"] += 1
            if kept:
                triplets.append([subject, object_, predicate])
        counts["entities"] += sum(c >= 0 for c in categories)
        counts["entities dropped"] += sum(c < 0 for c in categories)
        pseudo = PseudoLabels(
            np.array(categories, np.int64),
            regions,
            values,
            softmax_shares(scores, regions),
            np.array(triplets, np.int64).reshape(-1, 3),
            scores.shape[1],
        )
        records.append(pseudo_record(example.image_id, pseudo, [entity.name for entity in named]))
    write_lines(folder / "train.jsonl", records)
    return dict(counts)


def candidates(
    run: Run, scores: np.ndarray, entities: int, method: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The regions an entity keeps, best first, and their scores: [E, K] each, -1 pads.

    The rule's are all that match; a trained grounder's its best K, or all with a share of the softmax to speak of.
    """
    wanted = run.recipe.pseudo_labels
    most = wanted.stored or wanted.top or scores.shape[1]
    if not scores.size:
        return np.full((entities, most), -1), np.zeros((entities, most), np.float32)
    if method == "sgnls":
        return top_regions(scores, scores.shape[1], 0.0, rng)
    regions, values = top_regions(scores, most, None, rng)
    if wanted.top is None:
        regions = np.where(softmax_shares(scores, regions) < NEGLIGIBLE, -1, regions)
    return regions, values


def learn_graphs(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the scene-graph model on a method's labels; find graphs on the measured split (SGDet, and what is asked).

    A training that is broken off goes on from its checkpoint with the same losses.
    """
    wanted = run.recipe.sgg
    regions, categories = artifacts.regions(run, "train"), artifacts.detector_categories(run)
    objects, predicates = artifacts.vocabulary(run)
    sizes = Sizes(regions[0].features.shape[1], len(categories), len(objects), len(predicates))
    training, seed = wanted.training, run.recipe.seed
    with seeded(seed, run.device):
        model = new_model(getattr(wanted, wanted.model), sizes, categories)
    model.to(run.device)
    images = int((regions.counts() > 0).sum())
    with run.progress(
        f"training {wanted.model} ({method})", training.epochs * -(-images // training.batch_size)
    ) as advance:
        curves = train_sgg(
            model,
            regions,
            labels_of(run, method),
            training,
            validate=validation_recall(run) if training.patience or training.schedule == "plateau" else None,
            progress=steps_of(advance),
            seed=seed,
            checkpoint=run.scratch() / "training.pt",
            ranks=run.processes,
        )
    if not run.processes.first:
        return {}
    vocabularies = {
        "categories": list(objects.names),
        "predicates": list(predicates.names),
        "detector": list(categories),
    }
    save_sgg(folder, model, vocabularies)
    (folder / "curves.json").write_text(json.dumps({k: v for k, v in curves.items() if v}), encoding="utf-8")
    split = run.recipe.measured
    measured = artifacts.regions(run, split)
    with run.progress(f"finding scene graphs ({method})", len(measured)) as advance:
        graphs = predict(model, measured, wanted.inference, steps_of(advance))
    write_graphs(folder / "graphs.safetensors", run, graphs)
    for task in wanted.tasks:
        write_graphs(folder / f"{task}.safetensors", run, graphs_of_given_boxes(run, model, task))
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "graphs": len(graphs),
        "precision": precision_of(model, training.precision, next(model.parameters()).device),
    }


def steps_of(advance: Advance) -> Callable[..., None]:
    """A bar's advance, told how many are done instead of how many more."""
    seen = 0

    def step(done: int, total: int, *_: Any) -> None:
        nonlocal seen
        advance(done - seen)
        seen = done

    return step


def labels_of(run: Run, method: str) -> Draw:
    """What a training step takes for true of a training image: pseudo labels, or for "full" the annotated boxes."""
    objects, predicates = artifacts.vocabulary(run)
    regions = artifacts.regions(run, "train")
    if method == "full":
        truths = [example.truth for example in artifacts.examples(run, "train")]
        return supervised(truths, regions, objects.names, predicates.names)
    records = read_lines(run.folder / f"pseudo-{method}" / "train.jsonl")
    pseudo = [pseudo_of(record, count) for record, count in zip(records, regions.counts().tolist(), strict=True)]
    labelling = run.recipe.pseudo_labels
    if method == "sgnls":
        return lambda i, rng: draw_labels(pseudo[i], rng, "every")
    if labelling.top:
        pseudo = [keep_best(p, labelling.top) for p in pseudo]
    if labelling.kind == "soft":
        soft = [soft_labels(p, len(objects), len(predicates)) for p in pseudo]
        return lambda i, rng: soft[i]
    return lambda i, rng: draw_labels(pseudo[i], rng, labelling.draw)


def validation_recall(run: Run) -> Callable[[torch.nn.Module], float]:
    """R@50 (SGDet) of a model on the validation split, which early stopping goes by.

    Raises InputError where there is no such split with annotated boxes.
    """
    listed = artifacts.examples(run, "validation") if "validation" in run.recipe.splits else []
    kept = [i for i, example in enumerate(listed) if example.truth is not None and example.truth.relations]
    if not kept:
        raise InputError("sgg.training.patience needs validation images with annotated relations: leave it null")
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    truth = truth_arrays([listed[i].truth for i in kept], objects, predicates)
    regions = StoredRegions(run.folder / "regions" / "validation", [listed[i].image_id for i in kept])
    config = run.recipe.sgg.inference
    return lambda model: sgdet_recall(truth, prediction_arrays(predict(model, regions, config)), (50,))["R@50"]


def graphs_of_given_boxes(run: Run, model: torch.nn.Module, task: str) -> list[Graph]:
    """The measured split's graphs on its annotated boxes (sgcls), with their labels too (predcls).

    The detector pools the boxes' features; raises ValueError where it cannot, or where an image is not annotated. Boxes
    outside the evaluation vocabulary are left out, as from the truth.
    """
    detector = pooling_detector(run.recipe.detector, **run.placement)
    names = artifacts.vocabulary(run)[0]
    listed, regions, labels = artifacts.examples(run, run.recipe.measured), [], []
    if any(example.truth is None for example in listed):
        raise InputError(f"{task} needs annotated boxes of every measured image, and this data has some without")
    with run.progress(f"pooling given boxes ({task})", len(listed)) as advance:
        for start in range(0, len(listed), CHUNK):
            part = listed[start : start + CHUNK]
            numbers = [np.array([names.index(label) for label in e.truth.labels], np.int64) for e in part]
            boxes = [np.reshape(e.truth.boxes, (-1, 4))[n >= 0] for e, n in zip(part, numbers, strict=True)]
            regions += detector.pool([open_image(e.path) for e in part], boxes)
            labels += [n[n >= 0] + 1 for n in numbers]
            advance(len(part))
    return predict(model, regions, run.recipe.sgg.inference, task=task, labels=labels if task == "predcls" else None)


def write_graphs(path: Path, run: Run, graphs: list[Graph]) -> None:
    """The measured split's graphs, by image id."""
    names = artifacts.names(run, run.recipe.measured)
    fields = ("boxes", "labels", "scores", "pairs", "predicate_scores")
    write_ragged(path, names, {f: [getattr(g, f) for g in graphs] for f in fields})
