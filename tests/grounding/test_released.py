"""The authors' released files: results in both layouts, and their grounder's checkpoint."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from groundgraph.data.types import Skipped
from groundgraph.formats.ws_sgg import read_results
from groundgraph.grounding import build_grounder
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage
from groundgraph.grounding.pseudo_labels import draw_labels, pseudo_of, pseudo_record
from groundgraph.grounding.released import released_grounder

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "grounder" / "official.npz"


def written(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


CAPTIONS = {
    2315: {
        "gt_classes": [78, 91, 0],
        "relations": [(0, 1, 31), (0, 2, 20), [1, 0, 0]],
        "gd_boxes": [[4, 0, 9, 2, 7], [0, 4, 1, 2, 3], [5, 6, 1, 2, 3]],
        "gd_scores": [[0.5, 0.2, 0.1, 0.05, 0.05], [0.4, 0.3, 0.0, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]],
        "captions": ["a man on a horse"],
    },
    7: {"gt_classes": np.array([1]), "relations": np.zeros((0, 3)), "gd_boxes": [[3]], "gd_scores": [[0.9]]},
}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_results_of_captions(tmp_path, protocol):
    skipped = Skipped()
    found = read_results(written(tmp_path / "r.pkl", CAPTIONS, protocol), 150, 50, skipped=skipped)
    assert list(found) == ["2315", "7"]
    one = found["2315"]
    assert one.categories.tolist() == [77, 90, -1] and one.count == 36
    assert one.regions.tolist() == [[4, 0, 9], [0, 4, -1], [5, 6, 1]]
    assert np.allclose(one.weights, [[0.5, 0.2, 0.1], [0.4, 0.3, 0], [0.2, 0.2, 0.2]])
    assert np.allclose(one.scores[0], np.log([0.5, 0.2, 0.1])) and one.scores[1, 2] == 0
    assert one.triplets.tolist() == [[0, 1, 30]]  # the others have an end or a predicate of 0
    assert "2 triplets" in skipped.items[0][1] and "2315" in skipped.items[0][0]
    assert found["7"].regions.tolist() == [[3, -1, -1]]
    # As a training step sees them: the best candidates, man at 4 and horse at 0.
    labels, relations = draw_labels(one, np.random.default_rng(0), "every")
    assert labels[4] == 78 and labels[0] == 91 and [4, 0, 31] in relations.tolist()


def test_results_of_unlocalized_graphs(tmp_path):
    graph = {
        "image_id": 5,
        "gt_classes": [10, 20],
        "gt_rels": [[0, 1, 3], [1, 0, 4]],
        "subject_boxes": [[1, 2], [7, 8]],
        "subject_scores": [[3.0, 1.0], [-2.0, 5.0]],
        "object_boxes": [[3, 4], [9, 6]],
        "object_scores": [[0.0, 0.0], [1.0, 0.0]],
    }
    found = read_results(written(tmp_path / "r.pkl", [graph]), 150, 50, top=2)["5"]
    assert found.categories.tolist() == [9, 19, 19, 9]  # an entity for each end of each triplet
    assert found.triplets.tolist() == [[0, 1, 2], [2, 3, 3]]
    assert found.regions.tolist() == [[1, 2], [3, 4], [8, 7], [9, 6]]  # best first
    assert found.scores[2].tolist() == [5, -2]
    share = np.exp(3) / (np.exp(3) + np.exp(1))
    assert np.allclose(found.weights[0], [share, 1 - share]) and np.allclose(found.weights[1], 0.5)


def test_imported_labels_are_a_runs_labels(tmp_path):
    pseudo = read_results(written(tmp_path / "r.pkl", CAPTIONS), 150, 50)["2315"]
    record = json.loads(json.dumps(pseudo_record("2315", pseudo, ["man", "horse", "thing"])))
    again = pseudo_of(record, 36)
    for field in ("categories", "regions", "triplets"):
        assert np.array_equal(getattr(again, field), getattr(pseudo, field))
    assert np.allclose(again.scores, pseudo.scores, atol=1e-5) and np.allclose(again.weights, pseudo.weights, atol=1e-5)


class Evil:
    def __reduce__(self):
        return (len, ("run",))


def changed(**fields):
    return {1: CAPTIONS[2315] | fields}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (Evil(), "asks for"),
        ("text", "neither"),
        ([1], "neither"),
        ([], "holds no image"),
        ({}, "holds no image"),
        ({1: CAPTIONS[2315], "1": CAPTIONS[2315]}, "image '1' is listed twice"),
        (changed(gt_classes=[1.5, 2, 3]), "not whole"),
        (changed(gt_classes=[10**30, 2, 3]), "too large"),
        ([{"image_id": 1}], "has no 'gt_classes'"),
        ({1: {"gt_classes": [1]}}, "has no 'gt_rels'"),
        ({1: None}, "not grounding results"),
        (changed(gt_classes=[1, 2]), "2 entities, 3 grounded"),
        (changed(gt_classes=[151, 2, 3]), "categories 2 to 151, the vocabulary has 150"),
        (changed(relations=[(0, 1, 51)]), "predicates 51 to 51, the vocabulary has 50"),
        (changed(relations=[(0, 3, 1)]), "points beyond the entities"),
        (changed(gd_boxes=[[36], [1], [1]], gd_scores=[[1], [1], [1]]), "a region outside 0 to 35"),
        (changed(gd_boxes=[[1], [1], [1]]), "differ in number"),
        (changed(gd_boxes=[[1], [1], [1]], gd_scores=[[np.nan], [1], [1]]), "not a number"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, word, capsys):
    with pytest.raises(ValueError, match=word) as error:
        read_results(written(tmp_path / "r.pkl", content), 150, 50)
    assert "r.pkl" in str(error.value) and capsys.readouterr().out == ""


def released(sizes=(768, 1536, 768), seed=3):
    """The golden grounder's weights under the authors' names (see the golden files' README)."""
    r = np.random.default_rng(seed)
    text, visual, d = sizes
    layers = {"text_encoder.0": (d, text), "text_encoder.2": (d, d), "visual_encoder.0": (d, visual)}
    layers |= {"visual_encoder.2": (d, d), "classifier": (1, d), "adaptor": (1, d)}
    weights = {}
    for name, shape in layers.items():
        for part, size in (("weight", shape), ("bias", shape[:1])):
            weights[f"{name}.{part}"] = torch.from_numpy(r.normal(0, 0.05, size).astype(np.float32))
    return weights, r


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden files are not here")
def test_the_released_checkpoint_scores_as_the_released_code_does(tmp_path):
    weights, r = released()
    torch.save(weights, tmp_path / "grounder_best.pth")
    grounder = released_grounder(tmp_path / "grounder_best.pth")
    assert grounder.sizes == (768, 1536) and grounder.config == GroundingConfig(official=True, dimension=768)
    entities, regions = r.normal(size=(6, 768)).astype(np.float32), r.normal(size=(6, 36, 1536)).astype(np.float32)
    images = [GroundingImage(e[None], x, np.zeros((1, 36), np.float32)) for e, x in zip(entities, regions, strict=True)]
    golden = np.load(GOLDEN)["score"]
    assert np.allclose(np.concatenate(grounder.scores(images)), golden, atol=1e-5)
    grounder.save(tmp_path)
    again = build_grounder("two-teachers").load(tmp_path)
    assert np.allclose(np.concatenate(again.scores(images)), golden, atol=1e-5)


def test_a_checkpoint_of_an_epoch_and_what_is_none(tmp_path):
    weights, _ = released((4, 6, 5))
    path = tmp_path / "g.pth"
    torch.save({"model": weights, "optimizer": {"state": {}}, "scheduler": {}}, path)
    grounder = released_grounder(path)
    assert grounder.sizes == (4, 6) and torch.equal(grounder.model.attend.weight, weights["classifier.weight"])
    for content, word in (
        ({**weights, "head.weight": torch.zeros(1)}, "holds head.weight"),
        ({k: v for k, v in weights.items() if "adaptor" not in k}, "no grounder of the authors'"),
        ({}, "no grounder of the authors'"),
        ([1], "no grounder of the authors'"),
        (Evil(), "asks for builtins.len"),
    ):
        torch.save(content, path)
        with pytest.raises(ValueError, match=word):
            released_grounder(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"g\.pth"):
        released_grounder(path)
    with pytest.raises(ValueError, match="no such file"):
        released_grounder(tmp_path / "none.pth")
