"""What a run asks a language model, before it asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from groundgraph.data.records import read_lines
from groundgraph.language.llm.cache import AnswerCache, answers_file
from groundgraph.language.llm.config import LlmConfig
from groundgraph.language.llm.cost import TokenCost, token_cost
from groundgraph.stages.recipe import Recipe


def language_model_words(recipe: Recipe, images: Mapping[str, int], tried: Path) -> str:
    """How many requests and tokens a recipe's parser takes, and what they cost; "" where it is no language model.

    Args:
        recipe: Names the parser.
        images: How many a split.
        tried: Where a dry run's tries lie, whose examples stand for all.
    """
    config = recipe.parser
    if not isinstance(config, LlmConfig):
        return ""
    # Of a model here only its files tell which answers are its own; none of them costs money.
    cache = AnswerCache(config.model, config.max_tokens) if config.url and answers_file().is_file() else None
    examples = max(tried.glob("*/examples"), key=lambda place: place.stat().st_mtime, default=None)
    cost = TokenCost()
    for split, count in images.items():
        file = examples / f"{split}.jsonl" if examples else None
        records = list(read_lines(file)) if file and file.is_file() else []
        captions = [caption for record in records for caption in record["captions"]]
        if captions:
            own = token_cost(config, captions, split == "train", cache)
            cost = cost.plus(own.times(count / len(records)))
    return cost.words(config)
