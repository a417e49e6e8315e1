"""Features of regions pooled from a map: by hand, from tiny backbones, and in place of a detector's own."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision import load_detector
from groundgraph.vision.backbone import Backbone, load_backbone
from groundgraph.vision.detector import ImageDetector
from groundgraph.vision.pooled import PooledDetector
from groundgraph.vision.pooling import pool_regions


def test_a_ramp_pools_to_the_middle_of_the_box():
    """Map value = the cell's centre x (and y): bilinear samples of a ramp average to the box's middle."""
    x = (torch.arange(10) + 0.5).expand(8, 10)
    y = (torch.arange(8) + 0.5)[:, None].expand(8, 10)
    maps = torch.stack([torch.stack([x, y]), torch.stack([x, y]) * 2])
    boxes = [torch.tensor([[0.2, 0.25, 0.6, 0.75], [0.1, 0.125, 0.2, 0.25]]), torch.tensor([[0.3, 0.5, 0.5, 0.625]])]
    one, two = pool_regions(maps, boxes)
    assert torch.allclose(one, torch.tensor([[4.0, 4.0], [1.5, 1.5]]), atol=1e-5)  # (2..6, 2..6), (1..2, 1..2)
    assert torch.allclose(two, torch.tensor([[8.0, 9.0]]), atol=1e-5)  # twice (4, 4.5)
    assert [len(f) for f in pool_regions(maps, [torch.zeros(0, 4), boxes[1]])] == [0, 1]


def test_boxes_are_shares_of_each_image_and_batches_do_not_matter():
    """A backbone that hands the pixels on: a box of one colour has that colour, whatever the image's size."""
    backbone = Backbone(nn.Identity(), lambda pixels: pixels, (40, 60), (0, 0, 0), (1, 1, 1))
    backbone.batch_size = 2
    images, boxes = [], []
    for size in ((120, 80), (30, 90), (60, 40)):
        image = Image.new("RGB", size, "black")
        w, h = size
        image.paste((255, 0, 0), (w // 2, 0, w, h))
        images.append(image)
        boxes.append(np.array([[w * 0.7, h * 0.2, w * 0.9, h * 0.8], [0, 0, w, h]]))
    for features in backbone.features(images, boxes):
        assert np.allclose(features[0], [1, 0, 0], atol=0.02) and np.allclose(features[1], [0.5, 0, 0], atol=0.02)
        assert features.dtype == np.float32


def save(tmp_path, model, side=32):
    torch.manual_seed(0)
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(tmp_path)
    return str(tmp_path)


SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}


@pytest.mark.parametrize(
    ("build", "width"),
    [
        (lambda: ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8)), 8),
        (lambda: CLIPVisionModel(CLIPVisionConfig(**SMALL, image_size=32, patch_size=8)), 8),
        (
            lambda: ResNetModel(
                ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 8, 12], depths=[1] * 4, layer_type="basic")
            ),
            12,
        ),
    ],
)
def test_transformers_backbones(tmp_path, build, width):
    backbone = load_backbone(save(tmp_path, build(), 32 if width == 8 else 96))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8))
    whole, corner = backbone.features([image], [np.array([[0, 0, 70, 50], [0, 0, 20, 20]])])[0]
    assert whole.shape == (width,) and np.isfinite(whole).all() and not np.allclose(whole, corner)


def test_a_vits_map_is_its_patch_tokens_in_place(tmp_path):
    torch.manual_seed(0)
    model = ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8)).eval()
    backbone = load_backbone(save(tmp_path, model))
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        tokens = model(pixels).last_hidden_state[0, 1:]
        assert torch.allclose(backbone.maps(pixels)[0, :, 1, 2], tokens[4 * 1 + 2], atol=1e-5)


def test_a_classifiers_weights_reach_the_backbone(tmp_path):
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 8, 12], depths=[1] * 4, layer_type="basic")
    model = ResNetForImageClassification(config).eval()
    backbone = load_backbone(save(tmp_path, model))
    pixels = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(backbone.maps(pixels), model.resnet(pixels).last_hidden_state, atol=1e-5)


def test_backbones_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="no classifier 'resnet5'"):
        load_backbone("torchvision:resnet5")
    with pytest.raises(ValueError, match="no convolutional feature map"):
        load_backbone("torchvision:vit_b_16")
    (tmp_path / "bert").mkdir()
    model = BertModel(BertConfig(**SMALL, vocab_size=9))
    with pytest.raises(ValueError, match="bert model, which reads no pictures"):
        load_backbone(save(tmp_path / "bert", model)).features([Image.new("RGB", (9, 9))], [np.zeros((1, 4))])


def test_torchvision_backbones_come_from_the_hub_cache(tmp_path, monkeypatch):
    from torchvision import models

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("groundgraph.vision.backbone.SIDE", 64)
    (tmp_path / "checkpoints").mkdir()
    torch.manual_seed(0)
    for name, width in (("resnet18", 512), ("mobilenet_v3_small", 576)):
        url = models.get_model_weights(name).DEFAULT.url
        network = models.get_model(name, weights=None).eval()
        torch.save(network.state_dict(), tmp_path / "checkpoints" / url.rpartition("/")[2])
        backbone = load_backbone(f"torchvision:{name}")
        features = backbone.features([Image.new("RGB", (50, 30), "red")], [np.array([[0, 0, 50, 30]])])[0]
        assert features.shape == (1, width) and np.isfinite(features).all()
    cached = next((tmp_path / "checkpoints").glob("resnet18*"))
    cached.write_bytes(b"")
    with pytest.raises(ValueError, match=r"resnet18.*pth: cannot be loaded"):
        load_backbone("torchvision:resnet18")


class Halves(ImageDetector):
    """Two regions an image, its left and right half, without features of its own."""

    def __init__(self):
        super().__init__(["left", "right"])

    def regions(self, images):
        found = []
        for image in images:
            w, h = image.size
            boxes = np.array([[0, 0, w / 2, h], [w / 2, 0, w, h]], np.float32)
            found.append(Regions(boxes, np.arange(2), np.ones(2, np.float32), np.zeros((2, 0), np.float32), image.size))
        return found


def colours():
    return Backbone(nn.Identity(), lambda pixels: pixels, (32, 32), (0, 0, 0), (1, 1, 1))


def test_a_detectors_regions_with_another_networks_features(tmp_path):
    image = Image.new("RGB", (40, 20), "black")
    image.paste((0, 255, 0), (20, 0, 40, 20))
    image.save(tmp_path / "a.png")
    detector, skipped = PooledDetector(Halves(), colours()), Skipped()
    found, gone = detector.detect([Example("a", str(tmp_path / "a.png")), Example("b", "b.png")], skipped)
    assert detector.categories == ("left", "right") and gone is None and [w for w, _ in skipped.items] == ["b"]
    assert np.allclose(found.features, [[0, 0, 0], [0, 1, 0]], atol=0.1) and found.labels.tolist() == [0, 1]
    given = detector.pool([image], [np.array([[25, 5, 35, 15]])])[0]
    assert np.allclose(given.features, [[0, 1, 0]], atol=0.02) and given.labels.tolist() == [-1]


def test_regions_from_a_file_with_a_networks_features(tmp_path):
    for name, colour in (("a.png", (255, 0, 0)), ("b.png", (0, 0, 255))):
        Image.new("RGB", (10, 8), colour).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:50])  # its header is whole
    np.savez(
        tmp_path / "r.npz",
        file_names=np.array(["a.png", "b.png"]),
        categories=np.array(["cat"]),
        boxes=np.tile(np.array([1, 1, 9, 7], np.float32), (2, 1, 1)),
        labels=np.zeros((2, 1), int),
        scores=np.ones((2, 1), np.float32),
        features=np.zeros((2, 1, 2), np.float32),
    )
    detector, skipped = PooledDetector(load_detector("precomputed", str(tmp_path / "r.npz")), colours()), Skipped()
    a, b = detector.detect([Example(n, str(tmp_path / n)) for n in ("a.png", "b.png")], skipped)
    assert np.allclose(a.features, [[1, 0, 0]], atol=0.02) and b is None
    assert len(skipped.items) == 1 and "truncated" in skipped.items[0][1]
    with pytest.raises(ValueError, match="looks at no images"):
        detector.regions([])


def test_map_is_for_detectors_that_have_one():
    with pytest.raises(ValueError, match="precomputed takes no features from a map"):
        load_detector("precomputed", "r.npz", features="map")
