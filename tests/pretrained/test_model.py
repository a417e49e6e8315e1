"""A model as a thing one can hold: packed, loaded, on new images."""

import json
import shutil

import numpy as np
import pytest
from huggingface_hub import hub_mixin
from PIL import Image

import groundgraph
from groundgraph.data.files import write_json
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.pretrained import loading
from groundgraph.pretrained import model as module
from groundgraph.pretrained.loading import is_model
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.stages import artifacts
from groundgraph.stages.recipe import run_recipe


def same(one, other, tolerance=1e-5):
    assert np.allclose(one.boxes, other.boxes, atol=tolerance) and np.array_equal(one.labels, other.labels)
    assert np.allclose(one.predicate_scores, other.predicate_scores, atol=tolerance)


def test_a_packed_model_finds_what_its_run_finds(run, packed, image):
    own, loaded = groundgraph.load(run), groundgraph.load(packed)
    same(own.predict(image).graph, loaded.predict(image).graph)
    assert loaded.categories == own.categories and loaded.identity == own.identity
    assert {path.name for path in packed.iterdir()} == {"README.md", "config.json", "model.safetensors", "grounder"}


def test_half_the_room(run, packed, image, tmp_path):
    sizes = groundgraph.pack(run, tmp_path / "half", half=True)
    assert sizes["model.safetensors"] < 0.52 * (packed / "model.safetensors").stat().st_size
    same(groundgraph.load(run).predict(image).graph, groundgraph.load(tmp_path / "half").predict(image).graph, 0.02)


def test_the_folder_says_what_it_is_and_not_where_it_was_made(run, packed):
    text = (packed / "config.json").read_text()
    extra = json.loads(text)["extra"]
    assert extra["method"] == "two-teachers" and "sgdet" in extra["metrics"]
    assert str(run.parent) not in text and "bundled:detector" in extra["bundled"]
    card = (packed / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: groundgraph") and "drawn scenes" in card and "SGDet R@50" in card


def test_save_and_load_as_the_hub_does(packed, image, tmp_path, monkeypatch):
    loaded = SceneGraphModel.from_pretrained(packed)
    loaded.save_pretrained(tmp_path / "again")
    same(loaded.predict(image).graph, SceneGraphModel.from_pretrained(tmp_path / "again").predict(image).graph)
    assert (tmp_path / "again" / "README.md").read_text() == (packed / "README.md").read_text()

    uploaded = {}

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, **_):
            return type("Repo", (), {"repo_id": "me/graphs"})

        def upload_folder(self, folder_path, **_):
            shutil.copytree(folder_path, tmp_path / "hub")
            uploaded.update(_)

    monkeypatch.setattr(hub_mixin, "HfApi", Api)
    loaded.push_to_hub("me/graphs")
    assert uploaded["repo_id"] == "me/graphs"
    # What lies on the hub is loaded by its id.
    monkeypatch.setattr(loading, "obstacles", lambda ids: {})
    monkeypatch.setattr(module, "snapshot_download", lambda name, **_: str(tmp_path / "hub"))
    monkeypatch.setattr(hub_mixin, "hf_hub_download", lambda **_: str(tmp_path / "hub" / "config.json"))
    same(loaded.predict(image).graph, groundgraph.load("me/graphs").predict(image).graph)


def test_a_model_of_the_hub_that_cannot_be_fetched():
    with pytest.raises(InputError, match="no such folder; and as an id of the hub it cannot be fetched"):
        groundgraph.load("nobody/nothing")


def test_pictures_in_memory_lists_and_given_boxes(packed, image):
    loaded = groundgraph.load(packed)
    one = loaded.predict(image)
    same(one.graph, loaded.predict(Image.open(image)).graph)
    assert [len(g.objects) for g in loaded.predict([image, str(image)])] == 2 * [len(one.objects)]
    assert loaded.predict([]) == []
    boxes = np.array([[4, 4, 60, 60], [30, 20, 90, 80]], np.float32)
    given = loaded.predict(image, boxes, min_score=0)
    assert np.array_equal(given.graph.boxes, boxes) and len(given.graph.pairs) == 2
    assert {r["predicate"] for r in given.relations} <= set(loaded.predicates)
    with pytest.raises(InputError, match="boxes of 1 images for 2 images"):
        loaded.predict([image, image], [boxes])


def test_other_names_for_one_call(packed, image):
    loaded = groundgraph.load(packed)
    told = loaded.predict(image, categories=["woman", "tree"], predicates=["on"])
    assert told.categories == ("woman", "tree") and told.graph.predicate_scores.shape[1] == 2
    same(loaded.predict(image).graph, groundgraph.load(packed).predict(image).graph)


def test_a_broken_image_is_named(packed, tmp_path, image):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.png"):
        groundgraph.load(packed).predict([image, tmp_path / "broken.png"])


def test_words_have_boxes(packed, image, tmp_path):
    grounded = groundgraph.load(packed).ground(image, "a man riding a brown horse")
    record = grounded.record()
    assert [entity["text"] for entity in record["entities"]] == ["a man", "a brown horse"]
    assert record["relations"] == [{"subject": 0, "predicate": "ride", "object": 1}]
    assert all(len(entity["box"]) == 4 and 0 < entity["score"] <= 1 for entity in record["entities"])
    grounded.save(tmp_path / "words.svg", Image.open(image))
    assert "a brown horse" in (tmp_path / "words.svg").read_text()
    assert groundgraph.load(packed).ground(image, "wonderful").record()["entities"] == []


def test_pairs_of_a_new_image_are_grounded_as_their_run_grounds_them(settings, tmp_path):
    """By how their boxes lie, too."""
    place = groundgraph.run("demo", settings | {"grounder": "pairs"}, tmp_path / "run").folder
    run, model = Run(run_recipe(place), place), groundgraph.load(place)
    rows = zip(*(read(run, "test") for read in (artifacts.examples, artifacts.parsed)), strict=True)
    compared = 0
    for (example, captions), scores in zip(rows, artifacts.scores(run, "test", "pairs"), strict=True):
        first = 0
        for caption in captions:
            own = scores[first : first + len(caption.entities)]
            first += len(own)
            if caption.triplets:
                np.testing.assert_allclose(
                    model.ground(example.path, caption.text).scores, np.exp(own.max(1)), rtol=0.01
                )
                compared += 1
    assert compared > 5


def test_mistakes(run, packed, tmp_path):
    with pytest.raises(InputError, match=r"no run's folder"):
        groundgraph.load(tmp_path)
    with pytest.raises(InputError, match="a packed model has one method"):
        groundgraph.load(packed, "sgnls")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="nothing is written over"):
        groundgraph.pack(run, tmp_path / "mine")
    content = json.loads((packed / "config.json").read_text())
    for changed, why in (
        ({"format": 99}, "later than this one: upgrade"),
        ({"bundled": {"bundled:detector": "0" * 64}}, "trained with another bundled:detector"),
        ({"recipe": {"name": "x"}}, "its recipe is not understood"),
    ):
        shutil.copytree(packed, tmp_path / why[:5])
        write_json(tmp_path / why[:5] / "config.json", content | {"extra": content["extra"] | changed})
        with pytest.raises(InputError, match=why):
            groundgraph.load(tmp_path / why[:5])


def test_what_is_a_model_and_what_an_image(run, packed, image, tmp_path):
    assert is_model(str(run)) and is_model(str(packed)) and is_model("owner/name") and is_model("runs/gone")
    assert not is_model(str(image)) and not is_model("photos/beach.jpg") and not is_model(str(tmp_path))
