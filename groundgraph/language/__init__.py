"""Captions to entities, triplets and embeddings; words to categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groundgraph.registry import lookup

if TYPE_CHECKING:
    import torch

    from groundgraph.language.config import ParserConfig
    from groundgraph.models.device import Precision

# Name -> class; imported when asked for, since spaCy takes a second.
PARSERS: dict[str, Any] = {
    "rules": "groundgraph.language.parser:RuleParser",
    "seq2seq": "groundgraph.language.seq2seq:Seq2SeqParser",
    "llm": "groundgraph.language.llm.parser:LlmParser",
    "scenegraphparser": "groundgraph.language.scene_graph_parser:SceneGraphParser",
    "truth": "groundgraph.language.truth:TruthParser",
}


def load_parser(name: str = "rules", **options: Any) -> Any:
    """Return a parser by its name in `PARSERS`.

    Args:
        name: A key of `PARSERS`.
        options: What its constructor takes, such as `model`.

    Raises:
        InputError: There is no such parser, or it lacks its model.
    """
    return lookup(PARSERS, name, "parser")(**options)


def open_parser(config: ParserConfig, device: str | torch.device = "auto", precision: Precision = "auto") -> Any:
    """Return the parser of a recipe.

    Args:
        config: The recipe's `parser`.
        device: Where a network runs, see `groundgraph.models.device`.
        precision: What it computes in, likewise.

    Raises:
        InputError: It lacks its model.
    """
    placement = {"device": device, "precision": precision} if config.network else {}
    return load_parser(config.name, **config.options, **placement)
