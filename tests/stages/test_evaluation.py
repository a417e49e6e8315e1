"""Figures that mean nothing are not made or printed, and a sentence says why."""

import numpy as np
import pytest

from groundgraph.cli import running
from groundgraph.data.types import Graph, GroundTruth, Mention
from groundgraph.evaluation.detection import detection_map
from groundgraph.stages.evaluation import annotated_categories, renamed
from groundgraph.stages.missing import detection_notes, grounding_notes


def truth(*labels, relations=(), mentions=()):
    boxes = np.array([[10 * i, 0, 10 * i + 9, 9] for i in range(len(labels))], np.float32).reshape(-1, 4)
    return GroundTruth(boxes, labels, relations, mentions)


def graph(*labels):
    """Found just where `truth` has its boxes."""
    boxes, none = truth(*labels).boxes, (np.zeros((0, 2), int), np.zeros((0, 3)))
    return Graph(boxes, np.array(labels, np.int64), np.linspace(0.9, 0.5, len(labels), dtype=np.float32), *none)


@pytest.mark.parametrize(
    ("annotated", "vocabulary", "found", "measured", "figure"),
    [
        (["person", "person", "dog"], ["man", "woman", "dog"], [1, 2, 3], ["dog", "person"], 1.0),
        (["person", "person", "dog"], ["man", "woman", "dog"], [1, 3, 2], ["dog", "person"], 0.2525),
        (["person", "surfboard"], ["man", "dog"], [1, 2], ["person"], 1.0),  # a dog can be no surfboard
        (["surfboard", "toaster"], ["man", "dog"], [1, 2], [], None),
        (["dog", "dog"], ["dog", "puppy", "man"], [1, 2], ["dog"], 1.0),
        ([], ["dog"], [1], [], None),
    ],
)
def test_detection_is_measured_in_the_annotations_words(annotated, vocabulary, found, measured, figure):
    truths = [truth(*annotated)]
    names, means = annotated_categories(truths, vocabulary)
    assert names == measured and len(means) == len(vocabulary)
    if figure is not None:
        assert detection_map(truths, renamed([graph(*found)], means), names)[0] == pytest.approx(figure, abs=1e-3)


def test_each_category_of_the_annotators_is_itself_alone():
    vocabulary = ["dog", "puppy", "man"]
    names, means = annotated_categories([truth("dog", "dog")], vocabulary, annotators=True)
    assert names == vocabulary and means.tolist() == [1, 2, 3]


def test_a_sentence_says_what_is_missing_and_what_a_figure_is_of():
    def notes(truths, vocabulary, relations=0):
        names, means = annotated_categories(truths, vocabulary)
        return detection_notes(truths, relations, dict(zip(vocabulary, means.tolist(), strict=True)), names)

    assert notes([], ["dog"]) == notes([truth()], ["dog"]) == ["nothing is measured: no box is annotated"]
    assert notes([truth("dog")], ["dog"], relations=1) == []
    assert notes([truth("dog")], ["dog"]) == ["no SGDet recall: no relation is annotated"]
    related = truth("dog", "dog", relations=((0, "bites", 1),))
    assert notes([related], ["dog"]) == ["no SGDet recall: none of the 1 annotated relations is in the vocabulary"]
    assert notes([truth("person", "toaster")], ["man", "dog"], 1) == [
        "mAP50 is over 1 of 2 annotated categories; nothing in the vocabulary means toaster",
        "mAP50 counts man as person",
    ]
    assert notes([truth("toaster")], ["dog"], 1) == [
        "no mAP50: no category of the vocabulary means an annotated one (toaster)"
    ]


def test_a_sentence_says_which_entities_there_are_none_of():
    every = dict.fromkeys(("all", "ambiguous", "unseen"), 0.5)
    mentioned = truth("dog", mentions=(Mention(0, (0, 3), (0,), None),))
    assert grounding_notes([mentioned], every) == []
    for missing, given, word in (
        (("all", "ambiguous", "unseen"), truth("dog"), "no grounding accuracy"),
        (("ambiguous",), truth("dog"), "do not say which object"),
        (("ambiguous",), mentioned, "has a rival"),
        (("unseen",), mentioned, "no unseen entities"),
    ):
        (note,) = grounding_notes([given], every | dict.fromkeys(missing))
        assert word in note


def test_the_table_has_no_row_and_no_column_of_nothing(capsys):
    none = {
        "grounding": dict.fromkeys(("all", "ambiguous", "unseen")),
        "sgdet": dict.fromkeys(("R@20", "R@50", "R@100")),
        "mAP50": None,
    }

    def shown(methods, chance, notes=()):
        metrics = {"methods": methods, "chance": dict.fromkeys(none["grounding"]) | chance, "notes": notes}
        running._show_metrics(metrics)
        return capsys.readouterr().out

    assert shown({"two-teachers": none}, {}, ["nothing is measured"]) == "note nothing is measured\n"
    one = none | {"mAP50": 0.25}
    text = shown({"two-teachers": one, "mil": none}, {})
    assert (
        "25.0" in text
        and "two-teachers" in text
        and not any(w in text for w in ("mil", "chance", "SGDet", "grounding"))
    )
    text = shown({"two-teachers": none | {"grounding": none["grounding"] | {"all": 0.5}}, "mil": one}, {"all": 0.1})
    assert (
        all(word in text for word in ("two-teachers", "mil", "chance", "50.0", "25.0", "10.0")) and "unseen" not in text
    )
