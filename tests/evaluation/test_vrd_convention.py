"""VRD's convention by hand, against a loop that does what its published evaluator does, and from the .mat files."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.errors import InputError
from groundgraph.evaluation.evaluate import evaluate
from groundgraph.evaluation.files import evaluate_files
from groundgraph.formats.vrd_mat import read_vrd_mat

CATEGORIES, PREDICATES = ("man", "horse"), ("on", "near")


def graph(boxes, labels, triplets):
    """A graph of (subject, predicate, object, score), each pair with its predicates, in the order given."""
    pairs = list(dict.fromkeys((s, o) for s, _, o, _ in triplets))
    table = np.full((len(pairs), 3), -np.inf, np.float32)
    table[:, 0] = 0
    for s, p, o, score in triplets:
        table[pairs.index((s, o)), p] = score
    scores = np.ones(len(labels), np.float32)
    return Graph(np.array(boxes, np.float32), np.array(labels), scores, np.array(pairs).reshape(-1, 2), table)


def measured(truths, graphs, task="sgdet", **options):
    truth = truth_arrays(truths, CATEGORIES, PREDICATES)
    return evaluate(prediction_arrays(graphs), truth, task=task, convention="vrd", detection=False, **options)


MAN, HORSE, FAR = [0, 0, 99, 99], [0, 50, 99, 149], [200, 200, 299, 299]


def test_recall_is_pooled_over_all_relations_not_averaged_over_images():
    truths = [
        GroundTruth(
            np.array([MAN, HORSE, FAR]), ("man", "horse", "man"), ((0, "on", 1), (2, "near", 1), (0, "near", 2))
        ),
        GroundTruth(np.array([MAN, HORSE]), ("man", "horse"), ((0, "on", 1),)),
    ]
    found = graph([MAN, HORSE], [1, 2], [(0, 1, 1, 0.9)])
    results = measured(truths, [found, found])
    assert results["R"]["50"] == pytest.approx(2 / 4)  # the mean over images would be (1/3 + 1) / 2
    assert results["mR"]["50"] == pytest.approx((2 / 2 + 0 / 2) / 2)
    empty = graph(np.zeros((0, 4)), [], [])
    assert measured(truths, [found, empty])["R"]["50"] == pytest.approx(1 / 4)


def test_a_prediction_matches_one_relation_and_takes_the_one_it_overlaps_most():
    # Two riders on nearly one place: each prediction overlaps both by more than half.
    second = [0, 0, 99, 109]
    truth = GroundTruth(np.array([MAN, second, HORSE]), ("man", "man", "horse"), ((0, "on", 2), (1, "on", 2)))
    one = graph([second, HORSE], [1, 2], [(0, 1, 1, 0.9)])
    assert measured([truth], [one])["R"]["50"] == 0.5  # by the other conventions it matches both
    # The better one takes the second (IoU 1 against 100/110), the worse one what is left.
    both = graph([second, [0, 0, 99, 105], HORSE], [1, 1, 2], [(0, 1, 2, 0.9), (1, 1, 2, 0.8)])
    assert measured([truth], [both], ks=(1, 2))["R"] == {"1": 0.5, "2": 1.0}
    # Listed twice is to be predicted twice.
    twice = GroundTruth(np.array([MAN, HORSE]), ("man", "horse"), ((0, "on", 1), (0, "on", 1)))
    assert measured([twice], [graph([MAN, HORSE], [1, 2], [(0, 1, 1, 0.9)])])["R"]["50"] == 0.5


def test_sides_are_inclusive_pixels_and_half_is_enough():
    # [0, 9] holds 10 pixels, [5, 19] fifteen, 5 of them shared: 5 / 20; [0, 19] against [0, 9]: 10 / 20.
    truth = GroundTruth(np.array([[0, 0, 9, 0], HORSE]), ("man", "horse"), ((0, "on", 1),))
    for box, right in (([0, 0, 19, 0], 1.0), ([0, 0, 20, 0], 0.0)):
        assert measured([truth], [graph([box, HORSE], [1, 2], [(0, 1, 1, 1.0)])])["R"]["50"] == right


def test_a_phrase_is_one_box_around_both():
    truth = GroundTruth(np.array([MAN, HORSE]), ("man", "horse"), ((0, "on", 1),))
    shifted = graph([[0, 0, 40, 99], [10, 60, 99, 149]], [1, 2], [(0, 1, 1, 0.9)])  # the man's box is wrong alone
    assert measured([truth], [shifted])["R"]["50"] == 0 and measured([truth], [shifted], "phrdet")["R"]["50"] == 1


def test_one_predicate_a_pair_or_all():
    truth = GroundTruth(np.array([MAN, HORSE]), ("man", "horse"), ((0, "on", 1), (0, "near", 1)))
    found = graph([MAN, HORSE], [1, 2], [(0, 1, 1, 0.4), (0, 2, 1, 0.6)])
    results = measured([truth], [found], ks=(1, 2), zeroshot=np.array([[1, 2, 2]]))
    assert results["R"] == {"1": 0.5, "2": 0.5} and results["ngR"] == {"1": 0.5, "2": 1.0}
    assert results["zR"] == {"1": 1.0, "2": 1.0} and results["unseen_relations"] == 1  # man near horse


def test_predicate_detection_is_given_the_annotated_pairs():
    boxes = np.array([MAN, HORSE, FAR])
    truth = GroundTruth(boxes, ("man", "horse", "man"), ((0, "on", 1), (0, "near", 1), (0, "on", 1)))
    rows = [(2, 1, 1, 0.9), (0, 1, 1, 0.5), (0, 2, 1, 0.4), (1, 2, 2, 0.3)]
    found = graph(boxes, [1, 2, 1], rows)
    # Of three true relations of one pair each has a prediction of its own, all of them "on".
    assert measured([truth], [found], "predcls", ks=(1, 2, 3))["R"] == {"1": 1 / 3, "2": 2 / 3, "3": 2 / 3}
    assert measured([truth], [found], "sgdet", ks=(1, 2))["R"] == {"1": 0, "2": 1 / 3}  # of all pairs


def test_intervals_are_of_the_pooled_recall():
    truth = GroundTruth(np.array([MAN, HORSE]), ("man", "horse"), ((0, "on", 1),))
    found = graph([MAN, HORSE], [1, 2], [(0, 1, 1, 0.9)])
    results = measured([truth] * 4, [found] * 4, bootstrap=20)
    assert results["intervals"]["R"]["50"] == [1.0, 1.0]


def slow_recall(truths, predictions, k):
    """The description of the published evaluator, one image, prediction and relation after the other."""
    hits = total = 0
    for truth, found in zip(truths, predictions, strict=True):
        free = list(range(len(truth)))
        total += len(truth)
        for labels, subject, object_ in [row[1:] for row in sorted(found, key=lambda row: -row[0])][:k]:
            best, chosen = 0.0, None
            for t in free:
                if truth[t][0] == labels:
                    overlap = min(iou(subject, truth[t][1]), iou(object_, truth[t][2]))
                    if overlap >= 0.5 and overlap > best:
                        best, chosen = overlap, t
            if chosen is not None:
                free.remove(chosen)
                hits += 1
    return hits / total


def iou(a, b):
    sides = [max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1)]
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    shared = sides[0] * sides[1]
    return shared / (sum(areas) - shared)


def random_boxes(rng, count):
    low = rng.integers(0, 12, (count, 2))
    return np.concatenate([low, low + rng.integers(8, 20, (count, 2))], 1).astype(float)


def write_mat(path, rows, names):
    """Rows an image, [(score, labels, subject, object)], as the authors' files have them."""
    parts = [[r[1] for r in image] for image in rows], [[r[2] for r in image] for image in rows]
    columns = [*parts, [[r[3] for r in image] for image in rows], [[[r[0]] for r in image] for image in rows]]
    cells = {}
    for name, column in zip(names, columns, strict=False):
        cells[name] = np.empty((1, len(rows)), object)
        for i, values in enumerate(column):
            cells[name][0, i] = np.array(values, float) if values else np.zeros((0, 0))
    savemat(path, cells)


OURS = ("rlp_labels_ours", "sub_bboxes_ours", "obj_bboxes_ours", "rlp_confs_ours")
THEIRS = ("gt_tuple_label", "gt_sub_bboxes", "gt_obj_bboxes")


@pytest.mark.parametrize("seed", range(3))
def test_the_authors_files_measure_as_a_loop_over_them_does(tmp_path, seed):
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for image in range(8):
        count = 0 if image == 3 else int(rng.integers(1, 9))
        subjects, objects = random_boxes(rng, count), random_boxes(rng, count)
        rows = [
            ((1, int(rng.integers(1, 3)), 2), s.tolist(), o.tolist()) for s, o in zip(subjects, objects, strict=True)
        ]
        rows += rows[:1]  # annotated twice
        truths.append(rows)
        near = [rows[int(rng.integers(len(rows)))] for _ in range(30)] if rows else []
        found.append(
            [
                (
                    float(rng.random()),
                    labels,
                    (np.array(s) + rng.integers(-2, 3, 4)).tolist(),
                    (np.array(o) + 1).tolist(),
                )
                for labels, s, o in near
            ]
        )
    write_mat(tmp_path / "ours.mat", found, OURS)
    write_mat(tmp_path / "gt.mat", [[(0.0, *row) for row in rows] for rows in truths], THEIRS)
    results = evaluate_files(tmp_path / "ours.mat", tmp_path / "gt.mat", convention="vrd")
    expected = {str(k): pytest.approx(slow_recall(truths, found, k)) for k in (20, 50, 100)}
    assert results["R"] == expected and results["ngR"] == expected
    assert 0 < results["R"]["20"] < 1


def test_the_authors_predictions_meet_annotations_by_the_names_in_image_path(tmp_path):
    relation = {
        "predicate": 35,
        "subject": {"category": 0, "bbox": [0, 99, 0, 99]},
        "object": {"category": 43, "bbox": [50, 149, 0, 99]},
    }
    (tmp_path / "annotations_test.json").write_text(json.dumps({"b.jpg": [relation], "a.jpg": []}))
    write_mat(tmp_path / "ours.mat", [[], [(0.9, (1, 36, 44), MAN, HORSE)]], OURS)
    names = np.empty((1, 2), object)
    names[0, :] = [np.array(["a.jpg"]), np.array(["b.jpg"])]
    savemat(tmp_path / "imagePath.mat", {"imagePath": names})
    seen = tmp_path / "annotations_train.json"
    seen.write_text(json.dumps({"c.jpg": [relation | {"predicate": 0}]}))
    options = {"convention": "vrd", "task": "predcls"}
    results = evaluate_files(tmp_path / "ours.mat", tmp_path / "annotations_test.json", zeroshot=seen, **options)
    assert results["R"]["50"] == results["zR"]["50"] == 1 and results["unseen_relations"] == 1
    seen.write_text(json.dumps({"c.jpg": [relation]}))
    results = evaluate_files(tmp_path / "ours.mat", tmp_path / "annotations_test.json", zeroshot=seen, **options)
    assert results["unseen_relations"] == 0


def test_other_mat_files_are_errors_that_say_what_is_wrong(tmp_path):
    path = tmp_path / "x.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"x\.mat: "):
        read_vrd_mat(path, "truth")
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(InputError, match="holds no rlp_labels_ours"):
        read_vrd_mat(path, "predictions")
    write_mat(path, [[(0.5, (1, 71, 2), MAN, HORSE)]], OURS)
    with pytest.raises(InputError, match=r"a label of image 1 is not in 1\.\.100, 1\.\.70"):
        read_vrd_mat(path, "predictions")
    write_mat(path, [[(0.5, (1, 7, 2), MAN, HORSE)]], ("rlp_labels_ours", "sub_bboxes_ours"))
    with pytest.raises(InputError, match="holds no obj_bboxes_ours, rlp_confs_ours"):
        read_vrd_mat(path, "predictions")
    savemat(path, dict.fromkeys(OURS, np.zeros((2, 3))))
    with pytest.raises(InputError, match="not cell arrays"):
        read_vrd_mat(path, "predictions")
