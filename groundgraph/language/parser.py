"""Captions to entities and triplets: rules on spaCy's dependency parse (after Schuster et al. 2015)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field
from threadpoolctl import ThreadpoolController

from groundgraph.data.types import ParsedCaption, Triplet
from groundgraph.errors import InputError
from groundgraph.language.absence import MENTIONED, absent_phrases, find_absent
from groundgraph.language.config import ParserConfig
from groundgraph.language.foreign import is_foreign
from groundgraph.language.lemmas import MODEL
from groundgraph.language.names import shorten_names
from groundgraph.language.pronouns import find_antecedents
from groundgraph.language.reading import LONGEST, Reading
from groundgraph.language.relations import Relations
from groundgraph.language.tree import Tree
from groundgraph.language.writing import mend_writing

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

CUT = f"captions of which only the first {LONGEST} characters were read"
FOREIGN = "captions that look like no English and were left out"


class RulesConfig(ParserConfig):
    """The rules, on a spaCy model."""

    model: str = Field(MODEL, description="the spaCy model that it stands on, a package's name")

    @property
    def packages(self) -> tuple[str, ...]:
        """The spaCy model."""
        return (self.model,)


class RuleParser:
    """Parses captions with a spaCy model and rules.

    Args:
        model: Name of an installed spaCy package, or a folder with a saved pipeline.

    Attributes:
        counts: Of the captions so far: how many were longer than what is read of one, and how many looked like no
            English, of which nothing is read.

    Raises:
        InputError: There is no such model, or it has no tagger and parser.
    """

    Config = RulesConfig

    def __init__(self, model: str = MODEL) -> None:
        import spacy

        # The rules need tags and the tree alone; lemmas come from `lemmas.py`, cached by word.
        unused = ["ner", "lemmatizer", "attribute_ruler", "senter"]
        try:
            self.nlp = spacy.load(model, exclude=unused)
        except OSError as error:
            raise InputError(f"no spaCy model {model!r}: name an installed package or a folder ({error})") from error
        _use_numpy_products(self.nlp)
        self.counts: Counter[str] = Counter()
        self.libraries = ThreadpoolController()
        missing = {"tagger", "parser"} - set(self.nlp.pipe_names)
        if missing:
            raise InputError(f"the spaCy model {model!r} lacks {sorted(missing)}; take one with a tagger and a parser")

    def parse(self, captions: Sequence[str]) -> list[ParsedCaption]:
        """Return one ParsedCaption a caption, in order; spans are characters of the caption as it stands.

        Equal captions are parsed once. Only the first 1000 characters are read, to a word's end; a caption without a
        noun has no entities, nor has one in another language.

        Raises:
            InputError: `captions` is not a list of texts.
        """
        if isinstance(captions, str):
            raise InputError("one text stands for a list of captions: write parse([caption])")
        for number, text in enumerate(captions):
            if not isinstance(text, str):
                raise InputError(f"caption {number} of {len(captions)} is no text but {text!r:.100}; leave it out")
        self.counts[CUT] += sum(len(text) > LONGEST for text in captions)
        readings = {text: _read(text) for text in captions}
        foreign = {text for text, reading in readings.items() if is_foreign(reading.text)}
        self.counts[FOREIGN] += sum(text in foreign for text in captions)
        for text in foreign:
            readings[text] = Reading("")
        # Products this small are slower shared out over cores, by far where the cores are busy.
        with self.libraries.limit(limits=1, user_api="blas"):
            docs = dict(zip(readings, self._docs(readings.values()), strict=True))
            # Without what isn't there the rest of a caption is read better: these few are read again.
            cut = {text: readings[text] for text, doc in docs.items() if _cut_absent(readings[text], doc)}
            docs |= zip(cut, self._docs(cut.values()), strict=True)
        parsed = {text: read_tree(text, reading, docs[text]) for text, reading in readings.items()}
        return [parsed[text] for text in captions]

    def _docs(self, readings: Iterable[Reading]) -> Iterator[Doc]:
        return self.nlp.pipe((reading.text for reading in readings), batch_size=256)


def _read(caption: str) -> Reading:
    """A caption as the model reads it."""
    reading = Reading(caption)
    mend_writing(reading)
    shorten_names(reading)
    return reading


def _cut_absent(reading: Reading, doc: Doc) -> bool:
    """Leave out of a reading what only says that something isn't there; whether there was such."""
    if not MENTIONED.search(reading.text):
        return False
    phrases = absent_phrases([token.lower_ for token in doc], [token.tag_ for token in doc])
    for first, end in reversed(phrases):
        reading.cut(doc[first].idx, doc[end].idx if end < len(doc) else len(reading.text))
    return bool(phrases)


def _use_numpy_products(nlp: Language) -> None:
    """Let NumPy multiply the network's matrices: three times the speed with AVX-512, equal but for rounding."""
    from thinc.api import NumpyOps

    products = NumpyOps(use_blis=False)
    for _, pipe in nlp.pipeline:
        for layer in pipe.model.walk() if hasattr(pipe, "model") else ():
            if isinstance(layer.ops, NumpyOps):
                layer.ops = products


def read_tree(text: str, reading: Reading, doc: Doc) -> ParsedCaption:
    """Return the entities and triplets of one caption, whose reading is the spaCy document."""
    kept = [token for token in doc if not token.is_space]
    if not kept:
        return ParsedCaption(text)
    place = {token.i: k for k, token in enumerate(kept)}
    spans = [(reading.starts[token.idx], reading.ends[token.idx + len(token) - 1]) for token in kept]
    tree = Tree(
        [token.text for token in kept],
        [token.tag_ for token in kept],
        [token.dep_ for token in kept],
        [place.get(token.head.i, k) for k, token in enumerate(kept)],
        spans,
        {k: reading.names[start] for k, (start, _) in enumerate(spans) if start in reading.names},
    )
    find_absent(tree)
    find_antecedents(tree)
    if not tree.entities:
        return ParsedCaption(text)
    order = {noun: k for k, noun in enumerate(tree.entities)}
    entities = tuple(
        replace(e, text=text[e.span[0] : e.span[1]], head=text[e.head_span[0] : e.head_span[1]])
        for e in tree.entities.values()
    )
    triplets = tuple(Triplet(order[s], predicate, order[o]) for s, predicate, o in Relations(tree).triplets)
    return ParsedCaption(text, entities, triplets)
