"""What "it", "him" and "them" stand for: the nearest earlier noun that fits and that the pronoun can mean."""

from __future__ import annotations

from groundgraph.language.lemmas import lemma
from groundgraph.language.living import gender, is_animal, is_person
from groundgraph.language.tree import SUBJECTS, Tree

_MALE, _FEMALE, _THING = frozenset("he him".split()), frozenset("she her".split()), frozenset({"it"})
_MANY = frozenset("they them".split())
# Singular in form, and "it" or "them".
_GROUPS = frozenset("couple crowd family team group sheep deer fish police".split())


def find_antecedents(tree: Tree) -> None:
    """Fill a tree's `antecedents`."""
    for i, word in enumerate(tree.words):
        known = word in _MALE or word in _FEMALE or word in _THING or word in _MANY
        if known and tree.tags[i] == "PRP" and tree.words[i + 1 : i + 2] != ["'s"]:
            excluded, owner = _own_clause(tree, i)
            fitting = [k for k in tree.nouns if k < i and k not in excluded and _fits(tree, k, word)]
            people = [k for k in fitting if is_person(tree.words[k])] if word in _MALE | _FEMALE else []
            if fitting:
                tree.antecedents[i] = owner if owner in fitting else (people or fitting)[-1]


def _own_clause(tree: Tree, i: int) -> tuple[set[int], int]:
    """Nouns that the pronoun at i cannot be, and the one that it is if it fits, or -1.

    It isn't the subject of its verb ("the man riding it"), nor what stands just before its preposition ("boxes on it");
    of what somebody or something has, the place is its owner ("a cup has a spoon in it").
    """
    heads, deps = tree.heads, tree.deps
    head, excluded = heads[i], set()
    if deps[i] in SUBJECTS or head == i:
        return ({heads[head]} if deps[head] == "relcl" else set()), -1  # "the patient she is helping"
    if i - 1 in tree.inside:
        before = tree.inside[i - 1] - 1
        excluded |= _listed(tree, before)
    while heads[head] != head and tree.tags[head][0] != "V":
        head = heads[head]
        if head in tree.nouns and not excluded:
            excluded.add(head)
    subject = max((k for k in tree.children[head] if deps[k] in SUBJECTS and k < i), default=-1)
    if subject < 0 and deps[head] in ("acl", "relcl"):
        subject = heads[head]
    joined = [k for k in tree.coordinated(subject) if k < i] if subject >= 0 else []
    subject = joined[-1] if joined and deps[i] != "pobj" else subject  # "some balloons and a clown holding them"
    if deps[i] == "pobj" and deps[head] == "acl":
        excluded.add(subject)  # "a swing hanging from it"
    if deps[i] == "pobj":
        return excluded, subject if lemma(tree.words[head], "verb") == "have" else -1
    return excluded | {subject}, -1


def _listed(tree: Tree, noun: int) -> set[int]:
    """The noun and those listed before it after "with": in "with a sink and a tub in it" none of them is it."""
    found, i = {noun}, noun
    while i >= 0 and tree.words[i] not in ("with", "has", "have", "having"):
        if tree.tags[i] == "IN" or tree.tags[i][0] == "V":
            return {noun}
        if i in tree.nouns:
            found.add(i)
        i -= 1
    return found if i >= 0 else {noun}


def _fits(tree: Tree, noun: int, pronoun: str) -> bool:
    """Whether a noun agrees with a pronoun in number and in who it may be."""
    word = tree.words[noun]
    if noun in tree.absent or tree.is_amount(noun):
        return False
    base = lemma(word, "noun")
    several = tree.tags[noun] == "NNS" or base == "people"
    several = several or any(tree.tags[k] == "CD" and tree.words[k] != "one" for k in tree.children[noun])
    if pronoun in _MANY:
        return several or base in _GROUPS
    if several:
        return False
    if pronoun in _THING:
        return not is_person(word) or base in ("baby", "child") or base in _GROUPS
    other = gender(word) not in ("", "m" if pronoun in _MALE else "f")
    return not other and (is_person(word) or is_animal(word))
