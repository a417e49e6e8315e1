"""A triplet of words as a sentence, for the Unlocalized Graph setting (METHOD.md, section 1)."""

from __future__ import annotations

from groundgraph.data.types import Entity, ParsedCaption, Span, Triplet
from groundgraph.errors import InputError
from groundgraph.language.lemmas import name_lemma, predicate_lemma


def triplet_caption(subject: str, predicate: str, object: str, named: bool = False) -> ParsedCaption:
    """Return the words in a row ("man riding horse") with the two names as entities and one triplet, without a parser.

    Args:
        subject: A name; its last word is the entity's head.
        predicate: What relates the two.
        object: A name.
        named: They are names of a vocabulary and stay as they are; else they are words, and become base forms.

    Raises:
        InputError: One of the three is empty.
    """
    names = [" ".join(part.split()) for part in (subject, predicate, object)]
    if not all(names):
        raise InputError(f"a triplet with an empty part: {(subject, predicate, object)!r}; give three words")
    text = " ".join(names)
    start = len(names[0]) + len(names[1]) + 2
    subject_span, object_span = (0, len(names[0])), (start, len(text))
    entities = (_entity(names[0], subject_span, named), _entity(names[2], object_span, named))
    return ParsedCaption(text, entities, (Triplet(0, names[1] if named else predicate_lemma(names[1]), 1),))


def _entity(name: str, span: Span, named: bool) -> Entity:
    head = name.split()[-1]
    return Entity(name, head, name if named else name_lemma(name), span, (span[1] - len(head), span[1]))
