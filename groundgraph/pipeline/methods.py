"""The stages that every method goes through: ground, label, train a scene-graph model, measure, report."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.store import write_ragged
from groundgraph.grounding import build_grounder
from groundgraph.grounding.pseudo_labels import (
    NEGLIGIBLE,
    PseudoLabels,
    draw_labels,
    pseudo_of,
    pseudo_record,
    soft_labels,
    softmax_shares,
    top_regions,
)
from groundgraph.grounding.training import Learned
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
    """Three stages a grounder, then the figures and the report of all."""
    listing: list[Stage] = []
    labelling, seed = recipe.pseudo_labels, recipe.seed
    for method in recipe.grounder:
        # The rule learns nothing, so nothing of the grounder's settings touches it.
        how = [seed] if method == "sgnls" else [recipe.grounding.model_dump(), seed]
        weighed = ("reliability",) if method == "ours" and recipe.asks_expert else ()
        listing += [
            Stage(f"grounding-{method}", ("text", "teachers", *weighed), how, partial(ground, method=method)),
            Stage(
                f"pseudo-{method}",
                (f"grounding-{method}", "vocabulary"),
                [labelling.kind, labelling.top, seed],
                partial(label, method=method),
            ),
            Stage(
                f"sgg-{method}",
                (f"pseudo-{method}", "regions"),
                [recipe.sgg.model_dump(), labelling.kind, labelling.draw, seed],
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
    grounder, parameters = build_grounder(method, run.recipe.grounding), 0
    if isinstance(grounder, Learned):
        total = run.recipe.grounding.epochs
        with run.bar(f"training the grounder ({method})", total) as advance:
            seen = [0]

            def step(done: int, steps: int) -> None:
                epochs = done * total // steps
                advance(epochs - seen[0])
                seen[0] = epochs

            curves = grounder.train(data["train"], data.get("validation", []), run.recipe.seed, step)
        grounder.save(folder)
        (folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")
        parameters = sum(p.numel() for p in grounder.model.parameters())
    for split in dict.fromkeys(("train", run.recipe.measured)):
        names = [e.image_id for e in artifacts.examples(run, split)]
        write_ragged(folder / f"{split}.safetensors", names, {"scores": grounder.scores(data[split])})
    return {"parameters": parameters}


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

    The rule's are all that match; a trained grounder's are its best K; for soft labels all with a share to speak of.
    """
    wanted = run.recipe.pseudo_labels
    if not scores.size:
        return np.full((entities, wanted.top), -1), np.zeros((entities, wanted.top), np.float32)
    if method == "sgnls":
        return top_regions(scores, scores.shape[1], 0.0, rng)
    if wanted.kind == "hard":
        return top_regions(scores, wanted.top, None, rng)
    regions, values = top_regions(scores, scores.shape[1], None, rng)
    return np.where(softmax_shares(scores, regions) < NEGLIGIBLE, -1, regions), values


def learn_graphs(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train the scene-graph model on pseudo labels; find graphs on the measured split (SGDet)."""
    wanted = run.recipe.sgg
    regions, categories = artifacts.regions(run, "train"), artifacts.detector_categories(run)
    objects, predicates = artifacts.vocabulary(run)
    records = read_lines(run.folder / f"pseudo-{method}" / "train.jsonl")
    pseudo = [pseudo_of(record, len(found)) for record, found in zip(records, regions, strict=True)]
    labelling = run.recipe.pseudo_labels
    how = "every" if method == "sgnls" else labelling.draw

    def draw(i: int, rng: np.random.Generator) -> Any:
        if labelling.kind == "soft" and method != "sgnls":
            return soft_labels(pseudo[i], len(objects), len(predicates))
        return draw_labels(pseudo[i], rng, how)

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
            draw,
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
