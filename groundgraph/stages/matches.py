"""Which of the captions' nouns mean which of the detector's categories (Eq. 6), for the report.

Reads the parsed captions and the regions of the train split; writes matches/matches.json: for each category how many
regions show it and which nouns mean it, then the nouns of none, on which the object-aware teacher is silent.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import detector_categories, label_settings
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import matches, regions


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    return [
        Stage(
            "matches",
            needs=("examples", "parsed", "regions"),
            settings=label_settings(recipe),
            work=match_words,
            cost=per_image(("train",), "match words: {images:,} images"),
            reusable=False,
        )
    ]


def match_words(run: Run, folder: Path) -> dict[str, Any]:
    """Match every noun with every category of the detector."""
    counts = Counter(entity.name for captions in parsed(run, "train") for entity in entities(captions))
    categories, words = detector_categories(run), [word for word, _ in counts.most_common()]
    same = matches(run.recipe)(words, categories)
    shown = np.zeros(len(categories), np.int64)
    for labels in regions(run, "train").labels():
        np.add.at(shown, labels[labels >= 0], 1)
    found = sum(int((targets.sum(1) > 0).sum()) for targets in object_aware(run, "train"))
    nouns = [{"word": word, "said": counts[word]} for word in words]
    content = {
        "categories": [
            {"category": name, "regions": int(shown[c]), "nouns": [nouns[i] for i in np.flatnonzero(same[:, c])]}
            for c, name in enumerate(categories)
        ],
        "nouns of no category": [noun for noun, row in zip(nouns, same, strict=True) if not row.any()],
    }
    (folder / "matches.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return {
        "detector's categories that a noun means": int(same.any(0).sum()),
        "nouns of no category": len(content["nouns of no category"]),
        "entities": counts.total(),
        "entities whose category the detector found": found,
    }


def category_nouns(run: Run) -> dict[str, Any]:
    """What `match_words` wrote."""
    return json.loads((run.folder / "matches" / "matches.json").read_text(encoding="utf-8"))
