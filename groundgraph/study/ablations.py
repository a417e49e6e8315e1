"""Named ablations: one thing varied in this method."""

from __future__ import annotations

from dataclasses import dataclass

from groundgraph.errors import InputError
from groundgraph.study.coverage import coverage_plan
from groundgraph.study.plan import FULL, GROUNDING, QUALITY, QUICK, RECALLS, SETTINGS, Plan, Row, TableSpec
from groundgraph.study.variants import Variant


@dataclass(frozen=True)
class Ablation:
    """One thing varied in this method.

    Attributes:
        values: Name -> what it sets, one key or several.
        reference: The value that the others are tested against.
        base: Settings of all.
        graphs: It acts on scene graphs alone, so that those are always measured.
        settings: Where it is varied.
        grounder: Of which method.
    """

    title: str
    values: dict[str, str | tuple[str, ...]]
    reference: str
    base: tuple[str, ...] = ()
    graphs: bool = False
    settings: tuple[str, ...] = ("vg_caption",)
    grounder: str = "two-teachers"

    def changes(self, value: str) -> tuple[str, ...]:
        """What a value sets, with what is set for all."""
        own = self.values[value]
        return *self.base, *((own,) if isinstance(own, str) else own)


_PROMPTS = {
    "noun": '["{name}"]',
    "phrase": '["{text}"]',
    "photo": '["a photo of a {name}"]',
    "several": '["a photo of a {name}", "a picture of a {name}", "{text}"]',
}


# A product is sharp enough by itself by pixels: they make MiniGenome's Eq. 8 eight times as sharp.
_FUSING = {
    area: {"average": (), "expert": (), "self": (), "product": (f"grounding.product_temperature={temperature}",)}
    for area, temperature in {"cells": 0.125, "pixels": 1.0}.items()
}


def _each(key: str, *values: float | str) -> dict[str, str | tuple[str, ...]]:
    return {str(value): f"{key}={value}" for value in values}


ABLATIONS = {
    "K": Ablation(
        "regions an entity keeps as candidates (K)", _each("pseudo_labels.top", 1, 2, 3, 5, 10), "3", graphs=True
    ),
    "alpha": Ablation("margin of L_MIL (alpha1, Eq. 5)", _each("grounding.margin", 0.05, 0.1, 0.2, 0.4, 0.8), "0.2"),
    "alpha2": Ablation(
        "margin of L_adp (alpha2, Eq. 13), self-guided",
        _each("grounding.adaptor_margin", 0.05, 0.1, 0.2, 0.4, 0.8),
        "0.2",
        ("grounding.fusing=self",),
    ),
    "layer": Ablation(
        "text layer whose Grad-CAM is taken, by the average of both teachers",
        {
            "2": "teachers.interaction.layer=null",
            "3": "teachers.interaction.layer=3",
        },  # null: the bundled model's own, 2
        "2",
        ("grounding.fusing=average",),
    ),
    "temperature": Ablation(
        "temperature of Eq. 8", _each("teachers.interaction.temperature", 0.25, 0.5, 1.0, 2.0, 4.0), "1.0"
    ),
    "scale": Ablation(
        "scale of Eq. 7, by the way of fusing",
        {
            f"{area}-{fusing}": (f"teachers.interaction.area={area}", f"grounding.fusing={fusing}", *sharpened)
            for area in ("cells", "pixels")
            for fusing, sharpened in _FUSING[area].items()
        },
        "cells-expert",
        settings=tuple(SETTINGS),
    ),
    "pairs": Ablation(
        "terms of the pair grounder",
        {
            "all": (),
            "no pair distillation": "grounding.pairs.pair_weight=0",
            "never settled": "grounding.pairs.settle_after=1",
            "no contrast": "grounding.pairs.contrast_weight=0",
            "no pair contrast": "grounding.pairs.pair_contrast_weight=0",
            "predicate contrast": "grounding.pairs.predicate_contrast_weight=0.3",
            "relatedness": "grounding.pairs.related_weight=1",
            "unknown words taught": "grounding.pairs.unknown_weight=1",
            "average": "grounding.pairs.fusing=average",
            "no messages": "grounding.pairs.rounds=0",
            "inputs as they are": "grounding.standardise=false",
        },
        "all",
        grounder="pairs",
    ),
    "parser": Ablation(
        "what reads the captions: the rules, the registry's rule-based parser, or the true triplets",
        _each("parser.name", "rules", "scenegraphparser", "truth"),
        "rules",
        graphs=True,
        settings=("vg_caption", "coco_caption"),
    ),
    "prompts": Ablation(
        "sentences the image-text model is asked with",
        {name: f"teachers.expert.prompts={value}" for name, value in _PROMPTS.items()},
        "photo",
    ),
    "relatedness": Ablation(
        "pairs that no caption relates: background, or unknown with a share of related ones",
        {
            "background": "sgg.training.loss.unmentioned_pairs=background",
            **{
                f"unknown-{prior}": (
                    "sgg.training.loss.unmentioned_pairs=unknown",
                    f"sgg.training.loss.related_prior={prior}",
                )
                for prior in (0.02, 0.05, 0.1, 0.2)
            },
        },
        "background",
        graphs=True,
    ),
    "heads": Ablation(
        "heads of the scene-graph model: a weight a name, or the names' text features",
        {
            "closed": "sgg.heads=closed",
            "open": "sgg.heads=open",
            # As minigenome-novel has them.
            "open with prior": ("sgg.heads=open", "sgg.start=image-text", "sgg.language_prior=bundled:text"),
        },
        "closed",
        graphs=True,
    ),
    "negatives": Ablation(
        "negatives of the adaptor (Eq. 13), self-guided",
        _each("grounding.negatives", "random", "lowest"),
        "random",
        ("grounding.fusing=self",),
    ),
}


def ablation_plan(name: str, seeds: int | None = None, quick: bool = False, graphs: bool = False) -> Plan:
    """One ablation.

    Args:
        name: A key of ABLATIONS, or coverage.
        seeds: How many; None: five, or two of a quick one.
        quick: On a few hundred images.
        graphs: Scene graphs are measured too.

    Raises:
        InputError: For an unknown name.
    """
    if name == "coverage":
        return coverage_plan(seeds, quick)
    if name not in ABLATIONS:
        raise InputError(f"there is no ablation {name!r}: choose one of {', '.join(ABLATIONS)}, coverage")
    ablation = ABLATIONS[name]
    graphs = graphs or ablation.graphs
    ablated = tuple(
        Row(
            setting,
            "motifs" if graphs else "none",
            Variant(f"{name}-{value}", value, (f"grounder={ablation.grounder}", *ablation.changes(value))),
            graphs,
        )
        for setting in ablation.settings
        for value in ablation.values
    )
    measured = (*GROUNDING, *QUALITY[:2])
    tables = [
        TableSpec(
            f"ablation-{name}",
            f"Ablation: {ablation.title}",
            "Grounding accuracy, and how often a right region is the best or among the three best of the training "
            "images' entities.",
            ablated,
            measured,
            "grounding all",
            f"{name}-{ablation.reference}",
            modelled=False,
        )
    ]
    if graphs:
        tables.append(
            TableSpec(
                f"ablation-{name}-graphs",
                f"Ablation: {ablation.title}, scene graphs",
                "SGDet, and mAP at IoU 0.5 (Motifs).",
                ablated,
                (*RECALLS, "mAP50"),
                "R@50",
                f"{name}-{ablation.reference}",
            )
        )
    return Plan(f"ablation-{name}", tuple(tables), QUICK if quick else FULL, seeds or (2 if quick else 5))
