"""The stages that every method goes through: ground, label, train a scene-graph model, measure, report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.store import write_ragged
from groundgraph.grounding.pseudo_labels import PseudoLabels, draw_labels, top_regions
from groundgraph.grounding.sgnls import sgnls_scores
from groundgraph.grounding.training import grounder_scores, train_grounder
from groundgraph.language.concepts import ConceptMap
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.config import Recipe
from groundgraph.pipeline.measure import measure
from groundgraph.pipeline.run import Run, Stage
from groundgraph.pipeline.summary import write_summary
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.inference import predict
from groundgraph.sgg.training import save_sgg, train_sgg


def method_stages(recipe: Recipe) -> list[Stage]:
    """Three stages a method, then the figures and the report of all."""
    listing: list[Stage] = []
    learnt = [recipe.grounder.model_dump(), recipe.grounder_training.model_dump(), recipe.seed]
    for method in recipe.methods:
        # The rule learns nothing, so nothing of the grounder's settings touches it.
        how = [recipe.seed] if method == "sgnls" else learnt
        listing += [
            Stage(f"grounding-{method}", ("text", "teachers"), how, partial(ground, method=method)),
            Stage(
                f"pseudo-{method}",
                (f"grounding-{method}", "vocabulary"),
                [recipe.pseudo_labels.top, recipe.seed],
                partial(label, method=method),
            ),
            Stage(
                f"sgg-{method}",
                (f"pseudo-{method}", "regions"),
                [recipe.sgg.model_dump(), recipe.pseudo_labels.draw, recipe.seed],
                partial(learn_graphs, method=method),
            ),
        ]
    needs = tuple(stage.name for stage in listing)
    listing.append(Stage("evaluation", ("examples", *needs), None, measure))
    listing.append(Stage("report", ("evaluation",), recipe.name, write_summary))
    return listing


def ground(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the grounder (or apply the rule) and score every region for every entity."""
    data = {split: artifacts.grounding_images(run, split) for split in run.recipe.splits}
    model = None
    if method == "sgnls":
        scored = {split: sgnls_scores(images) for split, images in data.items()}
    else:
        if method == "mil":
            data = {
                split: [replace(i, target=np.zeros_like(i.target)) for i in images] for split, images in data.items()
            }
        config = run.recipe
        steps = config.grounder_training.epochs * max(1, len(data["train"]) // config.grounder_training.images)
        with run.bar(f"training the grounder ({method})", steps) as advance:
            model, curves = train_grounder(
                data["train"],
                data.get("validation", []),
                config.grounder,
                config.grounder_training,
                config.seed,
                lambda done, total: advance(1),
            )
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
        (folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")
        scored = {split: grounder_scores(model, images) for split, images in data.items()}
    for split in dict.fromkeys(("train", run.recipe.measured)):
        names = [e.image_id for e in artifacts.examples(run, split)]
        write_ragged(folder / f"{split}.safetensors", names, {"scores": scored[split]})
    return {"parameters": sum(p.numel() for p in model.parameters()) if model else 0}


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
        # The rule's candidates are all that match; a trained grounder's are its best K.
        k, floor = (scores.shape[1], 0.0) if method == "sgnls" else (run.recipe.pseudo_labels.top, None)
        regions, values = (
            top_regions(scores, k, floor, rng)
            if scores.size
            else (np.full((len(named), k), -1), np.zeros((len(named), k)))
        )
        triplets, first = [], 0
        for caption in captions:
            for t in caption.triplets:
                predicate = concepts.predicate(t.predicate)
                kept = predicate >= 0 and categories[first + t.subject] >= 0 and categories[first + t.object] >= 0
                counts["triplets" if kept else "triplets dropped"] += 1
                if kept:
                    triplets.append([first + t.subject, first + t.object, predicate])
            first += len(caption.entities)
        counts["entities"] += sum(c >= 0 for c in categories)
        counts["entities dropped"] += sum(c < 0 for c in categories)
        records.append(
            {
                "id": example.image_id,
                "entities": [
                    {
                        "name": e.name,
                        "category": c,
                        "regions": [int(r) for r in chosen if r >= 0],
                        "scores": [round(float(v), 5) for r, v in zip(chosen, value, strict=True) if r >= 0],
                    }
                    for e, c, chosen, value in zip(named, categories, regions, values, strict=True)
                ],
                "triplets": triplets,
            }
        )
    write_lines(folder / "train.jsonl", records)
    return dict(counts)


def read_pseudo_labels(path: Path, counts: list[int]) -> list[PseudoLabels]:
    """What `label` wrote: one an image, with the image's number of regions from `counts`."""
    found = []
    for record, count in zip(read_lines(path), counts, strict=True):
        entities = record["entities"]
        width = max((len(e["regions"]) for e in entities), default=0)
        regions = np.full((len(entities), width), -1, np.int64)
        scores = np.zeros((len(entities), width), np.float32)
        for row, entity in enumerate(entities):
            regions[row, : len(entity["regions"])] = entity["regions"]
            scores[row, : len(entity["scores"])] = entity["scores"]
        categories = np.array([e["category"] for e in entities], np.int64)
        triplets = np.array(record["triplets"], np.int64).reshape(-1, 3)
        found.append(PseudoLabels(categories, regions, scores, triplets, count))
    return found


def learn_graphs(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the scene-graph model on pseudo labels; find graphs on the measured split (SGDet)."""
    wanted = run.recipe.sgg
    regions, categories = artifacts.regions(run, "train"), artifacts.detector_categories(run)
    objects, predicates = artifacts.vocabulary(run)
    pseudo = read_pseudo_labels(run.folder / f"pseudo-{method}" / "train.jsonl", [len(r) for r in regions])
    draw = "every" if method == "sgnls" else run.recipe.pseudo_labels.draw
    sizes = Sizes(regions[0].features.shape[1], len(categories), len(objects), len(predicates))
    kind = SGG_MODELS[wanted.model]
    training = wanted.training.model_copy(update={"seed": run.recipe.seed})
    import torch

    torch.manual_seed(run.recipe.seed)
    model = kind(sizes, getattr(wanted, wanted.model))
    images = sum(1 for r in regions if len(r))
    with run.bar(f"training {wanted.model} ({method})", training.epochs * -(-images // training.images)) as advance:
        history = train_sgg(
            model,
            regions,
            lambda i, rng: draw_labels(pseudo[i], rng, draw),
            training,
            progress=lambda done, total, losses: advance(1),
        )
    vocabularies = {
        "categories": list(objects.names),
        "predicates": list(predicates.names),
        "detector": list(categories),
    }
    save_sgg(folder, model, vocabularies)
    (folder / "curves.json").write_text(
        json.dumps({k: [h[k] for h in history] for k in ("objects", "predicates")}), encoding="utf-8"
    )
    split = run.recipe.measured
    measured = artifacts.regions(run, split)
    with run.bar(f"finding scene graphs ({method})", len(measured)) as advance:
        seen = [0]

        def step(done: int, total: int) -> None:
            advance(done - seen[0])
            seen[0] = done

        graphs = predict(model, measured, wanted.inference, step)
    names = [e.image_id for e in artifacts.examples(run, split)]
    fields = ("boxes", "labels", "scores", "pairs", "predicate_scores")
    write_ragged(folder / "graphs.safetensors", names, {f: [getattr(g, f) for g in graphs] for f in fields})
    return {"parameters": sum(p.numel() for p in model.parameters()), "graphs": len(graphs)}
