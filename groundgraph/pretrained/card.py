"""The model card of a packed model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

SHOWN = 40  # names of a vocabulary
DRAWN = "It has only ever seen MiniGenome's drawn scenes, and knows nothing of photos."
_CARD = """---
{header}---

# {name}

A scene-graph generator trained from captions by [groundgraph](https://github.com/groundgraph/groundgraph), without a
single annotated box ({title}). {drawn}

```python
import groundgraph

model = groundgraph.load("OWNER/NAME")  # or the folder that this card lies in
graph = model.predict("photo.jpg")
print(graph.objects, graph.relations)
```

| | |
|---|---|
| trained on | {data} |
| regions from | {detector} |
| scene-graph model | {model} |
| {counts[0]} categories | {categories} |
| {counts[1]} predicates | {predicates} |

## Measured

{metrics}

## Limits

It finds what its captions spoke of and nothing else. Who takes the pictures, and what people think worth a caption,
shape what it says of them. {scores}
"""
_RANKED = "Scores rank relations; they are no promise."
_CALIBRATED = (
    "Relations' scores are calibrated on images\nthat it was not trained on: of those shown by default, from "
    "{min_score} on, half are right there. On other kinds of images\nscores may promise too much."
)


_BY_CAPTIONS = (
    "No relation of these images is annotated: what is right there\nwas estimated from what their captions say."
)


def model_card(names: Mapping[str, Any], recipe: Mapping[str, Any], method: str, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown with the hub's header.

    Args:
        names: The vocabulary, and the calibration of scores where there is one.
        recipe: As it is stored.
        method: The grounder's name, or the system's.
        metrics: As metrics.json has them of a method.
    """
    header = {"library_name": "groundgraph", "tags": ["scene-graph-generation", "weakly-supervised"]}
    data, detector = recipe["data"], recipe["detector"]
    listings = names["categories"], names["predicates"]
    calibration, whole = names.get("calibration"), method in recipe["system"]
    categories, predicates = (", ".join(n[:SHOWN]) + (", ..." if len(n) > SHOWN else "") for n in listings)
    return _CARD.format(
        header=yaml.safe_dump(header, sort_keys=False),
        name=recipe["name"],
        title=f"system: {method}" if whole else f"grounder: {method}",
        drawn=DRAWN if data["source"] == "minigenome" else "",
        data=f"{data['source']}, recipe {recipe['name']}",
        detector=f"{detector['model']} ({detector['kind']}), {detector['regions']} an image",
        model=method if whole else recipe["sgg"]["model"],
        counts=[len(n) for n in listings],
        categories=categories,
        predicates=predicates,
        metrics=_measured(metrics),
        scores=_scores(calibration) if calibration else _RANKED,
    )


def _scores(calibration: Mapping[str, Any]) -> str:
    text = _CALIBRATED.format(min_score=f"{calibration['min_score']:.2g}")
    return f"{text} {_BY_CAPTIONS}" if calibration["source"] == "captions" else text


def _measured(metrics: Mapping[str, Any]) -> str:
    """What is known, in per cent."""
    rows = [("grounding, all", (metrics.get("grounding") or {}).get("all"))]
    recalls = metrics.get("sgdet") or {}
    rows += [(f"SGDet {name}", recalls.get(name)) for name in ("R@20", "R@50", "R@100", "mR@50")]
    rows += [("mAP50", metrics.get("mAP50"))]
    calibration = metrics.get("calibration") or {}
    rows += [("precision of what is shown by default", calibration.get("precision"))]
    rows += [("expected calibration error", calibration.get("ECE"))]
    known = [f"| {name} | {100 * value:.1f} |" for name, value in rows if isinstance(value, int | float)]
    return "\n".join(["| | per cent |", "|---|---|", *known]) if known else "Nothing was measured: no box is annotated."
