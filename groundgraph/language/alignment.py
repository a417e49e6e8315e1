"""Words to a vocabulary's names other than by WordNet: by the likeness of their embeddings, or by a language model.

After LLM4SGG (Kim et al. 2024), whose second step asks a model which name a word means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from groundgraph.language.concepts import name_key
from groundgraph.language.lemmas import predicate_lemma

if TYPE_CHECKING:
    from groundgraph.language.encoder import TextEncoder
    from groundgraph.language.llm.respondent import Respondent

Kind = Literal["thing", "relation"]
OTHERWISE = "words that WordNet aligned, since the language model named nothing of the vocabulary"


def same_names(words: Sequence[str], names: Sequence[str], kind: Kind) -> np.ndarray:
    """Which name each word is, but for its form: [W] int64, -1 for none."""
    key = name_key if kind == "thing" else predicate_lemma
    exact = {name: place for place, name in reversed(list(enumerate(names)))}
    alike = {key(name): place for place, name in reversed(list(enumerate(names)))}
    return np.array([exact.get(word, alike.get(key(word), -1)) for word in words], np.int64)


def nearest_names(
    encoder: TextEncoder, words: Sequence[str], names: Sequence[str], kind: Kind, threshold: float
) -> np.ndarray:
    """The name whose embedding is likest to each word's, or the word itself where it is a name.

    Args:
        encoder: Embeds each word and name by itself.
        words: W of them.
        names: Of the vocabulary.
        kind: What the words are of.
        threshold: The least cosine of the two embeddings.

    Returns:
        [W] int64, -1 where no name is so alike.
    """
    meant = same_names(words, names, kind)
    if not len(words) or not len(names):
        return meant
    ours, theirs = (_unit(encoder.embed_words(list(listing))) for listing in (words, names))
    cosines = ours @ theirs.T  # [W, N]
    nearest = np.where(cosines.max(1) >= threshold, cosines.argmax(1), -1)
    return np.where(meant >= 0, meant, nearest)


def answered_names(
    respondent: Respondent, words: Sequence[str], names: Sequence[str], kind: Kind, otherwise: Sequence[int]
) -> np.ndarray:
    """The name that a language model says each word means, or the word itself where it is a name.

    Args:
        respondent: The model.
        words: W of them.
        names: Of the vocabulary.
        kind: What the words are of.
        otherwise: [W], taken where the model gives no answer, or a name that is none.

    Returns:
        [W] int64, -1 where it says none.
    """
    from groundgraph.language.llm.answers import NameAnswer
    from groundgraph.language.llm.prompts import alignment

    meant = same_names(words, names, kind)
    open_words = np.flatnonzero(meant < 0).tolist()
    answers = respondent.answers([alignment(kind, names, words[row]) for row in open_words], NameAnswer)
    for row, answer in zip(open_words, answers, strict=True):
        place = -1 if answer is None or answer.name is None else int(same_names([answer.name], names, kind)[0])
        if answer is None or (answer.name is not None and place < 0):
            respondent.counts[OTHERWISE] += 1
            place = otherwise[row]
        meant[row] = place
    return meant


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
