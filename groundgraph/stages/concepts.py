"""What the captions' words mean in the evaluation vocabulary, and how much of the supervision is in it.

Reads the parsed captions and the vocabulary; writes concepts/concepts.json: every noun and predicate of the train
split, how often it is said and what it means (null: nothing in the vocabulary), and of an induced vocabulary why.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.language.boxable import boxable
from groundgraph.language.induction import APART
from groundgraph.stages.alignment import (
    aligned_map,
    alignment_files,
    alignment_needs,
    alignment_settings,
    check_alignment,
)
from groundgraph.stages.cost import per_image
from groundgraph.stages.parsed import parsed
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.vocabulary import vocabulary, word_fates

COUNTED = (
    "entities",
    "mapped entities",
    "predicates",
    "mapped predicates",
    "triplets of two things that can be boxed",
    "mapped triplets",
    "distinct mapped triplets",
    "images with a mapped triplet",
)


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    check_alignment(recipe)
    return [
        Stage(
            "concepts",
            needs=("parsed", "vocabulary"),
            settings=alignment_settings(recipe),
            files=lambda: alignment_files(recipe),
            work=map_words,
            cost=per_image(("train",), "look up words: {images:,} images"),
            requirements=lambda: alignment_needs(recipe),
        )
    ]


def map_words(run: Run, folder: Path) -> dict[str, Any]:
    """Look every noun and predicate up.

    A triplet is mapped where its three words are; "distinct mapped triplets" counts one an image however often its
    captions say it.
    """
    categories, predicates = vocabulary(run)
    answered = Counter[str]()
    concepts = aligned_map(run, run.recipe.vocabulary.alignment.kind, answered)
    nouns: Counter[str] = Counter()
    verbs: Counter[str] = Counter()
    category_of: dict[str, int] = {}
    counts = Counter(dict.fromkeys(COUNTED, 0))
    for captions in parsed(run, "train"):
        distinct = set()
        for caption in captions:
            for entity in caption.entities:
                nouns[entity.name] += 1
                category_of.setdefault(entity.name, concepts.category(entity))
            for t in caption.triplets:
                verbs[t.predicate] += 1
                ends = [caption.entities[i].name for i in (t.subject, t.object)]
                visible = all(category_of[end] >= 0 or boxable(end) for end in ends)
                counts["triplets of two things that can be boxed"] += visible
                subject, object_ = (category_of[end] for end in ends)
                triplet = (subject, concepts.predicate(t.predicate), object_)
                if min(triplet) >= 0:
                    counts["mapped triplets"] += 1
                    distinct.add(triplet)
        counts["distinct mapped triplets"] += len(distinct)
        counts["images with a mapped triplet"] += bool(distinct)
    names = {word: categories.names[c] if c >= 0 else None for word, c in category_of.items()}
    acts = {word: predicates.names[p] if (p := concepts.predicate(word)) >= 0 else None for word in verbs}
    for words, meanings, kind in ((nouns, names, "entities"), (verbs, acts, "predicates")):
        counts[kind] = words.total()
        counts[f"mapped {kind}"] = sum(n for word, n in words.items() if meanings[word] is not None)
    fates = word_fates(run)

    def row(word: str, said: int, part: str, meant: dict[str, Any]) -> dict[str, Any]:
        why = {"why": fates[part].get(word, (None, APART))[1]} if part in fates else {}
        return {"word": word, "said": said, **meant, **why}

    content = {
        "counts": dict(counts),
        "nouns": [row(w, n, "nouns", {"category": names[w]}) for w, n in nouns.most_common()],
        "predicates": [row(w, n, "predicates", {"predicate": acts[w]}) for w, n in verbs.most_common()],
    }
    (folder / "concepts.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
    return dict(counts) | {what: count for what, count in answered.items() if count}


def word_meanings(run: Run) -> dict[str, Any]:
    """What `map_words` wrote."""
    return json.loads((run.folder / "concepts" / "concepts.json").read_text(encoding="utf-8"))
