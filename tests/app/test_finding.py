"""What the page shows: by the bundled miniature, and by a small model with open heads."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from small_model import small_packed, small_run

import groundgraph
from groundgraph.app.finding import Finder
from groundgraph.app.samples import sample_photos
from groundgraph.errors import InputError

EVIL = "<script>top.document.title=1</script>"


@pytest.fixture(scope="module")
def finder():
    return Finder(groundgraph.load())


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return small_packed(small_run(tmp_path_factory.mktemp("app")))


@pytest.fixture(scope="module")
def image(packed):
    return next((packed.parent / "run" / "images").glob("test-*.png"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return sample_photos(tmp_path_factory.mktemp("samples"))


def test_every_sample_has_its_words_and_relations(finder, samples):
    for photo, caption in samples:
        finding = finder.find(photo, caption)
        assert len(finding.record(finding.min_score)["caption"]["entities"]) >= 2
        assert finding.shown(finding.min_score).relations and not finding.notes
        assert finding.case["targets"]["object"] is not None
        assert finding.case["maps"] and finding.case["targets"]["interaction"] is not None


def test_the_words_boxes_are_those_of_the_model(finder, samples):
    photo, caption = samples[0]
    expected = groundgraph.load().ground(photo, caption)
    np.testing.assert_allclose(finder.find(photo, caption).caption.boxes, expected.boxes, atol=0.1)


def test_another_caption_does_not_look_for_regions_again(finder, samples, monkeypatch):
    photo, caption = samples[0]
    before = finder.find(photo, caption)
    monkeypatch.setattr(finder.model.detector._detector, "detect", None)
    after = finder.find(photo, "a man")
    assert after.record(0.5)["graph"] == before.record(0.5)["graph"]


def test_names_limit_a_graph_whose_model_knows_its_own_alone(finder, samples):
    photo, _ = samples[0]
    whole, part = finder.find(photo), finder.find(photo, "", "MAN,\ndog", "walking")
    assert {r["predicate"] for r in part.shown(0.1).relations} == {"walking"}
    assert {o["category"] for o in part.shown(0.1).objects} == {"man", "dog"}
    assert len(part.shown(0.1).relations) < len(whole.shown(0.1).relations)
    with pytest.raises(InputError, match=r"no thing called “unicorn”\. It knows man, woman"):
        finder.find(photo, "", "unicorn")
    with pytest.raises(InputError, match="201 names; up to 200"):
        finder.find(photo, "", ",".join(map(str, range(201))))


def test_a_model_with_open_heads_takes_any_names(packed, image):
    finder = Finder(groundgraph.load(packed))
    finding = finder.find(image, "a man", f"{EVIL}, man", "riding")
    assert finding.graph.categories == (EVIL, "man") and finding.graph.predicates == ("riding",)
    assert finding.min_score == 0  # nothing is known of other names' scores
    assert finder.find(image, "a man").graph.categories != finding.graph.categories


def test_markup_is_text_on_the_page_and_in_the_picture(packed, image, tmp_path):
    finding = Finder(groundgraph.load(packed)).find(image, f"a man {EVIL} on a horse", f"{EVIL}, {EVIL} 2", "riding")
    assert EVIL not in finding.page(0) and "\\u003cscript" in finding.page(0)
    with Image.open(image) as picture:
        finding.shown(0).save(tmp_path / "graph.svg", picture)
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(tmp_path / "graph.svg").iter()}
    assert "script" not in tags and "text" in tags


def test_where_there_is_nothing_the_page_says_so(finder, samples, tmp_path):
    photo, _ = samples[0]
    assert "Write a caption" in finder.find(photo).page(0.5)
    assert "names nothing that could have a box" in finder.find(photo, "hello").page(0.5)
    with pytest.raises(InputError, match="301 characters; up to 300"):
        finder.find(photo, "a" * 301)
    Image.new("RGB", (90, 60), "white").save(tmp_path / "white.png")
    finding = finder.find(tmp_path / "white.png", "a man riding a horse")
    assert finding.page(finding.min_score) and finding.record(0.1)["graph"]["relations"] == []
    content = photo.read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read to its end"):
        finder.find(tmp_path / "half.png", "a man")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match="Nothing was found in this photo of 1 × 1 pixels"):
        finder.find(tmp_path / "dot.png", "a man")


def pictures_as_people_have_them(folder):
    """What is read: kinds of pictures that a photo may come as."""
    picture = Image.linear_gradient("L").resize((120, 90)).convert("RGB")
    picture.save(folder / "animated.gif", save_all=True, append_images=[picture.rotate(30), picture.rotate(60)])
    picture.convert("CMYK").save(folder / "print.jpg")
    Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=turned)
    return sorted(folder.iterdir())


def test_pictures_of_all_kinds_are_looked_at_upright(finder, tmp_path):
    for path in pictures_as_people_have_them(tmp_path):
        finding = finder.find(path, "a man riding a horse")
        assert finding.picture["size"] == ([90, 120] if path.name == "turned.jpg" else [120, 90])
        assert finding.page(0.5) and finding.record(0.5)["graph"] is not None


def test_captions_that_are_no_english_sentences(finder, samples):
    photo, _ = samples[0]
    for caption in ("一个男人骑马", "😀🐴👩‍👩‍👧", "\u202eesroh a no nam"):
        assert "it is read as English" in finder.find(photo, caption).page(0.5)
    assert finder.find(photo, "<b>man</b> &amp; a DOG").record(0.5)["caption"]["entities"]
