"""The gallery's pictures: each data set's miniature is read as it was written, and drawn small."""

from pathlib import Path

from tools.gallery import DATA_SETS, annotated_pictures, draw

PAGE = Path(__file__).parents[2] / "docs" / "gallery.md"


def test_each_data_set_annotates_the_scene_and_is_on_the_page(tmp_path):
    pictures = annotated_pictures()
    assert list(pictures) == list(DATA_SETS)
    triplets = {
        name: {(truth.labels[s], predicate, truth.labels[o]) for s, predicate, o in truth.relations}
        for name, (_, truth) in pictures.items()
    }
    assert ("man", "riding", "horse") in triplets["vg150"] & triplets["gqa"] & triplets["coco-relations"] & triplets[
        "minigenome"
    ]
    assert ("person", "ride", "horse") in triplets["vrd"] & triplets["hico-det"] and (
        "person",
        "riding",
        "horse",
    ) in triplets["psg"]
    assert triplets["open-images"] >= {("man", "ride", "horse"), ("man", "wears", "hat")}
    assert ("person", "ride", "horse") in triplets["vcoco"] and not triplets["refcoco"]
    assert not triplets["flickr30k-entities"] and len(pictures["flickr30k-entities"][1].boxes) == 4
    text = PAGE.read_text(encoding="utf-8")
    for name, (picture, truth) in pictures.items():
        assert (truth.boxes >= 0).all() and (truth.boxes <= picture.width).all(), name
        committed = PAGE.parent / "gallery" / f"{name}.svg"
        assert f"](gallery/{name}.svg)" in text and committed.stat().st_size < 60_000
    draw(tmp_path / "vrd.svg", *pictures["vrd"])
    assert all(word in (tmp_path / "vrd.svg").read_text() for word in ("on the left of", "horse 2", "person"))
    assert (tmp_path / "vrd.svg").stat().st_size < 60_000
