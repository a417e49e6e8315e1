"""Runs on Visual Genome's miniature files, in the three settings, and what a person sees of them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner
from vg_files import image, write_coco, write_vg

from groundgraph.cli import app

SETTINGS = ("unlocalized_graph", "vg_caption", "coco_caption")
PHRASES = ["a man riding a brown horse", "a man wearing a hat", "a zeppelin near a horse", "a man wearing a hat"]
IMAGES = [image(i, 2 if i > 9 else 0, coco_id=100 + i, phrases=PHRASES) for i in range(1, 13)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, regions that a detector might have found in them, and a recipe."""
    folder = tmp_path_factory.mktemp("real")
    write_vg(folder / "vg", IMAGES)
    said = ["A man rides a horse.", "A dog."]
    parts = ["train2017"] * 14 + ["val2017"]
    write_coco(folder / "coco", [(part, 100 + i, said) for i, part in enumerate(parts, 1)])
    rng = np.random.default_rng(0)
    names = [f"{i}.jpg" for i in range(1, 13)] + [f"{100 + i:012d}.jpg" for i in range(1, 16)]
    boxes = np.array([[10, 10, 40, 70], [14, 4, 27, 17], [20, 30, 111, 91], [120, 20, 180, 80]], np.float32)
    boxes = np.stack([boxes + rng.uniform(-2, 2, (4, 4)).astype(np.float32) for _ in names])
    boxes[12:] *= 0.2  # COCO's pictures are 40 pixels wide
    np.savez(
        folder / "regions.npz",
        file_names=names,
        categories=["person", "hat", "horse", "kite"],
        boxes=boxes,
        labels=np.tile(np.arange(4), (len(names), 1)),
        scores=np.tile(np.array([0.9, 0.8, 0.7, 0.2], np.float32), (len(names), 1)),
        features=rng.normal(size=(len(names), 4, 8)).astype(np.float32),
    )
    (folder / "recipe.yaml").write_text(
        f"""
name: mini-vg
data: {{source: vg150, folder: {folder / "vg"}, validation: 2, coco: {{folder: {folder / "coco"}}}}}
detector: {{kind: precomputed, model: {folder / "regions.npz"}}}
text: {{model: bundled:text}}
teachers: {{object: true, interaction: null}}
vocabulary: {{name: vg150}}
grounder: [two-teachers, sgnls]
grounding: {{dimension: 16, epochs: 2, fusing: average}}
sgg: {{training: {{epochs: 1}}}}
"""
    )
    return folder


def run(folder, setting, name=None, *settings):
    place = folder / (name or setting)
    words = ["run", folder / "recipe.yaml", "--out", place, "--set", f"data.setting={setting}"]
    words += [word for key in settings for word in ("--set", key)]
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return json.loads((place / "metrics.json").read_text())


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_whole_method_runs_and_is_measured_on_vgs_test_split(folder, setting):
    metrics = run(folder, setting)
    counts = metrics["counts"]
    train = {"unlocalized_graph": 7, "vg_caption": 7, "coco_caption": 10}[setting]  # COCO: 15 less 2 held, 3 of test
    assert counts["examples: train images"] == train and counts["examples: test images"] == 3
    assert counts["concepts: images with a mapped triplet"] == train
    wanted = {"unlocalized_graph": (2, 2), "vg_caption": (2, 2), "coco_caption": (1, 1)}[setting]
    assert counts["concepts: distinct mapped triplets"] == train * wanted[0]
    for figures in metrics["methods"].values():
        assert 0 <= figures["sgdet"]["R@100"] <= 1 and figures["grounding"]["all"] is not None
    assert counts["all entities measured"] == 3 * 4  # two relations a test image, whose boxes are known


def test_published_triplets_train_in_place_of_captions(folder):
    graphs = {str(100 + i): {"objects": [], "triplets": [["men", "riding", "horse"]]} for i in range(1, 16)}
    (folder / "aligned.json").write_text(json.dumps({"text_scene_graph": graphs}))
    metrics = run(folder, "coco_caption", "published", f"data.triplets={folder / 'aligned.json'}")
    counts = metrics["counts"]
    assert counts["examples: train triplets of words"] == counts["concepts: distinct mapped triplets"] == 10
    nouns = json.loads((folder / "published" / "concepts" / "concepts.json").read_text())["nouns"]
    assert [(row["word"], row["category"]) for row in nouns] == [("men", "men"), ("horse", "horse")]


def test_words_are_aligned_by_their_embeddings(folder):
    """A zeppelin is no thing of VG150 by WordNet; by embeddings and a low threshold it is an airplane."""
    pytest.importorskip("all_minilm_l6_v2")
    keys = "vocabulary.alignment.kind=text", "vocabulary.alignment.threshold=0.3"
    counts = run(folder, "vg_caption", "aligned", *keys)["counts"]
    nouns = json.loads((folder / "aligned" / "concepts" / "concepts.json").read_text())["nouns"]
    assert {row["word"]: row["category"] for row in nouns}["zeppelin"] == "airplane"
    assert counts["concepts: mapped triplets"] == 7 * 3 and counts["pseudo labels (sgnls): triplets"] == 21
    words = ["data", "check", folder / "recipe.yaml", "--out", folder / "aligned", "--set", "data.setting=vg_caption"]
    result = CliRunner().invoke(app, [str(w) for w in words] + [w for key in keys for w in ("--set", key)])
    assert result.exit_code == 0, result.output
    lines = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in result.output.splitlines() if "│" in line
    }
    assert lines["mapped triplets by WordNet"] == "14"
    assert lines["mapped triplets by embeddings alike by 0.3 or more"] == "21"


def test_what_words_mean_is_written_down_and_shown(folder):
    run(folder, "vg_caption")
    concepts = json.loads((folder / "vg_caption" / "concepts" / "concepts.json").read_text())
    nouns = {row["word"]: (row["said"], row["category"]) for row in concepts["nouns"]}
    assert nouns == {"man": (14, "man"), "horse": (14, "horse"), "hat": (7, "hat"), "zeppelin": (7, None)}
    verbs = {row["word"]: row["predicate"] for row in concepts["predicates"]}
    assert verbs == {"ride": "riding", "wear": "wearing", "near": "near"}
    counts = concepts["counts"]
    assert counts["entities"] == 42 and counts["mapped entities"] == 35 and counts["mapped triplets"] == 14
    matches = json.loads((folder / "vg_caption" / "matches" / "matches.json").read_text())
    by_name = {row["category"]: row for row in matches["categories"]}
    assert by_name["person"]["regions"] == 7 and [n["word"] for n in by_name["person"]["nouns"]] == ["man"]
    assert by_name["kite"]["nouns"] == [] and [n["word"] for n in matches["nouns of no category"]] == ["zeppelin"]
    page = (folder / "vg_caption" / "report.html").read_text(encoding="utf-8")
    assert "35 of 42 in the training captions are in the vocabulary, 7 are dropped" in page
    assert "zeppelin (7)" in page


def test_data_check_says_what_is_here_and_counts_beside_the_paper(folder, tmp_path):
    words = ["data", "check", folder / "recipe.yaml", "--out", tmp_path / "run", "--set", "data.setting=vg_caption"]
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    assert "12 of 12 pictures are here" in result.output and "nothing is missing" in result.output
    said = {line.split("│")[1].strip(): line.split("│")[2:4] for line in result.output.splitlines() if "│" in line}
    assert [c.strip() for c in said["distinct mapped triplets"]] == ["14", "498K"]
    assert [c.strip() for c in said["images with a mapped triplet"]] == ["7", "62K"]
    # What was counted is not done again by the run, and a run that is not there yet is not made by a dry run.
    result = CliRunner().invoke(app, ["run", *(str(w) for w in words[2:]), "--dry-run"])
    assert result.exit_code == 0, result.output
    states = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in result.output.splitlines() if "│" in line
    }
    assert states["concepts"] == "done" and states["regions"] == "due" and not (tmp_path / "run" / "regions").exists()


def test_data_check_and_run_name_what_is_missing_and_where_to_get_it(folder, tmp_path):
    where = ["--out", str(tmp_path / "run"), "--set", f"data.folder={tmp_path}"]
    result = CliRunner().invoke(app, ["data", "check", str(folder / "recipe.yaml"), *where])
    assert result.exit_code == 1 and not (tmp_path / "run").exists()
    text = " ".join(result.output.split())
    assert f"missing {tmp_path}/VG-SGG-with-attri.h5 (scene graphs, about 0.15 GB) DATASET.md" in text
    assert f"missing {tmp_path}/VG_100K, {tmp_path}/VG_100K_2 (images, 14.7 GB in two parts) visualgenome.org" in text
    assert f"present {folder}/regions.npz (regions)" in text and "5 of 8 missing" in text
    result = CliRunner().invoke(app, ["run", str(folder / "recipe.yaml"), *where])
    assert result.exit_code == 2 and "image_data.json: missing (list of images)" in result.output
