"""Detectors as ONNX: the regions that `Detector.detect` gives of a picture file, at several sizes."""

import numpy as np
import pytest
import torch
from tiny_open_vocabulary import save_open_vocabulary
from torchvision.models import get_model
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
    YolosImageProcessor,
)

from groundgraph.data.types import Example, Skipped
from groundgraph.errors import InputError
from groundgraph.pretrained.onnx.detectors import (
    OUTPUTS,
    DetectedRegions,
    PooledUnions,
    example_inputs,
    example_picture,
    preparation_of,
)
from groundgraph.pretrained.onnx.graph_file import session_of, write_graph
from groundgraph.vision import load_detector
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.label_coverage import CoveredDetector, LabelCoverage
from groundgraph.vision.one_stage_detector import OneStageDetector
from groundgraph.vision.pooled import PooledDetector
from groundgraph.vision.torchvision_detector import TorchvisionDetector

SIZES = ((120, 90), (224, 224), (75, 130))
NAMES = ("cat", "dog", "hat")


def covered(detector, **left):
    return CoveredDetector(DetectorChain([detector]), LabelCoverage(detector.categories, **left))


def written(detector, folder):
    network = DetectedRegions(detector)
    examples = [example_inputs(network, size, i) for i, size in enumerate(SIZES[:2])]
    part = write_graph(network, folder / "d.onnx", examples)
    assert tuple(part["inputs"]) == network.inputs and tuple(part["outputs"]) == OUTPUTS
    return network, session_of(folder / "d.onnx", 1)


def run(network, session, size, seed):
    inputs = dict(zip(network.inputs, example_inputs(network, size, seed), strict=True))
    return dict(zip(OUTPUTS, session.run(None, {name: x.numpy() for name, x in inputs.items()}), strict=True))


def torchvision_network(name):
    torch.manual_seed(0)
    options = {"weights": None, "weights_backbone": None, "num_classes": 4, "min_size": 100, "max_size": 160}
    return get_model(name, **options)


def bundled():
    return load_detector("torchvision", "bundled:detector", device="cpu")


def faster_rcnn():
    return TorchvisionDetector(torchvision_network("fasterrcnn_mobilenet_v3_large_320_fpn"), NAMES, device="cpu")


def retinanet():
    return OneStageDetector(torchvision_network("retinanet_resnet50_fpn"), NAMES, count=10, device="cpu")


@pytest.mark.parametrize(
    "build",
    [bundled, pytest.param(faster_rcnn, marks=pytest.mark.slow), pytest.param(retinanet, marks=pytest.mark.slow)],
)
def test_regions_of_torchvision_detectors(build, tmp_path):
    detector = covered(build(), known=2)
    network, session = written(detector, tmp_path)
    for seed, size in enumerate(SIZES):
        example_picture(size, seed).save(tmp_path / "picture.png")
        (regions,) = detector.detect([Example("0", str(tmp_path / "picture.png"))], Skipped())
        outputs = run(network, session, size, seed)
        assert np.array_equal(outputs["labels"], regions.labels) and set(regions.labels) <= {-1, 0, 1}
        for name in ("boxes", "scores", "features"):
            assert np.allclose(outputs[name], getattr(regions, name), atol=2e-4, rtol=1e-4)


def detr(place):
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1] * 4, layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=12,
        id2label=dict(enumerate(NAMES)), init_std=0.5,
    )  # fmt: skip
    return saved(
        DetrForObjectDetection(config), DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}), place
    )


def yolos(place):
    config = YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[64, 64],
        num_detection_tokens=5, id2label={0: "cat"}, initializer_range=0.3,
    )  # fmt: skip
    return saved(YolosForObjectDetection(config), YolosImageProcessor(size={"height": 64, "width": 64}), place)


def rt_detr(place):
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1] * 4, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[16] * 3, encoder_ffn_dim=16,
        encoder_layers=1, encoder_attention_heads=2, decoder_in_channels=[16] * 3, d_model=16, decoder_ffn_dim=16,
        decoder_layers=1, decoder_attention_heads=2, num_queries=10, num_denoising=0, id2label={0: "cat", 1: "dog"},
        anchor_image_size=None,
    )  # fmt: skip
    model = RTDetrForObjectDetection(config)
    with torch.no_grad():  # untrained, it takes all places for equally good, and picks any
        for values in model.parameters():
            values.add_(0.3 * torch.randn_like(values) * (values.ndim > 1))
    return saved(model, RTDetrImageProcessor(size={"height": 64, "width": 64}), place)


def saved(model, processor, place):
    model.save_pretrained(place)
    processor.save_pretrained(place)
    return str(place)


def assert_same_regions(session, detector):
    """Given the pixels that its own processor prepares, the file's regions are the detector's."""
    for seed, size in enumerate(SIZES):
        picture = example_picture(size, seed)
        (regions,) = detector.regions([picture])
        pixels = detector.prepare([picture])["pixel_values"][0].numpy()
        values = session.run(None, {"pixels": pixels, "size": np.float32(size)})
        outputs = dict(zip(OUTPUTS, values, strict=True))
        assert np.array_equal(outputs["labels"], regions.labels) and len(regions)
        for name in ("boxes", "scores", "features"):
            assert np.allclose(outputs[name], getattr(regions, name), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("features", ["detector", "map"])
@pytest.mark.parametrize("build", [detr, yolos, rt_detr])
def test_regions_of_transformers_detectors(build, features, tmp_path):
    """Given the pixels that its own processor prepares, the file's regions are the detector's."""
    torch.manual_seed(0)
    detector = covered(load_detector("transformers", build(tmp_path), count=8, features=features, device="cpu"))
    _, session = written(detector, tmp_path)
    own = detector.detector.detectors[0]
    assert_same_regions(session, own)


def test_an_open_vocabulary_detectors_names_are_in_its_file(tmp_path):
    torch.manual_seed(0)
    place, _ = save_open_vocabulary(tmp_path, "owlvit")
    options = {"vocabulary": ("cat", "remote control", "hats"), "count": 8, "device": "cpu"}
    own = load_detector("open-vocabulary", str(place), **options)
    _, session = written(covered(own), tmp_path)
    assert_same_regions(session, own)
    own._vocabulary = tuple(map(str, range(300)))
    with pytest.raises(InputError, match="300 names go through it in 2 passes"):
        DetectedRegions(covered(own))


def test_pictures_are_prepared_as_the_processor_does(tmp_path):
    torch.manual_seed(0)
    detector = load_detector("transformers", detr(tmp_path), device="cpu")
    rule = preparation_of(detector)
    assert (rule["short"], rule["long"], rule["resample"]) == (64, 96, 2) and np.isclose(rule["scale"], 1 / 255)
    detector.processor.do_pad, detector.processor.pad_size = True, {"height": 200, "width": 200}
    with pytest.raises(InputError, match="prepares pictures in another way"):
        preparation_of(detector)


def test_what_is_no_graph_says_why():
    with pytest.raises(InputError, match="label_noise"):
        DetectedRegions(covered(bundled(), noise=0.1))
    with pytest.raises(InputError, match=r"detector\.also"):
        DetectedRegions(CoveredDetector(DetectorChain([bundled(), bundled()]), LabelCoverage(bundled().categories)))
    with pytest.raises(InputError, match="a network of their own"):
        DetectedRegions(covered(PooledDetector(bundled(), backbone=None)))


@pytest.mark.parametrize("build", [bundled, pytest.param(retinanet, marks=pytest.mark.slow), "detr"])
def test_features_of_the_boxes_around_pairs(build, tmp_path):
    torch.manual_seed(0)
    if build == "detr":
        own = load_detector("transformers", detr(tmp_path), features="map", device="cpu")
    else:
        own = build()
    network, file = PooledUnions(covered(own)), tmp_path / "p.onnx"
    write_graph(network, file, [example_inputs(network, (120, 90), 3)])
    session = session_of(file, 1)
    for count, size in enumerate(SIZES):
        inputs = dict(zip(network.inputs, example_inputs(network, size, count), strict=True))
        ends = inputs["boxes"].numpy()[inputs["pairs"].numpy()]
        around = np.concatenate([ends[..., :2].min(1), ends[..., 2:].max(1)], 1)
        (regions,) = own.pool([example_picture(size, count)], [around])
        if build == "detr":
            inputs["pixels"] = own.prepare([example_picture(size, count)])["pixel_values"][0]
        (features,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        assert features.shape == ((1 + count) ** 2, regions.features.shape[1])
        assert np.allclose(features, regions.features, atol=2e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_file_that_knows_one_size_of_picture_is_none(tmp_path):
    """Deformable DETR's trace has the shapes of its maps."""
    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1] * 4, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = DeformableDetrConfig(
        backbone_config=backbone, use_timm_backbone=False, use_pretrained_backbone=False, d_model=32, encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=10,
        id2label={0: "cat", 1: "dog"}, init_std=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    processor = DetrImageProcessor(size={"shortest_edge": 160, "longest_edge": 320})
    place = saved(DeformableDetrForObjectDetection(config), processor, tmp_path)
    with pytest.raises(InputError, match=r"differ from PyTorch's|cannot run it"):
        written(covered(load_detector("transformers", place, count=6, device="cpu")), tmp_path)
    assert not (tmp_path / "d.onnx").exists()
