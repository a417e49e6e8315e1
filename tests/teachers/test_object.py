import numpy as np
import pytest

from groundgraph.data.types import Entity, ParsedCaption, Regions
from groundgraph.language.concepts import match_matrix
from groundgraph.teachers.object import ObjectTeacher, object_targets


def test_object_targets_by_hand():
    match = np.array([[True, False, True], [False, True, False], [False, False, False]])
    labels = np.array([0, 2, -1, 0, 2])
    thirds = [[0.25, 0.25, 0, 0.25, 0.25], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(object_targets(match, labels), thirds)
    np.testing.assert_allclose(object_targets(match, np.array([1, -1, 1]))[1], [0.5, 0, 0.5])
    assert object_targets(match, np.zeros(0, np.int64)).shape == (3, 0)
    assert object_targets(np.zeros((0, 3), bool), labels).shape == (0, 5)


def found(*labels):
    count = len(labels)
    return Regions(
        np.zeros((count, 4), np.float32), np.array(labels, np.int64), np.ones(count), np.zeros((count, 2)), (9, 9)
    )


def says(*names):
    return ParsedCaption(" ".join(names), tuple(Entity(n, n, n, (0, 1), (0, 1)) for n in names))


def same(names, categories):
    alike = {"guy": "man"}
    return np.array([[alike.get(n, n) == c for c in categories] for n in names], bool).reshape(
        len(names), len(categories)
    )


def test_teacher_splits_by_caption():
    teacher = ObjectTeacher(["man", "dog"], same)
    captions = [[says("guy", "cat"), says(), says("dog")], []]
    rows = teacher.targets(None, [found(0, 1, 0), found()], captions)
    assert [r.shape for r in rows[0]] == [(2, 3), (0, 3), (1, 3)] and rows[1] == []
    np.testing.assert_allclose(rows[0][0], [[0.5, 0, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(rows[0][2], [[0, 1, 0]])


def test_a_label_beyond_the_categories_is_an_error():
    with pytest.raises(ValueError, match="label 2, but the detector names 2"):
        ObjectTeacher(["man", "dog"], same).targets(None, [found(2)], [[says("dog")]])


def test_teacher_with_wordnet():
    teacher = ObjectTeacher(["Person", "Man", "Vehicle", "Toy"], match_matrix)
    (rows,) = teacher.targets(None, [found(0, 1, 2, 1)], [[says("guy", "person", "taxi", "woman", "sky")]])
    third = 1 / 3
    by_hand = [[third, third, 0, third]] * 2 + [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(rows[0], by_hand, rtol=1e-6)
