"""Any DETR-like model of transformers, here a tiny random one without timm or network."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    ResNetConfig,
    YolosConfig,
    YolosForObjectDetection,
)

from groundgraph.vision.detectors import load_detector

QUERIES, WIDTH = 12, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detr")
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1] * 4, layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        d_model=WIDTH,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=QUERIES,
        id2label={0: "cat", 1: "dog", 2: "hat"},
        init_std=0.5,
    )
    DetrForObjectDetection(config).save_pretrained(path)
    DetrImageProcessor(size={"shortest_edge": 32, "longest_edge": 64}).save_pretrained(path)
    return str(path)


def pictures(*sizes):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


def test_regions_are_the_queries(folder):
    detector = load_detector("transformers", folder, count=QUERIES)
    detector.suppression = 1.0
    image = pictures((40, 32))[0]
    regions = detector.regions([image])[0]
    with torch.no_grad():
        output = detector.model(**detector.processor(images=[image], return_tensors="pt"))
    chance = output.logits[0].softmax(-1)[:, :3]
    order = chance.amax(1).argsort(descending=True)
    cx, cy, w, h = output.pred_boxes[0][order].T * torch.tensor([40.0, 32, 40, 32])[:, None]
    boxes = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1)
    boxes = boxes.clamp(min=0).minimum(torch.tensor([40.0, 32, 40, 32]))
    assert len(regions) == QUERIES and regions.size == (40, 32) and detector.categories == ("cat", "dog", "hat")
    assert np.allclose(regions.scores, chance.amax(1)[order], atol=1e-5)
    assert np.allclose(regions.boxes, boxes, atol=1e-3)
    assert np.allclose(regions.features, output.last_hidden_state[0][order], atol=1e-5)
    committed = chance.amax(1)[order] >= detector.commit
    assert (regions.labels == torch.where(committed, chance.argmax(1)[order], -1).numpy()).all()


def test_mixed_sizes_keep_their_order_and_need_no_padding(folder):
    detector = load_detector("transformers", folder, count=5)
    images = pictures((40, 32), (32, 40), (40, 32), (33, 33))
    together = detector.regions(images)
    assert [r.size for r in together] == [i.size for i in images] and all(0 < len(r) <= 5 for r in together)
    for image, regions in zip(images, together, strict=True):
        assert np.allclose(detector.regions([image])[0].features, regions.features, atol=1e-4)
    assert detector.regions([]) == []


def test_a_model_without_query_states_is_a_clear_error(tmp_path):
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 32],
        num_detection_tokens=5,
        id2label={0: "cat"},
    )
    YolosForObjectDetection(config).save_pretrained(tmp_path)
    DetrImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not one for each of its 5 queries"):
        load_detector("transformers", str(tmp_path)).regions(pictures((32, 32)))


def test_what_is_no_detector(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot load an object detector"):
        load_detector("transformers", str(tmp_path))
