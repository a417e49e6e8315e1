"""The whole evaluation: the golden figures, the tasks, one mapping an image, and the bootstrap against a plain loop."""

import json
import pathlib

import numpy as np
import pytest

from groundgraph.evaluation.bootstrap import draw_weights
from groundgraph.evaluation.evaluate import METRICS, evaluate

GOLDEN = pathlib.Path(__file__).parents[2].parent / "shared" / "golden" / "evaluation"
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="../shared/golden is not here")
BOXES = [[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]]


def scene(*rels, boxes=BOXES, labels=(1, 2, 3)):
    return {"boxes": boxes, "labels": list(labels), "rels": list(rels)}


def found(pairs, rel_scores, boxes=BOXES, labels=(1, 2, 3), scores=(0.9, 0.8, 0.7)):
    return {"boxes": boxes, "labels": list(labels), "scores": list(scores), "pairs": pairs, "rel_scores": rel_scores}


@needs_golden
@pytest.mark.parametrize("task", ["sgdet", "predcls"])
@pytest.mark.parametrize("convention", ["default", "sgb"])
def test_golden_figures_to_the_last_digit(task, convention):
    # Every image of these sets has a pair, so both conventions give the same.
    with np.load(GOLDEN / f"{task}.npz") as arrays:
        figures = evaluate(arrays, task=task, convention=convention)
    golden = json.loads((GOLDEN / f"{task}.json").read_text())
    assert golden.keys() <= figures.keys()
    for name in golden.keys() - {"seconds"}:
        assert figures[name] == golden[name], name
    assert json.loads(json.dumps(figures)) == figures


@needs_golden
def test_one_mapping_an_image_gives_the_golden_figures_too():
    with np.load(GOLDEN / "sgdet.npz") as z:
        arrays = dict(z)

    def cut(name, offsets):
        return np.split(arrays[name], arrays[offsets][1:-1])

    names = {"boxes": "box", "labels": "box", "scores": "box", "pairs": "pair", "rel_scores": "pair"}
    columns = {n: cut(f"pred_{n}", f"pred_{o}_offsets") for n, o in names.items()}
    predictions = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    columns = {
        n: cut(f"gt_{n}", f"gt_{o}_offsets") for n, o in {"boxes": "box", "labels": "box", "rels": "rel"}.items()
    }
    truth = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    figures = evaluate(predictions, truth, convention="sgb", zeroshot=arrays["zeroshot"])
    golden = json.loads((GOLDEN / "sgdet.json").read_text())
    assert all(figures[name] == golden[name] for name in METRICS)


def test_an_image_without_a_pair_in_both_conventions():
    truth = [scene([0, 1, 1])] * 2 + [scene()]
    predictions = [found([[0, 1]], [[0, 1, 0]]), found([], []), found([], [])]
    default, sgb = (evaluate(predictions, truth, convention=c) for c in ("default", "sgb"))
    assert (default["R"]["20"], sgb["R"]["20"]) == (0.5, 1)
    assert (default["mR"]["20"], sgb["mR"]["20"]) == (0.25, 0.5)
    assert (default["images"], default["images_with_relations"], default["images_without_pairs"]) == (3, 2, 1)
    assert (default["mode"], default["convention"], sgb["convention"]) == ("sgdet", "default", "sgb")
    assert default["zR"] == {"20": None, "50": None, "100": None}
    assert default["mAP50"] == sgb["mAP50"] == 1


def test_predcls_takes_boxes_labels_and_scores_from_the_truth():
    # As SGDet, labels are wrong and the object scores put (2, 1) first; as PredCls only predicate scores rank.
    truth = [scene([0, 1, 1])]
    predictions = [found([[2, 1], [0, 1]], [[0, 0.4, 0.1], [0, 0.5, 0.1]], labels=(2, 2, 3), scores=(0.1, 0.8, 0.9))]
    assert evaluate(predictions, truth, ks=[2])["R"] == {"2": 0}
    figures = evaluate(predictions, truth, task="predcls", ks=[1, 2])
    assert figures["R"] == {"1": 0, "2": 1}  # R keeps the pairs' own order
    assert figures["ngR"] == {"1": 1, "2": 1}
    assert figures["mAP50"] == pytest.approx(1)


def test_sgcls_keeps_predicted_labels_and_matches_by_overlap():
    truth = [scene([0, 1, 1])]
    assert evaluate([found([[0, 1]], [[0, 1, 0]])], truth, task="sgcls")["R"]["20"] == 1
    assert evaluate([found([[0, 1]], [[0, 1, 0]], labels=(3, 2, 3))], truth, task="sgcls")["R"]["20"] == 0
    # Boxes 0 and 2 are nearly one: the published evaluator does not ask which of them was meant.
    close = [BOXES[0], BOXES[1], [0, 0, 9, 10]]
    twin = found([[2, 1]], [[0, 1, 0]], boxes=close, labels=(3, 2, 1))
    assert evaluate([twin], [scene([0, 1, 1], boxes=close)], task="sgcls")["R"]["20"] == 1


@pytest.mark.parametrize("task", ["predcls", "sgcls"])
def test_given_boxes_must_be_the_truth_s(task):
    truth = [scene([0, 1, 1]), scene([0, 1, 1])]
    rounded = np.array(BOXES) + 0.4
    fine = found([[0, 1]], [[0, 1, 0]], boxes=rounded)
    assert evaluate([fine, fine], truth, task=task)["R"]["20"] == 1
    moved = found([[0, 1]], [[0, 1, 0]], boxes=[BOXES[0], [23, 0, 29, 9], BOXES[2]])
    with pytest.raises(ValueError, match=r"1 of 2 images do not: in image 1 .* 3.0 pixels .* task sgdet"):
        evaluate([fine, moved], truth, task=task)
    fewer = found([[0, 1]], [[0, 1, 0]], boxes=BOXES[:2], labels=(1, 2), scores=(1, 1))
    with pytest.raises(ValueError, match="1 of 2 images do not: image 0 has 2 predicted boxes but 3 true ones"):
        evaluate([fewer, fine], truth, task=task)
    assert evaluate([fewer, moved], truth, task="sgdet")["R"]["20"] == 1


def test_phrase_detection():
    swapped = found([[0, 1]], [[0, 1, 0]], boxes=[BOXES[1], BOXES[0], BOXES[2]])
    assert evaluate([swapped], [scene([0, 1, 1])])["R"]["20"] == 0
    assert evaluate([swapped], [scene([0, 1, 1])], task="phrdet")["R"]["20"] == 1


def test_per_predicate_table_by_hand():
    # Predicate 1: image 0 finds one of its two, image 1 one of one. Predicate 2: never found with one predicate a pair.
    truth = [scene([0, 1, 1], [2, 1, 1], [0, 1, 2]), scene([0, 1, 1])]
    figures = evaluate([found([[0, 1]], [[0, 0.6, 0.4, 0]])] * 2, truth, ks=[20], predicates=["on", "near", "has"])
    assert figures["predicates"] == {
        "on": {"images": 2, "relations": 3, "R": {"20": 0.75}, "ngR": {"20": 0.75}},
        "near": {"images": 1, "relations": 1, "R": {"20": 0}, "ngR": {"20": 1}},
    }
    assert figures["mR"]["20"] == pytest.approx(0.75 / 3) and figures["ngmR"]["20"] == pytest.approx(1.75 / 3)
    left_out = evaluate([found([], [])] * 2, truth, ks=[20], convention="sgb")
    assert left_out["predicates"]["2"]["R"] == {"20": None}


def random_set(rng, images=12):
    truth, predictions = [], []
    for i in range(images):
        n, pairs = 5, 0 if i == 3 else int(rng.integers(3, 12))
        corner = rng.integers(0, 60, (n, 2))
        boxes, labels = np.concatenate([corner, corner + 30], 1), rng.integers(1, 4, n)
        rels = [] if i == 5 else np.column_stack([rng.integers(0, n, (6, 2)), rng.integers(1, 5, 6)])
        truth.append({"boxes": boxes, "labels": labels, "rels": rels})
        predictions.append(
            {
                "boxes": boxes + rng.integers(-6, 7, (n, 4)),
                "labels": labels,
                "scores": rng.random(n),
                "pairs": rng.integers(0, n, (pairs, 2)),
                "rel_scores": rng.random((pairs, 6)),
            }
        )
    return predictions, truth


@pytest.mark.parametrize("convention", ["default", "sgb"])
def test_bootstrap_equals_evaluating_every_sample(convention):
    predictions, truth = random_set(np.random.default_rng(0))
    unseen, draws, ks = np.array([[1, 1, 1], [1, 2, 3], [2, 3, 2], [3, 3, 1], [2, 1, 4]]), 40, (2, 10)
    options = {"convention": convention, "zeroshot": unseen, "ks": ks, "predicates": 5}
    figures = evaluate(predictions, truth, bootstrap=draws, seed=7, **options)
    (weights,) = draw_weights(len(truth), draws, seed=7)
    assert weights.shape == (draws, len(truth)) and (weights.sum(1) == len(truth)).all()
    samples = []
    for row in weights:
        chosen = np.repeat(np.arange(len(truth)), row)
        samples.append(evaluate([predictions[i] for i in chosen], [truth[i] for i in chosen], **options))
    for name in METRICS:
        for k in map(str, ks):
            wanted = np.percentile([s[name][k] for s in samples], (2.5, 97.5))
            np.testing.assert_allclose(figures["intervals"][name][k], wanted, atol=1e-12)
            assert figures["intervals"][name][k][0] <= figures["intervals"][name][k][1]
    assert 0 < figures["R"]["10"] < 1 and figures["intervals"]["R"]["10"][0] < figures["R"]["10"]
    assert "intervals" not in evaluate(predictions, truth)


def test_weights_are_multinomial_and_come_in_parts(monkeypatch):
    monkeypatch.setattr("groundgraph.evaluation.bootstrap._CELLS", 40)
    parts = list(draw_weights(8, 2000, seed=1))
    assert [len(p) for p in parts] == [5] * 400
    weights = np.concatenate(parts)
    assert (weights.sum(1) == 8).all()
    # A multinomial count has mean 1 and variance 1 - 1/8 here.
    assert weights.mean() == 1 and weights.var(0) == pytest.approx(7 / 8, abs=0.1)


def test_bad_choices_are_named():
    sides = [found([[0, 1]], [[0, 1, 0]])], [scene([0, 1, 1])]
    with pytest.raises(ValueError, match='unknown task "predict": use predcls'):
        evaluate(*sides, task="predict")
    with pytest.raises(ValueError, match='unknown convention "other": use default, sgb, vrd'):
        evaluate(*sides, convention="other")
    with pytest.raises(ValueError, match="K counts from 1"):
        evaluate(*sides, ks=())
    with pytest.raises(ValueError, match="flat mapping that holds it"):
        evaluate(sides[0])
    with pytest.raises(ValueError, match='has no "gt_boxes"'):
        evaluate({f"pred_{k}": v for k, v in sides[0][0].items()})
    with pytest.raises(ValueError, match="1 images have ground truth but 2"):
        evaluate(sides[0] * 2, sides[1], task="predcls")
