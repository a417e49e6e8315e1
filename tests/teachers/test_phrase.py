"""The third teacher: prompts, targets by hand, and tiny detectors that read phrases."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from groundgraph.data.types import Entity, ParsedCaption, Regions, Triplet
from groundgraph.language.lemmas import past_participle
from groundgraph.teachers.phrase import (
    PhraseTeacher,
    Prompt,
    interaction_prompts,
    nearby_targets,
    nearness,
    prompt_targets,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "vision"))

from tiny_open_vocabulary import KINDS, save_open_vocabulary


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return save_open_vocabulary(tmp_path_factory.mktemp(request.param), request.param)


def caption(names, *triplets):
    entities = tuple(Entity(name, name, name, (0, 0), (0, 0)) for name in names)
    return ParsedCaption(" ".join(names), entities, tuple(Triplet(*triplet) for triplet in triplets))


def regions(boxes, scores):
    boxes, scores = np.array(boxes, np.float32), np.array(scores, np.float32)
    return Regions(boxes, np.zeros(len(boxes), np.int64), scores, np.zeros((len(boxes), 2), np.float32), (48, 32))


@pytest.mark.parametrize(
    ("verb", "participle"),
    [("ride", "ridden"), ("hold", "held"), ("eat", "eaten"), ("wear", "worn"), ("push", "pushed"), ("chase", "chased"),
     ("carry", "carried"), ("play", "played"), ("pat", "patted"), ("fly", "flown")],
)  # fmt: skip
def test_past_participles(verb, participle):
    assert past_participle(verb) == participle


@pytest.mark.parametrize(
    ("predicate", "active", "passive"),
    [
        ("ride", "man riding horse", "horse ridden by man"),
        ("sit on", "man sitting on horse", "horse that man is sitting on"),
        ("on", "man on horse", "horse that man is on"),
        ("next to", "man next to horse", "horse that man is next to"),
        ("have", "man having horse", "horse of man"),
    ],
)
def test_a_triplet_is_asked_for_both_ways(predicate, active, passive):
    prompts = interaction_prompts(caption(["tree", "horse", "man"], (2, predicate, 1)))
    assert prompts == [Prompt(2, 1, active, "man"), Prompt(1, 2, passive, "horse")]
    assert interaction_prompts(caption(["tree"])) == []


def test_targets_by_hand():
    prompts = [Prompt(0, 1, "", ""), Prompt(1, 0, "", ""), Prompt(0, 2, "", "")]
    scores = np.array([[0.6, 0.2, 0.0], [0.0, 0.0, 0.0], [0.0, 0.3, 0.3]])
    # Entity 0: the mean of .75 .25 0 and 0 .5 .5; entity 1: nothing was found; entity 2: nothing was asked.
    assert prompt_targets(prompts, scores, 3) == pytest.approx(np.array([[0.375, 0.375, 0.25], [0] * 3, [0] * 3]))


def test_nearness_by_hand():
    near = nearness(np.array([[0, 0, 2, 2], [2, 0, 4, 2], [0, 0, 4, 4]], np.float32))
    # Side by side they fill the box around both; 4 and 16 with 4 in common fill 16.
    assert near == pytest.approx(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    apart = nearness(np.array([[0, 0, 1, 1], [3, 0, 4, 1]], np.float32))
    assert apart[0, 1] == pytest.approx(2 / 4)


def test_what_a_detector_of_categories_says_of_a_phrase():
    # Two men of scores .8 and .4, a horse of .5 beside the second: the boxes are 1 wide, at 0, 3 and 4.
    own = regions([[0, 0, 1, 1], [3, 0, 4, 1], [4, 0, 5, 1]], [0.8, 0.4, 0.5])
    match = np.array([[True, True, False], [False, False, True], [False, False, False]])
    text = caption(["man", "horse", "kite"], (0, "ride", 1))
    # Man 1: .8 x .5 x 2/5 = .16; man 2: .4 x .5 x 1 = .2. The horse: its only region. The kite: no triplet.
    target = nearby_targets([text], match, own)
    assert target == pytest.approx(np.array([[0.16 / 0.36, 0.2 / 0.36, 0], [0, 0, 1], [0, 0, 0]]))
    # Nobody found the kite that he flies: his own scores alone. It is matched by nothing, so nothing is said of it.
    target = nearby_targets([caption(["man", "horse", "kite"], (0, "fly", 2))], match, own)
    assert target == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 0, 0], [0, 0, 0]]))
    # Rows of a second caption follow those of the first.
    both = nearby_targets([caption(["kite"]), text], np.concatenate([match[2:], match]), own)
    assert both[0].sum() == 0 and both[1:] == pytest.approx(nearby_targets([text], match, own))
    assert nearby_targets([text], np.zeros((3, 0), bool), regions(np.zeros((0, 4)), [])).shape == (3, 0)
    assert nearby_targets([], np.zeros((0, 3), bool), own).shape == (0, 3)


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8))


def test_a_detector_that_reads_phrases_is_asked_both_ways(folder):
    path, kind = folder
    teacher = PhraseTeacher(str(path), "cpu")
    teacher.detector.label_threshold = 0.0
    text = caption(["cat", "dog", "tree"], (0, "control", 1))
    asked = [(prompt.text, prompt.name) for prompt in interaction_prompts(text)]
    assert asked == [("cat controlling dog", "cat"), ("dog controlled by cat", "dog")]
    ((boxes, scores),) = teacher.detector.phrase_boxes([picture()], [asked])
    assert scores.shape == (2, len(boxes)) and (scores > 0).any(1).all() and (boxes[:, 2:] <= [48, 32]).all()
    if kind == "grounding-dino":  # each score is of the noun that the phrase begins with, in the one text of both
        sentence = "cat controlling dog. dog controlled by cat."
        inputs = teacher.detector.processor(images=[picture()], text=[sentence], return_tensors="pt")
        with torch.inference_mode():
            logits = teacher.detector.model(**inputs).logits[0].sigmoid()
        ids = inputs["input_ids"][0].tolist()
        assert scores == pytest.approx(logits[:, [1, ids.index(4) + 1]].T.numpy(), abs=1e-4)
    # The surest box of the cat is a region: it is one of those that the cat's row is on.
    wide = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    best = boxes[(scores * wide).argmax(1)]
    own = regions([*best, [0, 0, 1, 1]], [0.5, 0.5, 0.5])
    (targets,) = teacher.targets([picture()], [own], [[text, caption(["dog"])]])
    assert targets[0].sum(1) == pytest.approx([1, 1, 0]) and targets[1].shape == (1, 3) and not targets[1].any()
    assert targets[0][0, 0] > 0 and targets[0][1, 1] > 0 and targets[0][0, 2] == 0
    assert teacher.targets([picture()], [own], [[]]) == [[]]
    teacher.detector.label_threshold = 1.1  # nothing is sure enough
    (silent,) = teacher.targets([picture()], [own], [[text]])
    assert not silent[0].any()


def test_many_phrases_go_through_in_passes(folder, monkeypatch):
    monkeypatch.setattr("groundgraph.vision.open_vocabulary_detector.OWL_NAMES", 2)
    teacher = PhraseTeacher(str(folder[0]), "cpu")
    teacher.detector.label_threshold = 0.0
    phrases = [("cat hat dog", "cat"), ("dog remote cat", "dog"), ("tree control dog", "tree")]
    together = teacher.detector.phrase_boxes([picture(), picture()], [phrases, phrases[:1]])
    boxes, scores = together[0]
    (alone,) = teacher.detector.phrase_boxes([picture()], [phrases[2:]])
    assert scores.shape == (3, len(boxes)) and len(together[1][1]) == 1
    queries = len(alone[0])
    assert scores[2, -queries:] == pytest.approx(alone[1][0], abs=1e-4) and not scores[2, :-queries].any()
    assert boxes[-queries:] == pytest.approx(alone[0], abs=0.05)
