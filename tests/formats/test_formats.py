"""Readers: each format gives the figures of the same graphs given as arrays; what is broken or harmful is refused."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.records import example_record, write_lines
from groundgraph.data.store import write_ragged
from groundgraph.data.types import Example, GroundTruth
from groundgraph.evaluation.evaluate import METRICS, evaluate
from groundgraph.evaluation.files import evaluate_files
from groundgraph.formats import read_sides
from groundgraph.formats.zeroshot import read_zeroshot

CATEGORIES, PREDICATES = ("man", "horse", "hat"), ("riding", "wearing", "near")
BOXES = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], np.float32)
TRUE = [
    {"boxes": BOXES, "labels": [1, 2, 3], "rels": [[0, 1, 1], [0, 2, 2], [0, 2, 2]]},
    {"boxes": BOXES[:2], "labels": [2, 2], "rels": [[1, 0, 3]]},
    {"boxes": BOXES, "labels": [1, 2, 3], "rels": [[0, 2, 3], [0, 1, 1]]},
]
FOUND = [
    {
        "boxes": BOXES + 1,
        "labels": [1, 2, 3],
        "scores": [0.9, 0.8, 0.5],
        "pairs": [[0, 2], [0, 1]],
        "rel_scores": [[0.1, 0.2, 0.3, 0.4], [0.1, 0.8, 0.05, 0.05]],
    },
    {"boxes": BOXES[:2], "labels": [2, 2], "scores": [0.7, 0.6], "pairs": [[1, 0]], "rel_scores": [[0, 0.5, 0.1, 0.4]]},
    {"boxes": BOXES[:0], "labels": [], "scores": [], "pairs": [], "rel_scores": []},
]
KS = ("20", "50", "100")


def same(left, right, names=(*METRICS, "mAP50")):
    for name in names:
        assert left[name] == right[name], name


def flat():
    """The graphs in the golden layout."""
    arrays = {}
    for prefix, side, groups in (
        ("gt", TRUE, {"box": ("boxes", "labels"), "rel": ("rels",)}),
        ("pred", FOUND, {"box": ("boxes", "labels", "scores"), "pair": ("pairs", "rel_scores")}),
    ):
        for group, names in groups.items():
            for name in names:
                arrays[f"{prefix}_{name}"] = np.concatenate([np.asarray(x[name]) for x in side if len(x[name])])
            arrays[f"{prefix}_{group}_offsets"] = np.cumsum([0, *(len(x[names[0]]) for x in side)])
    return arrays | {"zeroshot": np.array([[1, 3, 3]])}


# npz


def test_npz_of_both_sides_or_of_one_each(tmp_path):
    arrays = flat()
    np.savez(tmp_path / "both.npz", **arrays)
    figures = evaluate_files(tmp_path / "both.npz")
    same(figures, evaluate(FOUND, TRUE, zeroshot=arrays["zeroshot"]))
    np.savez(tmp_path / "found.npz", **{k: v for k, v in arrays.items() if k.startswith("pred_")})
    np.savez_compressed(tmp_path / "true.npz", **{k: v for k, v in arrays.items() if not k.startswith("pred_")})
    same(evaluate_files(tmp_path / "found.npz", tmp_path / "true.npz"), figures)
    with pytest.raises(ValueError, match=r"found.npz: holds no ground truth; give its file"):
        read_sides(tmp_path / "found.npz")
    with pytest.raises(ValueError, match=r"true.npz: holds no predictions"):
        read_sides(tmp_path / "true.npz")


def test_broken_npz_files_are_named(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, pred_boxes=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match=r"x.npz: damaged, or not an npz file .*holds pickled objects"):
        read_sides(path)
    np.savez(path, **flat())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"x.npz: damaged, or not an npz file"):
        read_sides(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"x.npz: has neither pred_"):
        read_sides(path)
    np.savez(path, **{k: v for k, v in flat().items() if k != "pred_labels"})
    with pytest.raises(ValueError, match=r'x.npz: has no "pred_labels"'):
        read_sides(path)
    with pytest.raises(ValueError, match=r"nowhere.npz: no such file"):
        read_sides(tmp_path / "nowhere.npz")


# A run's files


def examples(folder, names=("a", "b", "c")):
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    truths = [
        GroundTruth(
            np.asarray(t["boxes"]),
            tuple(CATEGORIES[k - 1] for k in t["labels"]),
            tuple((s, PREDICATES[p - 1], o) for s, o, p in t["rels"]),
        )
        for t in TRUE
    ]
    records = [
        example_record(Example(n, f"/photos/{n}.png", truth=t), folder) for n, t in zip(names, truths, strict=True)
    ]
    write_lines(folder / "examples" / "test.jsonl", records)
    return folder / "examples" / "test.jsonl"


def run_graphs(folder, names=("a", "b", "c"), categories=CATEGORIES, predicates=PREDICATES):
    width = {"boxes": (4, np.float32), "labels": (0, np.int64), "scores": (0, np.float32), "pairs": (2, np.int64)}
    columns = {
        n: [np.asarray(f[n], t).reshape(-1, w) if w else np.asarray(f[n], t) for f in FOUND]
        for n, (w, t) in width.items()
    }
    columns["predicate_scores"] = [np.asarray(f["rel_scores"], np.float32).reshape(-1, 4) for f in FOUND]
    write_ragged(folder / "sgg-two-teachers" / "graphs.safetensors", names, columns)
    extra = {"extra": {"categories": list(categories), "predicates": list(predicates)}}
    (folder / "sgg-two-teachers" / "config.json").write_text(json.dumps(extra))
    return folder / "sgg-two-teachers" / "graphs.safetensors"


def test_a_run_s_graphs_and_examples(tmp_path):
    graphs, truth = run_graphs(tmp_path), examples(tmp_path)
    wanted = evaluate(FOUND, TRUE)
    figures = evaluate_files(graphs)  # finds the examples beside it
    same(figures, wanted)
    assert figures["notes"] == [] and list(figures["predicates"]) == list(PREDICATES)
    same(evaluate_files(graphs, truth), wanted)
    # The truth in another order of images: they meet by name.
    lines = truth.read_text().splitlines(keepends=True)
    truth.write_text("".join(reversed(lines)))
    same(evaluate_files(graphs, truth), wanted)
    # The predictions' own names say what their numbers mean: here label 1 is a horse.
    renamed = run_graphs(tmp_path / "other", categories=("horse", "man", "hat"))
    as_numbers = [f | {"labels": np.array([0, 2, 1, 3])[np.array(f["labels"], int)]} for f in FOUND]
    same(evaluate_files(renamed, truth), evaluate(as_numbers, TRUE))


def test_a_run_s_graphs_that_are_shares_or_damaged(tmp_path, monkeypatch):
    examples(tmp_path)
    monkeypatch.setattr(f"{__name__}.FOUND", [f | {"boxes": np.asarray(f["boxes"]) / 60} for f in FOUND])
    with pytest.raises(ValueError, match=r"graphs.safetensors: boxes are all within 0..1"):
        evaluate_files(run_graphs(tmp_path))
    graphs = run_graphs(tmp_path, predicates=(*PREDICATES, "flying"))
    with pytest.raises(ValueError, match=r"graphs.safetensors, image 'a': .* do not fit .* the 4 predicates"):
        evaluate_files(graphs)
    truth = tmp_path / "examples" / "test.jsonl"
    good = json.loads(truth.read_text().splitlines()[0])
    for change in (
        {"relations": [[0, "near", 9]]},
        {"relations": [[0, "near"]]},
        {"relations": None},
        {"boxes": [[1, 2], [3]]},
        {"boxes": good["truth"]["boxes"][:1]},
    ):
        truth.write_text(json.dumps(good | {"truth": good["truth"] | change}) + "\n")
        with pytest.raises(ValueError, match=r"test.jsonl: not a run's examples"):
            evaluate_files(run_graphs(tmp_path), truth)
    truth.write_text('{"a": ' * 100_000)
    with pytest.raises(ValueError, match=r"test.jsonl, line 1"):
        evaluate_files(run_graphs(tmp_path), truth)


def test_images_that_only_one_side_has(tmp_path):
    graphs, truth = run_graphs(tmp_path, ("a", "b", "z")), examples(tmp_path)
    with pytest.raises(ValueError, match=r"examples has no file of the images in"):
        evaluate_files(graphs)
    figures = evaluate_files(graphs, truth)
    same(figures, evaluate(FOUND, TRUE))
    assert figures["images_without_pairs"] == 1 and len(figures["notes"]) == 2
    assert "1 images of" in figures["notes"][0] and "have no prediction" in figures["notes"][0]
    with pytest.raises(ValueError, match=r"no image is both in .*such as 'x'"):
        evaluate_files(run_graphs(tmp_path, ("x", "y", "z")), truth)


def test_broken_run_files_are_named(tmp_path):
    graphs, truth = run_graphs(tmp_path), examples(tmp_path)
    (tmp_path / "sgg-two-teachers" / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config.json: does not name"):
        evaluate_files(graphs)
    truth.write_text('{"id": 1}\n')
    with pytest.raises(ValueError, match=r"test.jsonl: not a run's examples"):
        evaluate_files(run_graphs(tmp_path), truth)
    write_ragged(graphs, ["a"], {"scores": [np.zeros(1)]})
    with pytest.raises(ValueError, match=r"graphs.safetensors: holds no graphs"):
        evaluate_files(graphs)
    graphs.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"graphs.safetensors: truncated"):
        evaluate_files(graphs)


# JSON. Its relations rank by their own score and are all there is, so the figures are worked out by hand.


def graph_json(scored):
    objects = [
        {"category": c, "box": b} | ({"score": s} if scored else {})
        for c, b, s in zip(CATEGORIES, BOXES.tolist(), (0.9, 0.8, 0.1), strict=True)
    ]
    relations = [(0, "wearing", 2, 0.05), (0, "riding", 1, 0.6), (0, "near", 1, 0.7), (0, "flying", 1, 0.65)]
    if not scored:
        relations = [(0, "riding", 1), (0, "near", 1), (0, "wearing", 2), (1, "near", 0)]
    keys = ("subject", "predicate", "object", "score")
    return {"objects": objects, "relations": [dict(zip(keys, r, strict=False)) for r in relations]}


def by_hand(figures):
    # Ranked .7 near, .65 flying (in no vocabulary, keeps its place), .6 riding, .05 wearing. With one predicate a
    # pair: near, wearing. Four true relations, (1, near, 0) is never found.
    assert [figures["R"][k] for k in ("1", "2", "3", "4")] == [0.25, 0.5, 0.5, 0.5]
    assert [figures["ngR"][k] for k in ("1", "2", "3", "4")] == [0.25, 0.25, 0.5, 0.75]
    assert figures["mR"]["4"] == pytest.approx((0 + 0.5 + 1) / 3)
    assert figures["mAP50"] == pytest.approx(1)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def measured(predictions, truth):
    sides = read_sides(predictions, truth)
    return evaluate(sides.predictions, sides.truth, ks=(1, 2, 3, 4), predicates=sides.vocabularies[1])


def test_graphs_as_predict_writes_them(tmp_path):
    found = write(tmp_path / "graphs.json", {"photos/a.png": graph_json(True)})
    by_hand(measured(found, write(tmp_path / "true.json", {"a.png": graph_json(False)})))
    lists = {"categories": list(CATEGORIES), "predicates": [*PREDICATES, "eating"]}
    sides = read_sides(found, write(tmp_path / "true.json", lists | {"graphs": {"a.png": graph_json(False)}}))
    assert sides.vocabularies == (CATEGORIES, (*PREDICATES, "eating"))
    figures = evaluate_files(found, tmp_path / "true.json")
    assert figures["mR"]["20"] == pytest.approx(1.5 / 4)


def test_predictions_list_the_vocabulary_where_the_truth_does_not(tmp_path):
    graph = graph_json(True)
    del graph["relations"][3]
    lists = {"categories": ["man", "horse"], "predicates": list(PREDICATES)}
    found = write(tmp_path / "found.json", lists | {"graphs": {"a.png": graph}})
    truth = write(tmp_path / "true.json", {"a.png": graph_json(False)})
    with pytest.raises(ValueError, match=r"image 'a.png': 'hat' is not among the file's \"categories\""):
        read_sides(found, truth)
    graph["relations"] = graph["relations"][1:]
    graph["objects"] = graph["objects"][:2]
    figures = evaluate_files(write(tmp_path / "found.json", lists | {"graphs": {"a.png": graph}}), truth)
    assert figures["R"]["20"] == pytest.approx(
        1 / 3
    )  # wearing a hat is outside; near is found, riding and near are not
    assert any("1 boxes" in note for note in figures["notes"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g["objects"][1].pop("score"), "found.json, image 'a.png', object 1: has no \"score\""),
        (lambda g: g["objects"][1].update(box=[1, 2, 3]), "object 1: the box"),
        (lambda g: g["relations"][0].update(object=3), "relation 0: subject and object"),
        (lambda g: g["relations"][0].pop("predicate"), 'relation 0: has no "predicate"'),
        (lambda g: g.pop("objects"), "found.json: neither"),
    ],
)
def test_broken_graph_json_is_named(tmp_path, change, message):
    graph = graph_json(True)
    change(graph)
    found = write(tmp_path / "found.json", {"a.png": graph})
    with pytest.raises(ValueError, match=message):
        read_sides(found, write(tmp_path / "true.json", {"a.png": graph_json(False)}))


def coco(scored):
    graph = graph_json(scored)
    predicates = ["riding", "wearing", "near"] + (["flying"] if scored else [])
    numbers = {name: 10 * i for i, name in enumerate(predicates)}
    annotations = [
        {"id": 100 + i, "image_id": 7, "category_id": {"man": 5, "horse": 3, "hat": 9}[o["category"]]}
        | {"bbox": [o["box"][0], o["box"][1], o["box"][2] - o["box"][0], o["box"][3] - o["box"][1]]}
        | ({"score": o["score"]} if scored else {})
        for i, o in enumerate(graph["objects"])
    ]
    relations = [
        {"image_id": 7, "subject_id": 100 + r["subject"], "object_id": 100 + r["object"]}
        | {"predicate_id": numbers[r["predicate"]]}
        | ({"score": r["score"]} if scored else {})
        for r in graph["relations"]
    ]
    return {
        "images": [{"id": 8, "file_name": "b.png"}, {"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 3, "name": "horse"}, {"id": 5, "name": "man"}, {"id": 9, "name": "hat"}],
        "predicates": [{"id": i, "name": name} for name, i in numbers.items()],
        "annotations": annotations,
        "relations": relations,
    }


def test_coco_style(tmp_path):
    found, truth = write(tmp_path / "found.json", coco(True)), write(tmp_path / "true.json", coco(False))
    by_hand(measured(found, truth))
    # By file name it meets other formats.
    by_hand(measured(write(tmp_path / "graphs.json", {"x/a.png": graph_json(True)}), truth))
    assert evaluate_files(found, truth)["images"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("relations"), "found.json: has no list `relations`"),
        (lambda c: c["annotations"][1].pop("score"), r'annotations\[1\]: has no "score"'),
        (lambda c: c["annotations"][1].update(score="high"), r"annotations\[1\]: its score 'high' is not a number"),
        (lambda c: c["annotations"][1].update(bbox=[0, 0, -1, 2]), r'annotations\[1\]: "bbox" must be'),
        (
            lambda c: c["annotations"][1].update(category_id=4),
            r"annotations\[1\]: its category_id 4 is not in the file",
        ),
        (lambda c: c["annotations"][1].update(id=100), r"annotations\[1\]: the id 100 occurs twice"),
        (lambda c: c["relations"][2].update(subject_id=9), r"relations\[2\]: its subject_id 9 is not in the file"),
        (lambda c: c["relations"][2].update(image_id=8), r"relations\[2\]: subject and object must be annotations of"),
        (lambda c: c["images"].append({"id": 7}), r"images\[2\]: the id 7 occurs twice"),
        (lambda c: c["categories"].append({"id": 1, "name": "man"}), "categories: vocabulary with double"),
        (lambda c: c["predicates"].append({"id": 0, "name": "eating"}), r"predicates\[4\]: the id 0 occurs twice"),
    ],
)
def test_broken_coco_style_is_named(tmp_path, change, message):
    content = coco(True)
    change(content)
    with pytest.raises(ValueError, match=message):
        read_sides(write(tmp_path / "found.json", content), write(tmp_path / "true.json", coco(False)))


# Scene-Graph-Benchmark


@pytest.fixture
def benchmark(monkeypatch):
    """A module that stands for the benchmark's while a file is written; it is gone when the file is read."""

    class BoxList:
        def __init__(self, boxes, size, mode="xyxy"):
            self.bbox, self.size, self.mode = torch.tensor(boxes, dtype=torch.float32), size, mode
            self.extra_fields, self.triplet_extra_fields = {}, []

    name = "maskrcnn_benchmark.structures.bounding_box"
    BoxList.__module__, BoxList.__qualname__ = name, "BoxList"

    def save(path, content, **options):
        with monkeypatch.context() as patch:
            for part in ("maskrcnn_benchmark", "maskrcnn_benchmark.structures", name):
                patch.setitem(sys.modules, part, types.ModuleType(part))
            sys.modules[name].BoxList = BoxList
            torch.save(content, path, **options)
        assert name not in sys.modules

    return types.SimpleNamespace(BoxList=BoxList, save=save)


def eval_results(box_list):
    truths, predictions = [], []
    for t, f in zip(TRUE, FOUND, strict=True):
        true = box_list(t["boxes"], (60, 40))
        true.extra_fields = {
            "labels": torch.tensor(t["labels"]),
            "attributes": torch.zeros(len(t["labels"]), 10, dtype=torch.int64),
            "relation_tuple": torch.tensor(t["rels"]),
        }
        found = box_list(f["boxes"], (60, 40))
        found.extra_fields = {
            "pred_labels": torch.tensor(f["labels"], dtype=torch.int64),
            "pred_scores": torch.tensor(f["scores"]),
            "rel_pair_idxs": torch.tensor(f["pairs"], dtype=torch.int64).reshape(-1, 2),
            "pred_rel_scores": torch.tensor(f["rel_scores"]).reshape(-1, 4),
            "pred_rel_labels": torch.ones(len(f["pairs"]), dtype=torch.int64),
        }
        truths.append(true)
        predictions.append(found)
    return {"groundtruths": truths, "predictions": predictions}


@pytest.mark.parametrize("zipped", [True, False])
def test_eval_results(tmp_path, benchmark, zipped):
    path = tmp_path / "eval_results.pytorch"
    content = eval_results(benchmark.BoxList)
    last = content["predictions"][0]
    last.bbox[:, 2:] += 1 - last.bbox[:, :2]  # in "xywh" a width is x2 - x1 + 1
    last.mode = "xywh"
    benchmark.save(path, content, _use_new_zipfile_serialization=zipped)
    for convention in ("default", "sgb"):
        same(evaluate_files(path, convention=convention), evaluate(FOUND, TRUE, convention=convention))


def test_eval_results_whose_boxes_are_of_another_frame(tmp_path, benchmark):
    path = tmp_path / "eval_results.pytorch"

    def shares(boxes):
        boxes.bbox /= 60

    def wide(boxes):
        boxes.bbox[:, 2:] += 1 - boxes.bbox[:, :2]  # as "xywh", and mode says xyxy

    def beyond(boxes):
        boxes.size = (30, 20)

    for change, message in (
        (shares, "boxes are all within 0..1"),
        (wide, r"end before they begin, such as \[21, 1, 10, 10\] of image '0'"),
        (beyond, r"1 of 5 boxes .* reach beyond their picture"),
        (lambda boxes: setattr(boxes, "mode", "cxcywh"), r"image 0: its boxes' mode is 'cxcywh'"),
    ):
        content = eval_results(benchmark.BoxList)
        for boxes in content["predictions"] + (content["groundtruths"] if change is beyond else []):
            change(boxes)
        benchmark.save(path, content)
        with pytest.raises(ValueError, match=message):
            evaluate_files(path)


def test_a_score_that_is_not_a_number_is_not_dropped_with_its_pair(tmp_path, benchmark):
    path, content = tmp_path / "eval_results.pytorch", eval_results(benchmark.BoxList)
    fields = content["predictions"][0].extra_fields
    fields["rel_pair_idxs"] = fields["rel_pair_idxs"][:1].repeat(300, 1)
    fields["pred_rel_scores"] = fields["pred_rel_scores"][:1].repeat(300, 1)
    benchmark.save(path, content)
    assert len(read_sides(path).predictions.pairs) < 302
    fields["pred_rel_scores"][250, 2] = float("nan")
    benchmark.save(path, content)
    with pytest.raises(ValueError, match=r"eval_results.pytorch, image 0, prediction: pred_rel_scores holds"):
        read_sides(path)


@pytest.mark.parametrize("task", ["sgdet", "predcls"])
def test_dropping_pairs_that_cannot_count_changes_no_figure(tmp_path, benchmark, task):
    rng = np.random.default_rng(0)
    boxes, labels = np.tile(BOXES, (5, 1)), np.tile([1, 2, 3], 5)
    pairs = rng.permutation(np.argwhere(~np.eye(15, dtype=bool)))
    rel_scores = rng.integers(0, 20, (len(pairs), 4)) / 19  # many ties
    scores = np.ones(15) if task == "predcls" else rng.random(15)
    truth = {"boxes": boxes, "labels": labels, "rels": np.column_stack([pairs[:150], rng.integers(1, 4, 150)])}
    found = {"boxes": boxes, "labels": labels, "scores": scores, "pairs": pairs, "rel_scores": rel_scores}
    true, predicted = benchmark.BoxList(boxes, (60, 40)), benchmark.BoxList(boxes, (60, 40))
    true.extra_fields = {"labels": torch.tensor(labels), "relation_tuple": torch.tensor(truth["rels"])}
    predicted.extra_fields = {
        "pred_labels": torch.tensor(labels),
        "pred_scores": torch.tensor(rng.random(15) if task == "predcls" else scores),
        "rel_pair_idxs": torch.tensor(pairs),
        "pred_rel_scores": torch.tensor(rel_scores),
    }
    path = tmp_path / "eval_results.pytorch"
    benchmark.save(path, {"groundtruths": [true], "predictions": [predicted]})
    assert 100 < len(read_sides(path).predictions.pairs) < len(pairs)
    same(evaluate_files(path, task=task), evaluate([found], [truth], task=task))


class Harm:
    """Unpickled without care, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inside", [False, True])
def test_a_harmful_file_is_refused_and_nothing_in_it_runs(tmp_path, benchmark, zipped, inside):
    content, mark = eval_results(benchmark.BoxList), tmp_path / "harm"
    if inside:
        content["predictions"][1].extra_fields["extra"] = Harm(str(mark))
    else:
        content["predictions"] = Harm(str(mark))
    path = tmp_path / "eval_results.pytorch"
    benchmark.save(path, content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"eval_results.pytorch: asks for .*open, which plain data do not need"):
        read_sides(path)
    assert not mark.exists()


def test_other_torch_files_are_named(tmp_path, benchmark):
    path = tmp_path / "eval_results.pytorch"
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ValueError, match=r"eval_results.pytorch: "):
        read_sides(path)
    for content, message in (
        ([1, 2], "holds no groundtruths and predictions"),
        ({"groundtruths": [], "predictions": torch.zeros(1)}, "must be lists of one BoxList an image"),
        ({"groundtruths": [1], "predictions": [2]}, "image 0, ground truth: is no BoxList"),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=message):
            read_sides(path)
    content = eval_results(benchmark.BoxList)
    for change, message in (
        (
            lambda c: c["predictions"][1].extra_fields.pop("pred_scores"),
            "image 1, prediction: has no field pred_scores",
        ),
        (lambda c: setattr(c["predictions"][0], "size", (30, 20)), "image 0: predicted in an image of"),
        (lambda c: c["groundtruths"][0].extra_fields.update(labels=[1, 2, 3]), "labels is no plain tensor"),
        (lambda c: c["predictions"][0].extra_fields.update(rel_pair_idxs=torch.tensor([[0, 9]] * 2)), "2 pairs do not"),
    ):
        content = eval_results(benchmark.BoxList)
        change(content)
        benchmark.save(path, content)
        with pytest.raises(ValueError, match=message):
            read_sides(path)


# Zero-shot triplets, sides that do not fit, and the command


def test_zero_shot_files(tmp_path):
    rows = [[1, 3, 3], [2, 2, 1]]
    np.savez(tmp_path / "z.npz", zeroshot=rows)
    torch.save(torch.tensor(rows), tmp_path / "zeroshot_triplet.pytorch")
    write(tmp_path / "numbers.json", rows)
    write(tmp_path / "names.json", [["man", "hat", "near"], ["horse", "horse", "riding"], ["zebra", "hat", "near"]])
    names = (CATEGORIES, PREDICATES)
    for file in ("z.npz", "zeroshot_triplet.pytorch", "numbers.json", "names.json"):
        assert read_zeroshot(tmp_path / file, names).tolist() == rows
    with pytest.raises(ValueError, match=r"names.json: names categories, but the predictions number them"):
        read_zeroshot(tmp_path / "names.json")
    for content in ({"a": 1}, [[1, 2]], [["man", "hat"]], [1, 2, 3]):
        with pytest.raises(ValueError, match=r"x.json: holds no rows of"):
            read_zeroshot(write(tmp_path / "x.json", content), names)
    graphs = run_graphs(tmp_path)
    examples(tmp_path)
    figures = evaluate_files(graphs, zeroshot=tmp_path / "names.json")
    same(figures, evaluate(FOUND, TRUE, zeroshot=np.array(rows)))


def test_numbers_and_names_do_not_mix(tmp_path):
    np.savez(tmp_path / "x.npz", **flat())
    with pytest.raises(ValueError, match=r"numbers its categories and the other names them"):
        read_sides(tmp_path / "x.npz", write(tmp_path / "true.json", {"a.png": graph_json(False)}))


def invoke(*words):
    return CliRunner().invoke(app, ["evaluate", *(str(w) for w in words)])


def test_the_command(tmp_path):
    np.savez(tmp_path / "x.npz", **flat())
    out = tmp_path / "new" / "figures.json"
    result = invoke(tmp_path / "x.npz", "--convention", "sgb", "--bootstrap", 50, "--json", out)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    wanted = evaluate(flat(), convention="sgb", bootstrap=50)
    same(figures, wanted, (*METRICS, "mAP50", "intervals", "predicates", "images", "images_with_relations", "mode"))
    low, high = (100 * v for v in wanted["intervals"]["R"]["20"])
    assert f"{100 * wanted['R']['20']:.2f} ({low:.1f} to {high:.1f})" in result.output
    assert "left out" in result.output and "by predicate" in result.output
    assert [p.name for p in out.parent.iterdir()] == ["figures.json"]
    assert "counts 0" in invoke(tmp_path / "x.npz").output
    assert invoke(tmp_path / "x.npz", "--task", "phrdet").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("x.npz", "--task", "sgcls"), "x.npz: sgcls predictions must have the ground truth's boxes"),
        (("x.npz", "--task", "detect"), 'unknown task "detect"'),
        (("x.npz", "--convention", "mine"), 'unknown convention "mine"'),
        (("nowhere.npz",), "nowhere.npz: no such file"),
        (("notes.txt",), "predictions are not read from .txt files"),
        (("bad.json",), "bad.json, line 1: not valid JSON"),
        (("graphs.json",), "graphs.json: holds no ground truth; give its file as second argument"),
        (("box.json", "graphs.json"), "[1, 2] is not [x1, y1, x2, y2]"),
    ],
)
def test_the_command_s_errors(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", **flat())
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "bad.json").write_text("{")
    write(tmp_path / "graphs.json", {"a.png": graph_json(True)})
    write(tmp_path / "box.json", {"a.png": {"objects": [{"category": "man", "score": 1, "box": [1, 2]}]}})
    result = invoke(*words)
    assert result.exit_code == 2 and message in result.output, result.output
