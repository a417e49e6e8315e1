"""Detectors of transformers, here tiny random ones without timm or network."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import roi_align
from transformers import (
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    ResNetConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    YolosConfig,
    YolosForObjectDetection,
)

from groundgraph.vision import load_detector

QUERIES, WIDTH = 12, 16


def save_detr(path):
    torch.manual_seed(0)
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_detr(tmp_path_factory.mktemp("detr"))


def pictures(*sizes):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


def test_regions_are_the_queries(folder):
    detector = load_detector("transformers", folder, count=QUERIES)
    detector.nms_threshold = 1.0
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
    committed = chance.amax(1)[order] >= detector.label_threshold
    assert (regions.labels == torch.where(committed, chance.argmax(1)[order], -1).numpy()).all()


def test_mixed_sizes_keep_their_order_and_need_no_padding(folder):
    detector = load_detector("transformers", folder, count=5)
    images = pictures((40, 32), (32, 40), (40, 32), (33, 33))
    together = detector.regions(images)
    assert [r.size for r in together] == [i.size for i in images] and all(0 < len(r) <= 5 for r in together)
    for image, regions in zip(images, together, strict=True):
        assert np.allclose(detector.regions([image])[0].features, regions.features, atol=1e-4)
    assert detector.regions([]) == []


def test_features_from_the_map_serve_given_boxes(folder):
    """Pooled features equal RoIAlign on the backbone's last map, written out; given boxes get the very same."""
    detector = load_detector("transformers", folder, count=4, features="map")
    image = pictures((64, 32))[0]
    regions = detector.regions([image])[0]
    inputs = detector.processor(images=[image], return_tensors="pt")
    assert inputs["pixel_values"].shape[2:] == (32, 64)
    with torch.no_grad():
        maps = detector.model.model.backbone(inputs["pixel_values"], inputs["pixel_mask"])[-1][0]  # [1, 16, 1, 2]
    scale = torch.tensor([maps.shape[3] / 64, maps.shape[2] / 32] * 2)
    rois = torch.cat([torch.zeros(len(regions), 1), torch.from_numpy(regions.boxes) * scale], 1)
    expected = roi_align(maps, rois, 7, 1.0, 2, True).mean((2, 3))
    assert regions.features.shape == (len(regions), 16) and np.allclose(regions.features, expected, atol=1e-5)
    other = pictures((40, 40))[0]
    first, second = detector.pool([other, image], [np.array([[0, 0, 9, 9]]), regions.boxes])
    assert np.allclose(second.features, regions.features, atol=1e-5) and (second.labels == -1).all()
    assert first.features.shape == (1, 16) and first.size == (40, 40)
    with pytest.raises(ValueError, match="features only for the regions it finds"):
        load_detector("transformers", folder).pool([image], [regions.boxes])


def save_yolos(path):
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[32, 32],
        num_detection_tokens=5,
        id2label={0: "cat"},
        initializer_range=0.3,
    )
    torch.manual_seed(1)
    YolosForObjectDetection(config).save_pretrained(path)
    DetrImageProcessor(size={"height": 32, "width": 32}).save_pretrained(path)
    return str(path)


@pytest.fixture
def yolos(tmp_path):
    return save_yolos(tmp_path)


def test_yolos_queries_are_its_last_tokens(yolos):
    detector = load_detector("transformers", yolos, count=5)
    detector.nms_threshold = 1.0
    image = pictures((48, 40))[0]
    regions = detector.regions([image])[0]
    with torch.no_grad():
        output = detector.model(**detector.processor(images=[image], return_tensors="pt"))
    order = output.logits[0].softmax(-1)[:, 0].argsort(descending=True)
    assert len(regions) == 5 and np.allclose(regions.features, output.last_hidden_state[0, -5:][order], atol=1e-5)
    mapped = load_detector("transformers", yolos, count=5, features="map")
    whole = mapped.pool([image], [np.array([[0, 0, 48, 40]])])[0]
    patches = output.last_hidden_state[0, 1:5]  # 2 x 2 patches of 16 pixels
    # Samples at (i + .25) / 14 of the grid weigh both halves alike, so a whole picture is the plain mean.
    assert np.allclose(whole.features[0], patches.mean(0), atol=1e-5)


def rt_detr():
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 16, 16],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return RTDetrForObjectDetection(
        RTDetrConfig(
            backbone_config=backbone, use_timm_backbone=False, encoder_hidden_dim=16, encoder_in_channels=[16] * 3,
            encoder_ffn_dim=16, encoder_layers=1, encoder_attention_heads=2, decoder_in_channels=[16] * 3, d_model=16,
            decoder_ffn_dim=16, decoder_layers=1, decoder_attention_heads=2, num_queries=10, num_denoising=0,
            id2label={0: "cat", 1: "dog"}, anchor_image_size=None,
        )
    )  # fmt: skip


def deformable():
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 16],
        depths=[1] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return DeformableDetrForObjectDetection(
        DeformableDetrConfig(
            backbone_config=backbone, use_timm_backbone=False, use_pretrained_backbone=False, d_model=32,
            encoder_layers=1, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=10, id2label={0: "cat", 1: "dog"}, init_std=0.5,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("build", "processor"),
    [
        (rt_detr, lambda: RTDetrImageProcessor(size={"height": 64, "width": 64})),
        (deformable, lambda: DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})),
    ],
)
@pytest.mark.parametrize("features", ["detector", "map"])
def test_other_families(tmp_path, build, processor, features):
    torch.manual_seed(0)
    build().save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    detector = load_detector("transformers", str(tmp_path), count=6, features=features)
    for regions, size in zip(detector.regions(pictures((50, 40), (40, 60))), ((50, 40), (40, 60)), strict=True):
        width = 16 if features == "map" else detector.model.config.d_model
        assert 0 < len(regions) <= 6 and regions.features.shape == (len(regions), width) and regions.size == size
        assert np.isfinite(regions.features).all() and set(regions.labels) <= {-1, 0, 1}
        assert (regions.boxes >= 0).all() and (regions.boxes <= np.array(size * 2)).all()


def test_a_model_that_shows_nothing_is_told_to_take_a_backbone():
    from groundgraph.vision.query_detector import feature_map

    with pytest.raises(ValueError, match="give the option features a backbone"):
        feature_map(rt_detr(), {}, None, [])


def test_what_is_no_detector(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot load an object detector"):
        load_detector("transformers", str(tmp_path))
