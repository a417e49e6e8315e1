"""Text: every entity's embedding from its whole caption, and every triplet's predicate by itself.

Of triplets of a vocabulary's names, which are no sentences, the names are read by themselves too.

Reads the examples and parsed captions; writes text/SPLIT, a store each, columns embeddings [E, D], predicates [T, D].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ragged import Ragged
from groundgraph.data.types import ParsedCaption
from groundgraph.engine.extraction import CHUNK, Columns, Extraction, beyond, extract
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.language.encoder import TextEncoder
from groundgraph.models.hub import TOKENIZER, WEIGHTS
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import ids_by_split
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.parsed import parsed
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe of which a grounder learns."""
    if not recipe.needs_text:
        return []
    model = recipe.text.model
    return [
        Stage(
            "text",
            needs=("examples", "parsed"),
            settings=[recipe.text.model_dump(), recipe.precision],
            files=lambda: model_identity(model),
            work=embed,
            cost=per_image(recipe.splits, "embed entities: {images:,} images", seconds=1.1),
            requirements=lambda: [need_model("text encoder", model, "text.model", WEIGHTS, TOKENIZER)],
            spread=True,
        )
    ]


def embed(run: Run, folder: Path) -> dict[str, Any]:
    """Embed the entities and predicates of every split."""
    unread = extract(run, folder, EXTRACTION, ids_by_split(run, run.recipe.splits))
    count = sum(int(Ragged(folder / split).lengths("embeddings").sum()) for split in run.recipe.splits)
    return {"entities": count} | beyond("entities beyond the text encoder's length", unread)


class TextReader:
    """The text encoder."""

    def __init__(self, run: Run, folder: Path) -> None:
        config = run.recipe.text
        self.run, self.encoder = run, TextEncoder(config.model, pool=config.pool, **run.placement)

    @property
    def beyond(self) -> int:
        """How many entities stood beyond the encoder's length so far."""
        return self.encoder.truncated

    def __call__(self, split: str, part: slice) -> Iterator[dict[str, np.ndarray]]:
        """The embeddings of a slice's words of a split."""
        images = parsed(self.run, split)[part]
        triplets = [[triplet for caption in captions for triplet in caption.triplets] for captions in images]
        # Read again with every slice: what a word's embedding is must not depend on who read which slice before.
        predicates = self.encoder.embed_words([triplet.predicate for row in triplets for triplet in row])
        ends = np.cumsum([len(row) for row in triplets])
        unique = list(dict.fromkeys(caption for captions in images for caption in captions))  # bare triplets recur
        embedded = dict(zip(unique, self._embed(unique), strict=True))
        none = np.zeros((0, self.encoder.size), np.float32)
        for captions, row, end in zip(images, triplets, ends, strict=True):
            yield {
                "embeddings": np.concatenate([none, *(embedded[caption] for caption in captions)]),
                "predicates": predicates[end - len(row) : end],
            }

    def _embed(self, captions: Sequence[ParsedCaption]) -> list[np.ndarray]:
        """The captions' entities in their context, [E, D] each; names of a vocabulary by themselves.

        In a sentence a name's embedding would tell which predicate is said beside it, and a grounder that has to tell
        predicates apart would read them off its words, not off regions.
        """
        if not self.run.recipe.data.named:
            return self.encoder.embed(captions)
        names = self.encoder.embed_words([entity.name for caption in captions for entity in caption.entities])
        return np.split(names, np.cumsum([len(caption.entities) for caption in captions])[:-1]) if captions else []


EXTRACTION = Extraction(TextReader, "reading {} captions", Columns("embeddings", "predicates"), CHUNK * 4)


@kept("text")
def text(run: Run, split: str) -> Ragged:
    """A split's embeddings by image id: columns embeddings and predicates."""
    return Ragged(run.folder / "text" / split)
