"""MiniGenome: deterministic, true to its drawing, ambiguous, and captioned with the objects its nouns mean."""

import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.minigenome import CATEGORIES, HELDOUT_SEED, PREDICATES, SIDE, UNSEEN, sample
from groundgraph.data.minigenome.builder import Builder
from groundgraph.data.minigenome.captions import Noun, region_captions, relation_caption, scene_captions
from groundgraph.data.minigenome.dataset import SPLITS, MiniGenome


@pytest.fixture(scope="module")
def scenes():
    return [sample(HELDOUT_SEED, i) for i in range(300)]


def test_a_scene_is_the_same_at_every_call():
    first, second = sample(7, 3), sample(7, 3)
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.objects, first.relations, first.captioned) == (second.objects, second.relations, second.captioned)
    assert sample(7, 4).image.tobytes() != first.image.tobytes()
    assert sample(7, 3, "coco").image.tobytes() != first.image.tobytes()


def test_vocabulary_has_the_promised_size():
    assert len(CATEGORIES) >= 40 and len(set(CATEGORIES)) == len(CATEGORIES)
    assert len(PREDICATES) >= 15
    assert len(UNSEEN) / len(CATEGORIES) >= 0.2 and UNSEEN <= set(CATEGORIES)


def test_everything_named_occurs_and_lies_in_the_picture(scenes):
    categories = Counter(thing.category for s in scenes for thing in s.objects)
    predicates = Counter(p for s in scenes for _, p, _ in s.relations)
    assert set(predicates) == set(PREDICATES)
    assert set(categories) <= set(CATEGORIES) and len(categories) > 45
    for scene in scenes:
        assert scene.image.size == (SIDE, SIDE)
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            assert 0 <= x0 < x1 <= SIDE and 0 <= y0 < y1 <= SIDE and 0 < thing.visible <= 1


def test_most_objects_are_big_enough(scenes):
    short = [min(t.box[2] - t.box[0], t.box[3] - t.box[1]) for s in scenes for t in s.objects]
    assert np.mean(np.array(short) >= 12) > 0.8


def test_half_of_the_images_have_an_idle_twin(scenes):
    def ambiguous(scene):
        active = {i for r in scene.captioned for i in (scene.relations[r][0], scene.relations[r][2])}
        total = Counter(t.category for t in scene.objects)
        taking_part = Counter(scene.objects[i].category for i in active)
        return any(total[c] > 1 and n == 1 for c, n in taking_part.items())

    assert np.mean([ambiguous(s) for s in scenes]) >= 0.5


def test_boxes_are_tight_and_visibility_is_what_is_left():
    rng = random.Random(0)
    builder = Builder(rng, "vg")
    far = builder.icon("box", 112, 160, 120, colour="red")
    near = builder.canvas.add("wall", "white")
    x0, y0, x1, y1 = (round(v) for v in far.box)
    middle = (x0 + x1) // 2
    builder.canvas.shape("r", [(middle, 0), (223, 223)], (255, 255, 255), near)  # hides the right half
    builder.full[near] = 1
    scene = builder.finish()
    (box,) = [t for t in scene.objects if t.category == "box"]
    assert box.box == pytest.approx((x0 / 2, y0 / 2, middle / 2, y1 / 2), abs=1.0)
    assert box.visible == pytest.approx(0.5, abs=0.06)


def test_a_hidden_object_and_its_relations_are_left_out():
    builder = Builder(random.Random(0), "vg")
    cup = builder.icon("cup", 60, 120, 120)
    cover = builder.icon("house", 60, 160, 120)
    dog = builder.icon("dog", 180, 200, 100)
    builder.relate(cup.index, "behind", cover.index)
    builder.relate(dog.index, "near", cover.index)
    scene = builder.finish()
    names = [t.category for t in scene.objects]
    assert "cup" not in names
    assert [(names[s], p, names[o]) for s, p, o in scene.relations] == [("dog", "near", "house")]
    assert scene.captioned == (0,)


def test_a_garment_is_part_of_its_wearer():
    for index in range(20):
        scene = sample(HELDOUT_SEED, index)
        for s, p, o in scene.relations:
            if p == "wearing" and scene.objects[o].category in ("shirt", "pants", "dress"):
                inner, outer = scene.objects[o].box, scene.objects[s].box
                assert inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


@pytest.mark.parametrize("speak, style", [(region_captions, "vg"), (scene_captions, "coco")])
def test_mentions_point_at_the_noun_and_at_objects_of_its_category(speak, style):
    from groundgraph.data.minigenome.captions import _PLURALS, SYNONYMS

    for index in range(100):
        scene = sample(HELDOUT_SEED, index, style)
        captions = speak(scene, random.Random(index))
        assert captions
        for caption in captions:
            for start, end, objects in caption.mentions:
                word = caption.text[start:end].lower()
                (category,) = {scene.objects[i].category for i in objects}
                singular = SYNONYMS.get(category, (category,))
                assert word in {*singular, *(_PLURALS.get(w, w + "s") for w in singular)}


def test_captions_only_speak_of_captioned_relations():
    for index in range(100):
        scene = sample(HELDOUT_SEED, index)
        spoken = {i for r in scene.captioned for i in (scene.relations[r][0], scene.relations[r][2])}
        worn = {o for s, p, o in scene.relations if p == "wearing" and s in spoken}
        if not scene.captioned:
            continue
        for caption in region_captions(scene, random.Random(index)):
            said = {i for _, _, objects in caption.mentions for i in objects}
            assert said <= spoken | worn or not said & spoken


def test_a_relation_is_put_in_many_ways():
    rng = random.Random(0)
    said = {relation_caption(Noun("man", (0,)), "riding", Noun("horse", (1,)), rng).text for _ in range(3000)}
    assert {"a man is riding a horse", "a horse is being ridden by a man", "a man who is riding a horse"} <= said
    assert "a horse that a man is riding" in said and "there is a man riding a horse" in said
    assert any(text.startswith(("man ", "guy ")) for text in said)


def test_data_set_draws_once_and_keeps(tmp_path):
    data = MiniGenome("train", "vg_caption", tmp_path, 3)
    example = data[1]
    assert Image.open(example.path).size == (SIDE, SIDE)
    stamp = (tmp_path / "train-vg-00001.png").stat().st_mtime_ns
    again = data[1]
    assert again.captions == example.captions and np.array_equal(again.truth.boxes, example.truth.boxes)
    assert (tmp_path / "train-vg-00001.png").stat().st_mtime_ns == stamp
    assert len(list(data)) == 3 and {name: size for name, (_, size) in SPLITS.items()} == {
        "train": 4000,
        "validation": 500,
        "test": 1000,
    }


def test_three_settings(tmp_path):
    region = MiniGenome("train", "vg_caption", tmp_path, 5)[0]
    longer = MiniGenome("train", "coco_caption", tmp_path, 5)[0]
    bare = MiniGenome("train", "unlocalized_graph", tmp_path, 5)[0]
    assert region.captions and not region.triplets and longer.captions[0].endswith(".")
    assert bare.triplets and not bare.captions
    assert region.path == bare.path != longer.path  # the COCO-like images are others
    mention = bare.truth.mentions[0]
    assert bare.truth.labels[mention.objects[0]] == bare.triplets[mention.caption][0] and mention.entity == 0
    assert "coco" not in MiniGenome("test", "coco_caption", tmp_path, 5)[0].path


def test_unknown_split_setting_or_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no split 'dev'"):
        MiniGenome("dev", "vg_caption", tmp_path)
    with pytest.raises(ValueError, match="no setting 'captions'"):
        MiniGenome("train", "captions", tmp_path)
    with pytest.raises(ValueError, match="500 images; 501"):
        MiniGenome("validation", "vg_caption", tmp_path, 501)
