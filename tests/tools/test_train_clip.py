"""The image-text model's training: tags of captions, crops found by their maps, the contrast, what is left behind."""

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import AutoModel

from groundgraph.data.minigenome import CATEGORIES
from tools.clip_crops import best_boxes, coverage, find_crops, random_boxes, read_tags
from tools.corpus import Corpus, draw
from tools.train_clip import PROMPTS, contrast, cut, phrase, train_clip
from tools.train_vl import TagHead, build


def test_tags_are_nouns_and_coloured_nouns_of_the_captions():
    texts = [["a guy on a red bike", "The man is happy."], ["a bicycle near a tree"], ["a red bike in a field"]]
    tags = read_tags(Corpus(None, [], texts), least=2)
    assert tags.tags == (*((name, "") for name in CATEGORIES), ("bike", "red"))
    named = [{tags.tags[t] for t in torch.nonzero(row)[:, 0]} for row in tags.labels]
    assert named[0] == {("man", ""), ("bike", ""), ("bike", "red")}
    assert named[1] == {("bike", ""), ("tree", "")}
    assert named[2] == {("bike", ""), ("bike", "red")}
    assert tags.words["bike"] == {"bike": 2, "bicycle": 1} and tags.words["man"] == {"man": 1, "guy": 1}
    assert tags.noun[-1] == CATEGORIES.index("bike")
    assert tags.log_odds[-1] == pytest.approx(np.log(2), abs=1e-5)  # two of three pictures
    assert torch.isfinite(tags.log_odds).all()


def test_coverage_by_hand():
    shares = coverage(torch.tensor([[5.0, 0, 20, 10], [0, 15, 20, 20]]), (2, 2), 20)
    assert shares.tolist() == [[0.5, 1, 0, 0], [0, 0, 0.5, 0.5]]


def test_the_best_box_holds_the_evidence_and_no_more():
    boxes = torch.tensor([[0.0, 0, 40, 40], [0, 0, 20, 20], [20, 20, 40, 40], [2, 0, 22, 20]])
    covered = coverage(boxes, (4, 4), 40)
    evidence = torch.zeros(2, 16)
    evidence[0, [0, 1, 4, 5]] = 1  # the upper left quarter
    evidence[1] = 1
    found = best_boxes(evidence, boxes, covered, torch.tensor([0.45, 0.45]))
    # Box 3 overlaps box 1 by 18 * 20 of 440 pixels, which is alike; box 0 by a quarter, which is not.
    assert found[0].tolist() == [1, 0, 21, 20]
    assert found[1].tolist() == [0, 0, 40, 40]


def test_crops_are_found_for_every_tag_of_a_caption():
    torch.manual_seed(0)
    corpus = draw("expert", 6, processes=1)
    tags = read_tags(corpus, least=1)
    model = build("bundled:text", channels=16)
    head = TagHead(model.config.text_config.hidden_size, len(tags.tags))
    crops = find_crops(model, head, torch.from_numpy(corpus.images), tags, np.random.default_rng(0), batch=4)
    # The bias of a fresh head lets no tag be sure of itself.
    assert torch.stack([crops.picture, crops.tag], 1).tolist() == torch.nonzero(tags.labels).tolist()
    assert crops.box.min() >= 0 and crops.box.max() <= corpus.images.shape[1]
    assert (crops.box[:, 2:] > crops.box[:, :2]).all()


def test_a_crop_of_the_whole_picture_is_the_picture():
    images = torch.randint(0, 255, (2, 8, 8, 3), dtype=torch.uint8)
    whole = torch.tensor([[0.0, 0, 8, 8], [2, 0, 6, 4]])
    torch.testing.assert_close(cut(images, whole, 8)[0], images[0].permute(2, 0, 1).float(), atol=1e-3, rtol=0)
    part = cut(images, whole, 4)[1]
    torch.testing.assert_close(part, images[1, 0:4, 2:6].permute(2, 0, 1).float(), atol=1e-3, rtol=0)


def test_random_boxes_lie_inside():
    boxes = random_boxes(500, 112, np.random.default_rng(0))
    assert boxes.min() >= 0 and boxes.max() <= 112 and (boxes[:, 2:] > boxes[:, :2]).all()


def test_phrases_use_the_words_of_captions():
    rng = np.random.default_rng(0)
    phrases = {phrase("bike", "orange", Counter(bicycle=2), rng) for _ in range(200)}
    expected = {f"{prompt} {word}" for prompt in ("a photo of an orange", "an orange") for word in ("bike", "bicycle")}
    expected |= {f"{start}orange {word}" for start in ("the ", "") for word in ("bike", "bicycle")}
    assert phrases == expected and len(expected) == 2 * len(PROMPTS)


def test_contrast_by_hand():
    crops = np.array(["car", "car", "dog"]), np.array(["", "red", ""])
    phrases = np.array(["car", "car", "dog", "cat"]), np.array(["", "red", "", ""])
    logits = torch.tensor([[2.0, 5.0, 0.0, 1.0], [1.0, 3.0, 0.0, 2.0], [0.0, 1.0, 4.0, 0.0]])
    # Crop 0 (no colour known) against "red car" is left out; crop 1 fits "car" and "red car"; nothing fits "cat".
    e = np.exp
    rows = [
        -np.log(e(2) / (e(2) + 1 + e(1))),
        -0.5 * (np.log(e(1) / (e(1) + e(3) + 1 + e(2))) + np.log(e(3) / (e(1) + e(3) + 1 + e(2)))),
        -np.log(e(4) / (1 + e(1) + e(4) + 1)),
    ]
    columns = [
        -0.5 * (np.log(e(2) / (e(2) + e(1) + 1)) + np.log(e(1) / (e(2) + e(1) + 1))),
        -np.log(e(3) / (e(3) + e(1))),
        -np.log(e(4) / (e(4) + 2)),
    ]
    hand = (np.mean(rows) + np.mean(columns)) / 2
    np.testing.assert_allclose(float(contrast(logits, crops, phrases)), hand, rtol=1e-4)


def test_another_colour_is_wrong():
    crops, phrases = (np.array(["car"]), np.array(["red"])), (np.array(["car", "car"]), np.array(["red", "blue"]))
    loss = contrast(torch.tensor([[1.0, 3.0]]), crops, phrases)
    # The row: e / (e + e^3); the columns: "red car" has one crop, which is right; nothing fits "blue car".
    assert float(loss) == pytest.approx(0.5 * np.log(1 + np.exp(2)), rel=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_short_training_leaves_a_model_and_its_card(tmp_path):
    figures = train_clip(tmp_path / "clip", steps=6, pictures=40, batch_size=16)
    assert figures["true crops"] > 40 and 0 <= figures["category of a true crop among all categories"] <= 1
    card = (tmp_path / "clip" / "README.md").read_text()
    assert "| pictures | 40 |" in card and "| boxes | 0 |" in card
    model = AutoModel.from_pretrained(tmp_path / "clip", dtype=torch.float32).eval()
    assert model.get_image_features(torch.zeros(1, 3, 48, 48)).pooler_output.shape == (1, 128)
