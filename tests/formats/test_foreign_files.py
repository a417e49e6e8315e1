"""Files that are well-formed and odd: each gives the figures of what it means, or says what is wrong with it."""

import copy
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.evaluation.files import evaluate_files
from groundgraph.formats import read_sides
from groundgraph.formats.zeroshot import read_zeroshot

TRUE = {
    "beach.jpg": {
        "objects": [{"category": "girl", "box": [40, 30, 120, 260]}, {"category": "kite", "box": [200, 10, 280, 70]}],
        "relations": [{"subject": 0, "predicate": "fly", "object": 1}],
    },
    "park.jpg": {
        "objects": [{"category": "dog", "box": [10, 10, 110, 90]}, {"category": "man", "box": [90, 20, 200, 220]}],
        "relations": [
            {"subject": 1, "predicate": "hold", "object": 0},
            {"subject": 0, "predicate": "near", "object": 1},
        ],
    },
}


def found(change=lambda graphs: None):
    """The true graphs with scores, changed."""
    graphs = copy.deepcopy(TRUE)
    for entry in (e for g in graphs.values() for part in ("objects", "relations") for e in g[part]):
        entry["score"] = 0.8
    change(graphs)
    return graphs


def coco(graphs, ids=(1, 2), files=("beach.jpg", "park.jpg"), size=None):
    """The graphs COCO-style, under these ids and file names."""
    names = [
        sorted({e[key] for g in graphs.values() for e in g[part]})
        for part, key in (("objects", "category"), ("relations", "predicate"))
    ]
    content = {
        "images": [{"id": i} | ({"file_name": f} if f else {}) for i, f in zip(ids, files, strict=True)],
        "categories": [{"id": k, "name": n} for k, n in enumerate(names[0])],
        "predicates": [{"id": k, "name": n} for k, n in enumerate(names[1])],
        "annotations": [],
        "relations": [],
    }
    for image in content["images"] if size else ():
        image["width"], image["height"] = size
    for ident, graph in zip(ids, graphs.values(), strict=True):
        first = len(content["annotations"])
        for n, e in enumerate(graph["objects"]):
            x1, y1, x2, y2 = e["box"]
            entry = {"id": first + n, "image_id": ident, "category_id": names[0].index(e["category"]), "score": 0.8}
            content["annotations"].append(entry | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
        for e in graph["relations"]:
            entry = {"image_id": ident, "subject_id": first + e["subject"], "object_id": first + e["object"]}
            content["relations"].append(entry | {"predicate_id": names[1].index(e["predicate"]), "score": 0.8})
    return content


@pytest.fixture
def write(tmp_path):
    def write(name, content, encoding="utf-8"):
        (tmp_path / name).write_text(json.dumps(content), encoding=encoding)
        return tmp_path / name

    return write


def run(*words):
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    return result.exit_code, " ".join(result.output.split())


# Boxes


def as_npz(path, graphs):
    """The same graphs in the golden layout, both sides in one file."""
    objects, relations = ([e for g in graphs.values() for e in g[part]] for part in ("objects", "relations"))
    boxes, labels = np.array([e["box"] for e in objects], float), np.arange(1, len(objects) + 1)
    pairs = np.array([[e["subject"], e["object"]] for e in relations])
    offsets = [np.cumsum([0, *(len(g[part]) for g in graphs.values())]) for part in ("objects", "relations")]
    np.savez(
        path, gt_boxes=boxes, gt_labels=labels, gt_rels=np.column_stack([pairs, np.ones(len(pairs), int)]),
        gt_box_offsets=offsets[0], gt_rel_offsets=offsets[1], pred_boxes=boxes, pred_labels=labels,
        pred_scores=np.ones(len(labels)), pred_pairs=pairs, pred_rel_scores=np.tile([0.0, 1.0], (len(pairs), 1)),
        pred_box_offsets=offsets[0], pred_pair_offsets=offsets[1],
    )  # fmt: skip
    return path


def boxes(change):
    """A change of graphs that changes their boxes."""

    def changed(graphs):
        for entry in (e for g in graphs.values() for e in g["objects"]):
            entry["box"] = change(*entry["box"])

    return changed


def shares(*box):
    return [v / 300 for v in box]


def sides(x1, y1, x2, y2):
    return [x1, y1, x2 - x1, y2 - y1]


@pytest.mark.parametrize(
    ("change", "message"),
    [(shares, "boxes are all within 0..1"), (sides, "end before they begin, such as .*not \\[x, y, width, height\\]")],
)
@pytest.mark.parametrize("form", ["predictions", "truth", "coco", "npz"])
def test_boxes_that_are_no_pixels_corners_are_refused(tmp_path, write, change, message, form):
    graphs = found(boxes(change))
    if form == "npz":
        files = [as_npz(tmp_path / "x.npz", graphs)]
    elif form == "coco":
        if change is sides:
            pytest.skip("COCO's boxes are these")
        files = [write("found.json", coco(graphs)), write("true.json", coco(TRUE))]
    else:
        files = [write("found.json", graphs if form == "predictions" else found())]
        files.append(write("true.json", graphs if form == "truth" else TRUE))
    with pytest.raises(ValueError, match=message):
        evaluate_files(*files)
    code, output = run(*files)
    assert code == 2 and output.startswith("error") and "Traceback" not in output


def test_a_slip_among_many_boxes_is_noted(write):
    def many(graphs):
        graphs["park.jpg"]["objects"] += 20 * [{"category": "dog", "box": [10, 10, 110, 90], "score": 0.1}]

    def turned(graphs):
        many(graphs)
        graphs["park.jpg"]["objects"][-1] = {"category": "dog", "box": [110, 10, 10, 90], "score": 0.1}

    truth = write("true.json", TRUE)
    assert evaluate_files(write("found.json", found(many)), truth)["notes"] == []
    (note,) = evaluate_files(write("found.json", found(turned)), truth)["notes"]
    assert "1 of 24 boxes" in note and "end before they begin" in note and "park.jpg" in note

    def one_share(graphs):
        many(graphs)
        graphs["beach.jpg"]["objects"] = [e | {"box": shares(*e["box"])} for e in graphs["beach.jpg"]["objects"]]

    (note,) = evaluate_files(write("found.json", found(one_share)), truth)["notes"]
    assert "2 of 24 boxes" in note and "within 0..1" in note and "beach.jpg" in note


def test_boxes_of_another_picture_are_refused_where_its_size_is_known(write):
    size = (300, 300)
    truth = write("true.json", coco(TRUE, size=size))
    assert evaluate_files(write("found.json", found()), truth)["notes"] == []
    large = found(boxes(lambda *box: [2 * v for v in box]))
    with pytest.raises(ValueError, match=r"found.json reach beyond their picture, such as"):
        evaluate_files(write("found.json", large), truth)
    with pytest.raises(ValueError, match=r"'1': 600 x 600 and 300 x 300 pixels"):
        evaluate_files(write("found.json", coco(large, size=(600, 600))), truth)


def test_boxes_that_meet_no_true_box_are_said(write):
    truth = write("true.json", TRUE)

    def other(graphs):
        for graph in graphs.values():
            for entry in graph["objects"]:
                entry["category"] = "thing"

    (note,) = evaluate_files(write("found.json", found(other)), truth)["notes"]
    assert "predicted categories" in note  # the boxes are where they should be
    for change in (lambda *box: [v + 300 for v in box], lambda *box: [3 * v for v in box]):
        (note,) = evaluate_files(write("found.json", found(boxes(change))), truth)["notes"]
        assert note.startswith("0% of the true boxes have a predicted box with IoU 0.5") and "pixels" in note


# Values

HUGE = 10**400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.update(relations=None), None),
        (lambda g: g.update(relations={}), '"relations" must be a list'),
        (lambda g: g.update(objects=7), '"objects" must be a list'),
        (lambda g: g.pop("objects"), 'has no list "objects"'),
        (lambda g: g["objects"].append(None), "object 2: is no object"),
        (lambda g: g["objects"].append([1]), "object 2: is no object"),
        (lambda g: g["objects"][1].update(category=None), 'object 1: has no "category"'),
        (lambda g: g["objects"][1].update(category=["a"]), "object 1: .* is no name"),
        (lambda g: g["objects"][1].update(category=" \n"), "object 1: .* is no name"),
        (lambda g: g["objects"][1].update(score=HUGE), "object 1: its score of more than 30 digits"),
        (lambda g: g["objects"][1].update(score=float("nan")), "object 1: its score nan"),
        (lambda g: g["objects"][1].update(score=True), "object 1: its score True"),
        (lambda g: g["objects"][1].update(box=None), 'object 1: has no "box"'),
        (lambda g: g["objects"][1].update(box=[1, 2, 3, HUGE]), "object 1: its box's coordinate of more than"),
        (lambda g: g["objects"][1].update(box=[1, 2, 3, 1e300]), "object 1: its box's coordinate 1e"),
        (lambda g: g["objects"][1].update(box=[1, 2, 3, 1e9]), "lie beyond any picture"),
        (lambda g: g["objects"][1].update(box="1 2 3 4"), "object 1: the box"),
        (lambda g: g["relations"][1].update(score=float("inf")), "relation 1: its score inf"),
        (lambda g: g["relations"][1].update(subject=True), "relation 1: subject and object"),
        (lambda g: g["relations"][1].update(subject=HUGE), "relation 1: subject and object"),
        (lambda g: g["relations"][1].update(subject={}), "relation 1: subject and object"),
        (lambda g: g["relations"][1].update(subject=0.0, object="1"), None),
    ],
)
def test_values_of_json_graphs(write, change, message):
    files = write("found.json", found(lambda graphs: change(graphs["park.jpg"]))), write("true.json", TRUE)
    if message is None:
        assert evaluate_files(*files)["images"] == 2
        return
    with pytest.raises(ValueError, match=rf"(found.json, image 'park.jpg'.*{message}|{message}.*'park.jpg')"):
        evaluate_files(*files)
    code, output = run(*files)
    assert code == 2 and "Traceback" not in output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(relations=None), "has no list `relations`"),
        (lambda c: c.update(annotations=None), "has no list `annotations`"),
        (lambda c: c["images"].append(None), r"images\[2\]: is no object"),
        (lambda c: c["images"][0].update(id=float("inf")), r"images\[0\]: inf is no id"),
        (lambda c: c["images"][0].update(id=True), r"images\[0\]: True is no id"),
        (lambda c: c["images"][1].update(id="1.0"), r"images\[1\]: the id '1.0' occurs twice"),
        (lambda c: c["images"][1].update(file_name="./beach.jpg"), r"images\[1\]: the file name .* occurs twice"),
        (lambda c: c["annotations"][1].update(bbox=[0, 0, HUGE, 1]), r"annotations\[1\]: its box's coordinate"),
        (lambda c: c["annotations"][1].update(bbox={"x": 1}), r"annotations\[1\]: the box"),
        (lambda c: c["annotations"][1].update(score=HUGE), r"annotations\[1\]: its score"),
        (lambda c: c["categories"][0].update(name=[]), r"categories\[0\]: .* is no name"),
        (lambda c: c["relations"].append(3), r"relations\[3\]: is no object"),
    ],
)
def test_values_of_coco_style(write, change, message):
    content = coco(found())
    change(content)
    files = write("found.json", content), write("true.json", coco(TRUE))
    with pytest.raises(ValueError, match=rf"found.json.*{message}"):
        evaluate_files(*files)
    assert run(*files)[0] == 2


def test_deep_nesting_and_double_names_are_named(tmp_path, write):
    truth, path = write("true.json", TRUE), tmp_path / "found.json"
    for text, message in (
        ("[" * 100_000, "found.json"),
        ('{"a": ' * 100_000, "found.json"),
        (json.dumps(found())[:-1] + ', "park.jpg": {"objects": []}}', "found.json.*the key 'park.jpg' occurs twice"),
        ('{"1": {"objects": []}, "1.0": {"objects": []}}', None),
        ("{}", "found.json: neither"),
        ("null", "found.json: neither"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            evaluate_files(path, truth)
        assert run(path, truth)[0] == 2


def test_byte_order_marks_and_utf_16(write):
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le"):
        files = write("found.json", found(), encoding), write("true.json", TRUE, encoding)
        unseen = write("unseen.json", [["girl", "kite", "fly"]], encoding)
        figures = evaluate_files(*files, zeroshot=unseen)
        assert figures["R"]["20"] == figures["zR"]["20"] == 1


@pytest.mark.parametrize("tail", ["\ud83d", "\x1b]0;owned\x07\x1b[31m", "\x00", "\x9b2J"])
def test_names_are_printed_clean(tmp_path, write, tail):
    def change(graphs):
        for graph in graphs.values():
            graph["objects"][0]["category"] += tail
            graph["relations"][0]["predicate"] += tail

    truth = found(change)
    predictions = copy.deepcopy(truth)
    predictions["other" + tail] = {"objects": [{"category": "x" + tail, "box": [1, 2, 3, 4], "score": 1}]}
    files = write("found.json", predictions), write("true.json", truth)
    out = tmp_path / "figures.json"
    code, output = run(*files, "--json", out)
    assert code == 0 and "fly" in output
    assert output.isprintable() and not any("\ud800" <= c <= "\udfff" for c in output)
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["R"]["20"] == 1 and len(figures["notes"]) == 2


# Which image, which category


def test_ids_are_alike_and_file_names_count_more(write):
    truth = write("true.json", coco(TRUE))
    turned = dict(reversed(found().items()))
    for content in (
        coco(turned, files=("park.jpg", "beach.jpg")),  # the same numbers for other images
        coco(turned, files=("./photos\\park.JPG", "photos/beach.jpg")),
        coco(found(), ids=(2, 3)),
        coco(found(), ids=("1", 2.0), files=(None, None)),
        {"1": found()["beach.jpg"], "2.0": found()["park.jpg"]},
        {"0001": found()["beach.jpg"], "2": found()["park.jpg"]},
        {"x/beach.jpg": found()["beach.jpg"], "x/park.jpg": found()["park.jpg"]},
    ):
        figures = evaluate_files(write("found.json", content), truth)
        assert (figures["R"]["20"], figures["notes"]) == (1, [])


def test_images_of_one_name_in_two_folders_are_two(write):
    names = ("a/1.jpg", "b/1.jpg")
    graphs = dict(zip(names, found().values(), strict=True))
    truth = write("true.json", coco(TRUE, files=names))
    assert evaluate_files(write("found.json", graphs), truth)["R"]["20"] == 1
    turned = coco(dict(reversed(found().items())), files=("photos/b/1.jpg", "photos/a/1.jpg"))
    assert evaluate_files(write("found.json", turned), truth)["R"]["20"] == 1
    with pytest.raises(ValueError, match="no image is both"):
        evaluate_files(write("found.json", {"1.jpg": found()["beach.jpg"]}), truth)


def test_joins_that_may_be_wrong_are_said(write):
    truth = write("true.json", coco(TRUE))
    (note,) = evaluate_files(write("found.json", coco(found(), files=("1.png", "2.png"))), truth)["notes"]
    assert "meet by their ids, such as '1.png' and 'beach.jpg'" in note
    predictions = write("found.json", coco(found(), files=("night/beach.jpg", "night/park.jpg")))
    truth = write("true.json", coco(TRUE, files=("day/beach.jpg", "day/park.jpg")))
    (note,) = evaluate_files(predictions, truth)["notes"]
    assert "2 images are in other folders" in note and "'night/beach.jpg' and 'day/beach.jpg'" in note


def test_names_that_match_nothing_are_noted(write):
    def capitals(graphs):
        for graph in graphs.values():
            for entry in graph["objects"]:
                entry["category"] = entry["category"].capitalize()
            for entry in graph["relations"]:
                entry["predicate"] += "s"

    def spaces(graphs):
        for graph in graphs.values():
            for entry in graph["objects"]:
                entry["category"] = f" {entry['category']}  "

    for form in (dict, coco):
        truth = write("true.json", form(TRUE))
        figures = evaluate_files(write("found.json", form(found(capitals))), truth)
        assert figures["R"]["20"] == 0
        categories, predicates = figures["notes"]
        assert categories.startswith("4 predicted categories are not in the truth, such as '")
        assert "they match nothing (the truth has '" in categories
        assert predicates.startswith("3 predicted predicates are not in the truth, such as '")
        figures = evaluate_files(write("found.json", form(found(spaces))), truth)
        assert (figures["R"]["20"], figures["mAP50"], figures["notes"]) == (1, pytest.approx(1), [])
    lists = {"categories": ["Girl", "Kite"], "predicates": ["fly", "near"]}

    def listed(graphs):
        del graphs["park.jpg"]
        capitals(graphs)
        graphs["beach.jpg"]["relations"][0]["predicate"] = "fly"

    figures = evaluate_files(write("found.json", lists | {"graphs": found(listed)}), write("true.json", TRUE))
    assert any("4 boxes of" in n and "such as 'girl'" in n for n in figures["notes"])
    assert figures["R"]["20"] is figures["mAP50"] is None and "the truth has no box" in figures["notes"][-1]


def test_numbered_sides_that_share_no_label_or_differ_in_images(tmp_path):
    path = as_npz(tmp_path / "x.npz", TRUE)
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"pred_labels": arrays["pred_labels"] + 100})
    (note,) = evaluate_files(path)["notes"]
    assert "no label" in note and "number the categories alike" in note
    one = {k: v for k, v in arrays.items() if k.startswith("pred_")}
    one |= {"pred_box_offsets": np.array([0, 4]), "pred_pair_offsets": np.array([0, 3])}
    np.savez(tmp_path / "one.npz", **one)
    with pytest.raises(ValueError, match=r"x.npz has 2 images and .*one.npz 1"):
        read_sides(tmp_path / "one.npz", path)


# Zero-shot triplets, and figures of nothing


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["girl", "fly", "kite"]], r"none of its 1 triplets .* but 1 in the order \[subject, predicate, object\]"),
        ([["fly", "girl", "kite"]], r"but 1 in the order \[predicate, subject, object\]"),
        ([["Girl", "Kite", "fly"]], "none of its 1 triplets has names of the vocabulary"),
        ([["girl", "fly", "kite"], ["man", "hold", "dog"], ["girl", "kite", "fly"]], "1 of its 3 triplets"),
        ([[1, 2, 3], [1, 4, 9]], "a triplet has predicate 9, but there are 3"),
        ([[1, 9, 3]], "a triplet has category 9, but there are 4"),
        ([[0, 1, 2]], "0 is too small; they count from 1"),
        ([[1, 2.5, 3]], "must be whole numbers"),
        ([[1, 2, float("nan")]], "must be whole numbers"),
        ([[1, 2, HUGE]], "not numbers"),
        ([["girl", "kite", 3]], "three names each: triplet 0"),
        ([[1, 2, 3], [1, 2]], "no array of numbers"),
        ({"triplets": []}, "holds no rows"),
        (None, "holds no rows"),
    ],
)
def test_zero_shot_triplets_that_can_only_be_wrong(write, rows, message):
    files, unseen = (write("found.json", found()), write("true.json", TRUE)), write("unseen.json", rows)
    with pytest.raises(ValueError, match=rf"unseen.json.*{message}"):
        evaluate_files(*files, zeroshot=unseen)
    code, output = run(*files, "--zeroshot", unseen)
    assert code == 2 and "Traceback" not in output


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_numbered_zero_shot_triplets_too(tmp_path, suffix):
    import torch

    graphs = as_npz(tmp_path / "x.npz", TRUE)
    rows = np.array([[4, 1, 3]])  # one predicate is scored
    path = tmp_path / f"z{suffix}"
    np.savez(path, zeroshot=rows) if suffix == ".npz" else torch.save(torch.from_numpy(rows), path)
    with pytest.raises(ValueError, match=r"z.*a triplet has predicate 3, but there are 1"):
        evaluate_files(graphs, zeroshot=path)
    if suffix == ".pt":
        torch.save({"zeroshot": torch.from_numpy(rows)}, path)
        with pytest.raises(ValueError, match="holds no rows"):
            read_zeroshot(path)


def test_left_out_triplets_and_none_unseen_are_said(write):
    files = write("found.json", found()), write("true.json", TRUE)
    unseen = write("unseen.json", [["girl", " kite ", "fly"], ["zebra", "kite", "fly"]])
    figures = evaluate_files(*files, zeroshot=unseen)
    assert figures["zR"]["20"] == 1 and figures["unseen_relations"] == 1
    assert "1 of 2 triplets of" in figures["notes"][0] and "'zebra'" in figures["notes"][0]
    for rows, message in (
        ([], "lists no triplet"),
        ([["kite", "girl", "fly"]], "no true relation is of the 1 triplets"),
    ):
        unseen = write("unseen.json", rows)
        figures = evaluate_files(*files, zeroshot=unseen, bootstrap=3)
        assert figures["zR"] == figures["ngzR"] == {"20": None, "50": None, "100": None} == figures["intervals"]["zR"]
        assert figures["R"]["20"] == 1 and figures["unseen_relations"] == 0
        assert message in figures["notes"][0]
        code, output = run(*files, "--zeroshot", unseen)
        assert code == 0 and "zR │ - │ - │ -" in output
    code, output = run(*files)
    assert code == 0 and "zR" not in output


def test_figures_of_nothing_are_none(write):
    for change, figures_of, note in (
        (lambda g: g.update(relations=[]), ("mAP50",), "no relation"),
        (lambda g: g.update(relations=[], objects=[]), (), "no box"),
    ):
        truth = copy.deepcopy(TRUE)
        for graph in truth.values():
            change(graph)
        figures = evaluate_files(write("found.json", found()), write("true.json", truth), bootstrap=2)
        assert all(figures[name]["20"] is None for name in ("R", "ngR", "mR", "ngmR", "zR"))
        assert (figures["mAP50"] is not None) == ("mAP50" in figures_of)
        assert any(note in n for n in figures["notes"])
        code, output = run(write("found.json", found()), write("true.json", truth))
        assert code == 0 and "R │ - │ - │ -" in output


def test_paths_that_are_no_files(tmp_path, write):
    truth = write("true.json", TRUE)
    for path, message in ((tmp_path, "a folder, no file"), (tmp_path / "no.json", "no such file")):
        with pytest.raises(ValueError, match=f"{tmp_path}.*{message}"):
            evaluate_files(path, truth)
        assert run(path, truth)[0] == 2
    upper = truth.rename(tmp_path / "TRUE.JSON")
    assert evaluate_files(write("found.json", found()), upper)["R"]["20"] == 1
