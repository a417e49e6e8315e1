import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_albef import TOWERS, save_tiny
from transformers import BertConfig, BertModel

from groundgraph.data.types import Entity, ParsedCaption, Regions
from groundgraph.teachers import VISION_LANGUAGE_MODELS
from groundgraph.teachers.interaction import InteractionTeacher, cell_side, interaction_targets, region_scores


def entity(text, word):
    start = text.index(word)
    return Entity(word, word, word, (start, start + len(word)), (start, start + len(word)))


def caption(text, *words):
    return ParsedCaption(text, tuple(entity(text, word) for word in words))


def regions(count, size=(48, 24), seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.5, (count, 2)) * size
    boxes = np.concatenate([low, low + rng.uniform(0.2, 0.5, (count, 2)) * size], 1).astype(np.float32)
    return Regions(boxes, np.zeros(count, np.int64), np.ones(count, np.float32), np.zeros((count, 3), np.float32), size)


def picture(seed, size=(48, 24)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def test_region_scores_by_hand():
    maps = np.zeros((3, 2, 4), np.float32)
    maps[0] = [[0, 2, 4, 0], [0, 0, 0, 0]]  # divided by 4: .5 and 1
    maps[1] = [[1, 1, 1, 1], [1, 1, 1, 1]]
    # A picture of 80 x 20 pixels: a cell is 20 wide and 10 high.
    boxes = [[20, 0, 60, 10], [0, 0, 80, 20], [30, 0, 60, 5], [10, 5, 10, 5], [60, 0, 100, 20]]
    scores = region_scores(maps, np.array(boxes), (80, 20))
    hand = [
        [1.5 / 2**0.5, 1.5 / 8**0.5, (0.25 * 0.5 + 0.5 * 1.0) / 0.75**0.5, 0, 0],
        [2 / 2**0.5, 8 / 8**0.5, 0.75 / 0.75**0.5, 0, 2 / 2**0.5],  # the last box: its inner half
        [0, 0, 0, 0, 0],
    ]
    np.testing.assert_allclose(scores, hand, rtol=1e-5, atol=1e-6)


def test_region_scores_equal_a_sum_over_fine_points():
    rng = np.random.default_rng(3)
    maps, boxes = rng.random((2, 5, 7), np.float32), np.array([[3.3, 1.7, 61.2, 37.9], [10, 20, 11.5, 44]])
    fine = np.repeat(np.repeat(maps / maps.max((1, 2), keepdims=True), 200, 1), 200, 2) / 200**2
    y, x = (np.arange(1000) + 0.5) / 1000 * 50, (np.arange(1400) + 0.5) / 1400 * 70
    for v, (x0, y0, x1, y1) in enumerate(boxes):
        inside = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
        area = (x1 - x0) * (y1 - y0) / (10 * 10)
        np.testing.assert_allclose(
            region_scores(maps, boxes, (70, 50))[:, v], (fine * inside).sum((1, 2)) / area**0.5, rtol=0.02
        )


def test_by_pixels_as_released():
    """Eq. 7 of the map blown up to the picture's pixels, with areas in pixels: `cell_side` times that by cells."""
    rng = np.random.default_rng(5)
    maps, boxes = rng.random((2, 3, 5), np.float32), np.array([[0, 0, 50, 12], [4, 3, 31, 12], [20, 1, 22, 9]])
    pixels = np.repeat(np.repeat(maps / maps.max((1, 2), keepdims=True), 4, 1), 10, 2)  # cells of 4 x 10 pixels
    hand = [[m[y0:y1, x0:x1].sum() / ((x1 - x0) * (y1 - y0)) ** 0.5 for x0, y0, x1, y1 in boxes] for m in pixels]
    side = cell_side((3, 5), (50, 12))
    assert side == pytest.approx(40**0.5) and cell_side((24, 24), (640, 480)) == pytest.approx(23.09, abs=0.01)
    np.testing.assert_allclose(region_scores(maps, boxes, (50, 12)) * side, hand, rtol=1e-5)


def test_interaction_targets_by_hand():
    targets = interaction_targets(np.array([[0.0, np.log(3)], [5, 5]], np.float32), 1.0)
    np.testing.assert_allclose(targets, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-5)
    np.testing.assert_allclose(interaction_targets(np.array([[0.0, np.log(3)]]), 0.5), [[0.1, 0.9]], rtol=1e-5)
    assert interaction_targets(np.zeros((2, 0)), 1.0).shape == (2, 0)


@pytest.mark.parametrize("tower", TOWERS)
def test_batches_do_not_change_the_answer(tower, tmp_path):
    """Images together, with captions of other lengths and counts beside them, as each alone."""
    model = save_tiny(tmp_path, tower)
    captions = [
        [caption("a man riding a brown horse", "man", "horse"), ParsedCaption("on the")],
        [],
        [caption("two wagons", "wagons"), caption("a dog", "dog"), caption("the boy on a bike", "boy", "bike")],
    ]
    found = [regions(4), regions(3), regions(0)]
    pictures = [picture(i) for i in range(3)]
    teacher = InteractionTeacher(model, batch_size=2)
    together = teacher.targets(pictures, found, captions)
    assert [[rows.shape for rows in image] for image in together] == [[(2, 4), (0, 4)], [], [(1, 0), (1, 0), (2, 0)]]
    np.testing.assert_allclose(together[0][0].sum(1), 1, rtol=1e-5)
    maps = teacher.model.activation_maps(pictures, captions)
    for i in (0, 2):
        alone = teacher.model.activation_maps([pictures[i]], [captions[i]])[0]
        for a, b in zip(alone, maps[i], strict=True):
            assert a.shape[1:] == (3, 3)
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    scores = region_scores(maps[0][0], found[0].boxes, found[0].size)
    np.testing.assert_allclose(together[0][0], interaction_targets(scores, teacher.temperature), rtol=1e-4)


def test_an_entity_is_the_mean_over_its_pieces(tmp_path):
    teacher = InteractionTeacher(save_tiny(tmp_path, "resnet"))
    text = "a wagons"  # pieces: [CLS] a wa ##gon ##s [SEP]
    whole = teacher.model.activation_maps([picture(1)], [[caption(text, "wagons")]])[0][0]
    parts = teacher.model.activation_maps([picture(1)], [[caption(text, "wa", "gon")]])[0][0]
    last = ParsedCaption(text, (Entity("s", "s", "s", (7, 8), (7, 8)),))
    parts = np.concatenate([parts, teacher.model.activation_maps([picture(1)], [[last]])[0][0]])
    np.testing.assert_allclose(whole[0], parts.mean(0), rtol=1e-4, atol=1e-8)


def test_an_entity_beyond_the_length_is_uniform_and_counted(tmp_path):
    teacher = InteractionTeacher(save_tiny(tmp_path, "resnet"))
    far = caption(" ".join(["the man on"] * 6) + " horse", "horse")
    (((row,),),) = ([t[0]] for t in teacher.targets([picture(0)], [regions(4)], [[far]]))
    np.testing.assert_allclose(row, 0.25)
    assert teacher.truncated == 1


def test_a_new_kind_is_a_line_in_the_registry(tmp_path, monkeypatch):
    class Left:  # looks at the left half, whatever is asked
        truncated = 0

        def __init__(self, place, **options):
            asked = {"layer": 1, "tokenizer": None, "image_size": 32, "batch_size": 16}
            assert options == asked | {"device": "auto", "precision": "auto"}

        def activation_maps(self, images, captions):
            return [[np.tile(np.float32([1, 0]), (len(c.entities), 1, 1)) for c in texts] for texts in captions]

    save_bert(tmp_path)
    monkeypatch.setitem(VISION_LANGUAGE_MODELS, "bert", Left)
    found = replace(regions(2), boxes=np.array([[0, 0, 24, 24], [24, 0, 48, 24]], np.float32))
    teacher = InteractionTeacher(str(tmp_path), layer=1, temperature=0.5, image_size=32)
    ((rows,),) = teacher.targets([picture(0)], [found], [[caption("a dog", "dog")]])
    np.testing.assert_allclose(rows, [[1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))]], rtol=1e-5)
    # By pixels: a cell is 24 x 24 of them, so 1 and 0 by cells are 24 and 0.
    teacher = InteractionTeacher(str(tmp_path), layer=1, area="pixels", temperature=12.0, image_size=32)
    ((rows,),) = teacher.targets([picture(0)], [found], [[caption("a dog", "dog")]])
    np.testing.assert_allclose(rows, [[1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))]], rtol=1e-5)


def test_the_bundled_one_loads_where_nothing_else_was_imported():
    code = "from groundgraph.teachers.interaction import InteractionTeacher; print(InteractionTeacher().model.layer)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "2\n"


def save_bert(folder):
    sizes = dict(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(BertConfig(**sizes)).save_pretrained(folder)


def test_another_kind_of_model_is_refused(tmp_path):
    save_bert(tmp_path)
    with pytest.raises(ValueError, match=r"is a bert model; the interaction-aware teacher takes albef, \.pth, blip"):
        InteractionTeacher(str(tmp_path))
    with pytest.raises(ValueError, match="does not exist"):
        InteractionTeacher("./nowhere")


def test_broken_image_settings_are_named(tmp_path):
    model = save_tiny(tmp_path, "resnet")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_resize": True}))
    with pytest.raises(ValueError, match=r"preprocessor_config\.json"):
        InteractionTeacher(model)
