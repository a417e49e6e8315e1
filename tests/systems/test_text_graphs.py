"""Captions as graphs in the vocabulary, and their padding."""

import numpy as np
from system_world import CATEGORIES, EVEN, scene, step

from groundgraph.data.types import Entity, ParsedCaption, Triplet
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.language.concepts import ConceptMap
from groundgraph.stages.systems import text_graph
from groundgraph.systems.text_graphs import TextGraph, system_batch


def caption(nouns, *triplets):
    entities = tuple(Entity(noun, noun, noun, (0, 1), (0, 1)) for noun in nouns)
    return ParsedCaption("", entities, tuple(Triplet(*t) for t in triplets))


def test_a_graph_has_what_the_vocabulary_has_and_is_not_withheld():
    concepts = ConceptMap(Vocabulary(("dog", "horse", "hat")), Vocabulary(("ride", "wear")))
    captions = [
        caption(["idea", "dog", "horse"], (1, "ride", 2), (0, "ride", 2), (1, "eat", 2)),
        caption(["dog", "hat"], (0, "wear", 1)),
    ]
    none = np.zeros(3, bool), np.zeros(2, bool)
    graph = text_graph(captions, concepts, *none)
    assert graph.categories.tolist() == [0, 1, 0, 2]  # the idea is left out; a dog that is said twice is there twice
    assert graph.triplets.tolist() == [[0, 1, 0], [2, 3, 1]]
    without_hat = text_graph(captions, concepts, np.array([False, False, True]), none[1])
    assert without_hat.categories.tolist() == [0, 1, 0] and without_hat.triplets.tolist() == [[0, 1, 0]]
    without_riding = text_graph(captions, concepts, none[0], np.array([True, False]))
    assert without_riding.triplets.tolist() == [[2, 3, 1]]
    empty = text_graph([], concepts, *none)
    assert empty.categories.shape == (0,) and empty.triplets.shape == (0, 3)


def test_a_step_is_padded():
    one = TextGraph(np.array([3]), np.zeros((0, 3), np.int64))
    two = TextGraph(np.array([1, 2]), np.array([[1, 0, 1]]))
    batch = system_batch([scene(0)[0], scene(1)[0]], [one, two], CATEGORIES, EVEN)
    assert batch.entities.tolist() == [[True, False], [True, True]] and batch.categories.tolist() == [[3, 0], [1, 2]]
    assert batch.triplet_mask.tolist() == [[False], [True]] and batch.triplets[1].tolist() == [[1, 0]]
    assert batch.predicates[1].tolist() == [1]
    assert batch.mentioned.nonzero().tolist() == [[0, 3], [1, 1], [1, 2]]
    assert step().regions.all() and step().regions.shape == (3, 5)
