"""The report's cases: which captions are shown, and what the teachers say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from groundgraph.data.images import ImageError, open_image
from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.engine.run import Run
from groundgraph.evaluation.grounding import region_hits
from groundgraph.grounding import build_grounder
from groundgraph.report.cases import Case, Teaching
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.evaluation import true_objects
from groundgraph.stages.examples import examples
from groundgraph.stages.grounding import grounding_images, scores, stage_of
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import parsed
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.teachers.fusion import expert_weights, fuse, smooth
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.teachers.phrase import PhraseTeacher, nearby_targets

EACH = 12  # captions that the first method grounds wholly, and as many that it does not


@dataclass(frozen=True)
class Chosen:
    """A case with where it is from: its image's place in the split, its rows among the image's entities."""

    case: Case
    image: int
    caption: ParsedCaption
    rows: slice


def choose_cases(run: Run) -> tuple[list[Case], str]:
    """Captions that tell methods apart, with all that their teachers say; and a sentence on how they were chosen."""
    methods = [name for name, method in run.recipe.methods.items() if method.grounds]
    if not methods:
        return [], ""
    chosen = _chosen(run, methods)
    cases = [replace(one.case, teaching=taught) for one, taught in zip(chosen, teach_cases(run, chosen), strict=True)]
    return cases, _note(run, methods, cases)


def _chosen(run: Run, methods: Sequence[str]) -> list[Chosen]:
    """One caption an image, in the data's order: the first method right and not all others, then it wrong.

    Where no caption's truth is known, the first ones that name two things.
    """
    split = run.recipe.measured
    images, captions_of, proposals = examples(run, split), parsed(run, split), regions(run, split)
    scores_of = {method: scores(run, split, method) for method in methods}
    detector = detector_categories(run)
    rng = np.random.default_rng(run.recipe.seed)
    kinds: dict[bool | None, list[Chosen]] = {True: [], False: [], None: []}
    for i, example in enumerate(images):
        if all(len(kinds[k]) >= EACH for k in (True, False)) or len(kinds[None]) >= 2 * EACH:
            break
        own, first = proposals[i], 0
        if not len(own):
            continue
        for caption, objects in zip(captions_of[i], true_objects(example, captions_of[i]), strict=True):
            rows = slice(first, first + len(caption.entities))
            first = rows.stop
            if not all(entity.tied for entity in caption.entities):  # words are marked in the caption
                continue
            has_truth = bool(objects) and all(objects)
            if not has_truth and (example.truth is not None or len(caption.entities) < 2):
                continue
            answers: dict[str, list] = {}
            correct: dict[str, list[bool]] = {}
            if has_truth:
                true = [example.truth.boxes[list(meant)] for meant in objects]
                hits = region_hits(own.boxes, true)
                answers["truth"] = [boxes[0].tolist() for boxes in true]
            for method in methods:
                values = scores_of[method][i][rows]
                best = (values + rng.random(values.shape) * 1e-9).argmax(1)  # a tie falls at random
                answers[method] = own.boxes[best].tolist()
                if has_truth:
                    correct[method] = hits[np.arange(len(best)), best].tolist()
            good = all(correct[methods[0]]) if has_truth else None
            others = [all(correct[m]) for m in methods[1:]] if has_truth else []
            if (has_truth and len(kinds[good]) >= EACH) or (good and others and all(others)):
                continue
            try:
                image = open_image(example.path)
            except ImageError:
                break
            case = Case(
                image,
                caption.text,
                [entity.head_span for entity in caption.entities],
                answers,
                correct,
                [(t.subject, t.predicate, t.object) for t in caption.triplets],
                good,
                own.boxes,
                [detector[label] if label >= 0 else "unnamed" for label in own.labels.tolist()],
            )
            kinds[good].append(Chosen(case, i, caption, rows))
            break  # one caption an image
    return kinds[True] + kinds[False] or kinds[None]


def teach_cases(run: Run, chosen: Sequence[Chosen]) -> list[Teaching]:
    """What the teachers say of the chosen captions, asked now: maps are not stored, nor the measured split taught."""
    recipe, split = run.recipe, run.recipe.measured
    stored = regions(run, split)
    proposals = [stored[one.image] for one in chosen]
    teachings = [Teaching()] * len(chosen)
    if recipe.teachers.object and any(method.reads_categories for method in recipe.methods.values()):
        rows = [object_aware(run, split)[one.image][one.rows] for one in chosen]
        teachings = [Teaching(object=targets) for targets in rows]
    if recipe.interaction and chosen:
        images = [one.case.image for one in chosen]
        teacher = InteractionTeacher(**recipe.interaction.model_dump(), **run.placement)
        maps = [own[0] for own in teacher.model.activation_maps(images, [[one.caption] for one in chosen])]
        teachings = [
            replace(t, maps=m, interaction=teacher.targets_of(m, r))
            for t, m, r in zip(teachings, maps, proposals, strict=True)
        ]
    if recipe.phrase and chosen:
        targets = _phrase_targets(run, chosen, proposals)
        teachings = [replace(t, phrase=target) for t, target in zip(teachings, targets, strict=True)]
    if recipe.several_teachers and chosen:
        grounder = _taught_grounder(run, recipe)
        shares = _weights(run, chosen, proposals, teachings, grounder)
        teachings = [_fused(t, w, grounder, recipe) for t, w in zip(teachings, shares, strict=True)]
    return teachings


def _phrase_targets(run: Run, chosen: Sequence[Chosen], proposals: Sequence[Regions]) -> list[np.ndarray]:
    """The third teacher's targets [E, V] of every case."""
    model, captions = run.recipe.phrase.model, [[one.caption] for one in chosen]
    if model:
        images = [one.case.image for one in chosen]
        return [own[0] for own in PhraseTeacher(model, **run.placement).targets(images, proposals, captions)]
    match = object_aware(run, run.recipe.measured)
    rows = [match[one.image][one.rows] > 0 for one in chosen]
    return [nearby_targets(*parts) for parts in zip(captions, rows, proposals, strict=True)]


def _weights(
    run: Run, chosen: Sequence[Chosen], proposals: Sequence[Regions], teachings: Sequence[Teaching], grounder: Any
) -> list[torch.Tensor]:
    """The teachers' weights [E, T] of every case, by the recipe's way of fusing (Eq. 11)."""
    recipe = run.recipe
    targets = [_targets(one) for one in teachings]
    if _fusing(recipe) in ("average", "product"):
        return [torch.full(one.shape[:2], 1 / one.shape[1]) for one in targets]
    if _fusing(recipe) == "expert":
        config = recipe.teachers.expert
        expert = ImageTextModel(config.model, config.prompts, features=config.features, **run.placement)
        images: list[Image.Image] = [one.case.image for one in chosen]
        crops = [torch.from_numpy(f) for f in expert.region_features(images, proposals)]
        words = [torch.from_numpy(expert.entity_features(one.caption.entities)) for one in chosen]
        temperature = recipe.teachers.expert.temperature
        return [
            expert_weights(own, crop, word, temperature) for own, crop, word in zip(targets, crops, words, strict=True)
        ]
    weights = []
    stored = grounding_images(run, recipe.measured, None)
    for one, teaching in zip(chosen, teachings, strict=True):
        image, own = stored[one.image], _targets(teaching, recipe.grounding.smoothing)
        h = grounder.encode_text(torch.from_numpy(np.array(image.embeddings[one.rows])))
        v = grounder.encode_regions(torch.from_numpy(np.array(image.features)))
        weights.append(torch.stack([grounder.reliability(t, h, v) for t in own.unbind(1)], -1).detach().softmax(-1))
    return weights


def _fusing(recipe: Recipe) -> str:
    """How the first method that is taught has the teachers fused."""
    return next(iter(recipe.fusings.values()))


def _taught_grounder(run: Run, recipe: Recipe) -> Any:
    """The trained module of the method that is taught; on the CPU, since it is asked about few words."""
    name = next(name for name, method in recipe.methods.items() if method.taught)
    return build_grounder(name, recipe.grounding).load(run.folder / stage_of(name), "cpu").model


def _fused(taught: Teaching, weights: torch.Tensor, grounder: Any, recipe: Recipe) -> Teaching:
    """With the target that the grounder would be given; a silent teacher's weight is the others' (Eq. 9)."""
    targets = _targets(taught, recipe.grounding.smoothing)
    shares = weights * (targets.sum(-1) > 0)
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-12)
    # Learnt weights are given; a grounder put in from outside may have no rule of its own.
    rule = fuse if _fusing(recipe) == "self" else getattr(grounder, "fused", fuse)
    return replace(taught, fused=rule(targets, weights).numpy(), weights=shares.numpy())


def _targets(taught: Teaching, smoothing: float = 0.0) -> torch.Tensor:
    """The teachers' targets [E, T, V] as the grounder's loss takes them; one that the run does not have is silent."""
    own = [taught.object, taught.interaction, *([] if taught.phrase is None else [taught.phrase])]
    silent = np.zeros_like(next(target for target in own if target is not None))
    targets = torch.from_numpy(np.stack([silent if target is None else target for target in own], 1))
    return smooth(targets, torch.ones(targets.shape[-1], dtype=torch.bool), smoothing) if smoothing else targets


def _note(run: Run, methods: Sequence[str], cases: Sequence[Case]) -> str:
    first, split = run.recipe.methods[methods[0]].title, run.recipe.measured
    if split == "train":
        note = "Captions of the training images, one an image"
    else:
        note = (
            f"Captions of the {split} images, one an image, on which nothing was trained: the teachers were asked "
            "about them for this page only"
        )
    if not any(case.correct for case in cases):
        return f"{note}; the first in the data's order. Nobody knows their true boxes."
    right = sum(bool(case.good) for case in cases)
    apart = " and another method is not" if len(methods) > 1 else ""
    return (
        f"{note}. In the data's order: the first {right} where '{first}' is right about every word{apart}, and the "
        f"first {len(cases) - right} where it is not. That is no sample: the figures say how often each happens."
    )
