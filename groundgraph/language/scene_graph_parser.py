"""The registry's rule-based parser, SceneGraphParser (Mao et al., MIT licence), as a parser to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.config import ParserConfig
from groundgraph.language.facts import Fact, caption_of_facts
from groundgraph.language.lemmas import MODEL
from groundgraph.language.words import NUMBERS

PACKAGE = "SceneGraphParser"


class SceneGraphParserConfig(ParserConfig):
    """SceneGraphParser (`pip install SceneGraphParser`), to compare with."""

    model: str = Field(MODEL, description="the spaCy model that it stands on, a package's name")

    @property
    def packages(self) -> tuple[str, ...]:
        """The parser and the spaCy model."""
        return PACKAGE, self.model


class SceneGraphParser:
    """Parses captions with SceneGraphParser; its things are tied to their characters by their words.

    Args:
        model: Name of an installed spaCy package.

    Attributes:
        counts: Of the captions so far, see `facts.caption_of_facts`.

    Raises:
        InputError: The package or the spaCy model is missing.
    """

    Config = SceneGraphParserConfig

    def __init__(self, model: str = MODEL) -> None:
        try:
            import sng_parser
        except ImportError as error:
            raise InputError(f"the package {PACKAGE} is not installed: pip install {PACKAGE}") from error
        try:
            self.parser = sng_parser.Parser("spacy", model=model)
        except OSError as error:
            raise InputError(f"no spaCy model {model!r}: name an installed package ({error})") from error
        self.counts: Counter[str] = Counter()

    def parse(self, captions: Sequence[str]) -> list[ParsedCaption]:
        """Return one ParsedCaption a caption, in order."""
        return [caption_of_facts(text, graph_facts(self.parser.parse(text)), self.counts) for text in captions]


def graph_facts(graph: dict[str, Any]) -> list[Fact]:
    """SceneGraphParser's graph as facts: compounds belong to a name, other modifiers but articles are attributes."""
    facts: list[Fact] = []
    names, times = [], Counter[str]()
    for entity in graph["entities"]:
        modifiers = entity["modifiers"]
        words = [*(m["span"] for m in modifiers if m["dep"] == "compound"), entity["head"]]
        name = " ".join(words).replace(",", " ")
        names.append(f"{name}:{times[name]}")
        times[name] += 1
        attributes = [m["span"].lower() for m in modifiers if m["dep"] not in ("compound", "det")]
        facts += [(names[-1],), *((names[-1], "is", NUMBERS.get(word, word)) for word in attributes)]
    return facts + [(names[r["subject"]], r["relation"], names[r["object"]]) for r in graph["relations"]]
