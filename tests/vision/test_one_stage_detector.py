"""torchvision's detectors without a second stage, tiny ones; and networks of one's own in a folder."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.ops import box_iou

from groundgraph.vision import load_detector
from groundgraph.vision.backbone import pool_regions
from groundgraph.vision.one_stage_detector import OneStageDetector
from groundgraph.vision.torchvision_detector import TorchvisionDetector

NAMES = ("cat", "dog")


class Body(nn.Module):
    """A map of 32 channels, stride 8; the pictures' colours are part of it."""

    def __init__(self, levels=1):
        super().__init__()
        self.convolution, self.levels = nn.Conv2d(3, 32, 8, 8), levels
        self.out_channels = 32 if levels == 1 else [32] * levels

    def forward(self, x):
        found = self.convolution(x)
        return found if self.levels == 1 else {str(i): found[..., :: i + 1, :: i + 1] for i in range(self.levels)}


def network(kind):
    torch.manual_seed(0)
    size = {"min_size": 32, "max_size": 64}
    if kind == "ssd":
        boxes = DefaultBoxGenerator([[2], [2]], scales=[0.2, 0.5, 0.9])
        return SSD(Body(2), boxes, (32, 32), 3)
    if kind == "retinanet":
        model = RetinaNet(Body(), 3, anchor_generator=AnchorGenerator(((8, 16),), ((1.0,),)), **size)
    else:
        model = FCOS(Body(), 3, anchor_generator=AnchorGenerator(((8,),), ((1.0,),)), **size)
        torch.nn.init.constant_(model.head.regression_head.bbox_reg.bias, 1.0)  # else its boxes are points
    # As torchvision starts them, all scores lie within 1e-6, and rounding, another on each processor, orders the boxes.
    for layer in model.head.classification_head.modules():
        if isinstance(layer, nn.Conv2d):
            layer.reset_parameters()
    return model


def pictures(*sizes):
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (h, w, 3), np.uint8)) for w, h in sizes]


@pytest.mark.parametrize("kind", ["retinanet", "fcos", "ssd"])
def test_regions_have_the_promised_shapes(kind):
    detector = OneStageDetector(network(kind), NAMES, count=7, nms_threshold=0.5)
    sizes = ((32, 32), (64, 48), (20, 40))
    images = pictures(*sizes)
    for regions, image in zip(detector.regions(images), images, strict=True):
        assert regions.size == image.size and 0 < len(regions) <= 7
        assert regions.boxes.shape == (len(regions), 4) and regions.boxes.dtype == np.float32
        assert regions.features.shape == (len(regions), 32) and np.isfinite(regions.features).all()
        assert regions.labels.dtype == np.int64 and set(regions.labels) <= {-1, 0, 1}
        assert (np.diff(regions.scores) <= 0).all()
        assert (regions.boxes >= 0).all() and (regions.boxes <= np.array(image.size * 2)).all()
        boxes = torch.from_numpy(regions.boxes)
        assert float(box_iou(boxes, boxes).fill_diagonal_(0).max()) <= 0.5 + 1e-5
    same = pictures((40, 32), (40, 32))
    for alone, together in zip((detector.regions([i])[0] for i in same), detector.regions(same), strict=True):
        assert np.allclose(alone.boxes, together.boxes, atol=1e-2)
        assert np.allclose(alone.features, together.features, atol=1e-4)
    found = detector.regions(images)
    for own, given in zip(found, detector.pool(images, [r.boxes[::-1] for r in found]), strict=True):
        assert np.allclose(given.features, own.features[::-1], atol=1e-4) and (given.labels == -1).all()
    assert detector.regions([]) == []


def test_features_are_the_finest_maps_inside_the_box():
    model = network("fcos")
    detector = OneStageDetector(model, NAMES)
    image = pictures((64, 32))[0]
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.transform.image_mean, model.transform.image_std))
    with torch.no_grad():
        maps = model.backbone(((pixels - mean) / std)[None])  # 32 x 64 is the network's own size: nothing is resized
        expected = pool_regions(maps, [torch.tensor([[0.25, 0.0, 0.75, 1.0]])])[0]
    found = detector.pool([image], [np.array([[16, 0, 48, 32]])])[0]
    assert np.allclose(found.features, expected, atol=1e-5)


def folder(path, name, weights="model.safetensors", **model):
    described = {"model": {"torchvision": name, **model}, "regions": {"count": 3}, "categories": list(NAMES)}
    (path / "config.json").write_text(json.dumps(described))
    torch.manual_seed(0)
    state = get_model(name, weights=None, weights_backbone=None, num_classes=3, **model).state_dict()
    if weights.endswith(".pth"):
        torch.save({"model": state}, path / weights)
    else:
        save_file({k: v.contiguous().clone() for k, v in state.items()}, path / weights)
    return str(path)


@pytest.mark.parametrize(
    ("name", "weights", "kind"),
    [
        ("ssdlite320_mobilenet_v3_large", "model.safetensors", OneStageDetector),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "model.pth", TorchvisionDetector),
    ],
)
def test_a_network_one_trained_oneself(tmp_path, name, weights, kind):
    detector = load_detector("torchvision", folder(tmp_path, name, weights))
    assert isinstance(detector, kind) and detector.categories == NAMES and detector.count == 3
    regions = detector.regions(pictures((60, 40)))[0]
    assert len(regions) <= 3 and regions.features.shape[1] in (672, 1024) and np.isfinite(regions.features).all()


def test_what_is_wrong_with_such_a_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json: .*resnet18 is no detector"):
        (tmp_path / "config.json").write_text(
            json.dumps({"model": {"torchvision": "resnet18"}, "regions": {}, "categories": ["cat"]})
        )
        load_detector("torchvision", str(tmp_path))
    folder(tmp_path, "ssdlite320_mobilenet_v3_large", "model.pth")
    (tmp_path / "model.pth").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"model\.pth: cannot be loaded"):
        load_detector("torchvision", str(tmp_path))
