"""Packed models as ONNX beside PyTorch: size, milliseconds an image, and how far the numbers differ.

    python benchmarks/packed_onnx.py [--threads 2] [--repeats 15]

- whole: the bundled miniature's packed model, photo to graph, by `groundgraph.load` and by the example that lies in the
  packed folder; and both in a fresh process, imports included;
- scene-graph models of published sizes with random weights, one image's 36 regions and 1,260 pairs to logits:
  Motifs of `vg-caption-ours` and of `official-release`, Uniter of `vg-caption-ours-uniter`, with VG150's vocabulary,
  closed heads, and Motifs with open ones (names of 384 numbers);
- the bundled detector, and torchvision's Faster R-CNN (ResNet-50) with random weights, on a picture of 640 x 480.

PyTorch and ONNX Runtime take turns; medians of wall time, and processor time, which other work changes less (ONNX
Runtime's threads spin while they wait, and that counts). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from motifs import REGIONS, SIZES, batch_of
from needs import needs
from torchvision.models import get_model

import groundgraph
from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.models import resolve
from groundgraph.pretrained.onnx.detectors import DetectedRegions, example_picture
from groundgraph.pretrained.onnx.detectors import example_inputs as picture_inputs
from groundgraph.pretrained.onnx.folder import write_onnx
from groundgraph.pretrained.onnx.graph_file import OneImage, require_onnx, session_of, write_graph
from groundgraph.pretrained.onnx.scene_graphs import SceneGraph, example_inputs
from groundgraph.pretrained.packing import read_packed
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.heads import names_kept, set_names
from groundgraph.sgg.inference import InferenceConfig
from groundgraph.sgg.merging import Merging
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.vision import load_detector
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.label_coverage import CoveredDetector, LabelCoverage
from groundgraph.vision.torchvision_detector import TorchvisionDetector

FRESH = "import sys, groundgraph; groundgraph.load(sys.argv[1]).predict(sys.argv[2])"


def turns(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of wall and of processor time of each call; they take turns."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start, before = time.perf_counter(), time.process_time() + children()
            call()
            if turn:  # the first one warms up
                wall[name].append(1e3 * (time.perf_counter() - start))
                processor[name].append(1e3 * (time.process_time() + children() - before))
    return {name: {"ms": median(wall[name]), "processor ms": median(processor[name])} for name in calls}


def children() -> float:
    """Processor time of the processes that this one has started and that have ended."""
    own = os.times()
    return own.children_user + own.children_system


def network_case(
    network: OneImage, own: Callable[[], object], examples: list, folder: Path, threads: int, repeats: int
) -> dict[str, object]:
    """Size, times and differences of a network, on the last example; PyTorch's time is that of `own`."""
    file = folder / "network.onnx"
    part = write_graph(network, file, examples)
    session = session_of(file, threads)
    inputs = {name: value.numpy() for name, value in zip(network.inputs, examples[-1], strict=True)}

    def by_torch() -> None:
        with torch.inference_mode():
            own()

    parameters = sum(values.numel() for values in network.parameters()) * 4 / 1e6
    figures = {"MB as weights": parameters, "MB as ONNX": part["megabytes"]}
    figures["largest difference"] = part["largest difference"]
    return figures | turns({"PyTorch": by_torch, "ONNX Runtime": lambda: session.run(None, inputs)}, repeats)


def scene_graph_models() -> dict[str, SggModel]:
    """The scene-graph models, untrained."""
    models = {}
    for name, recipe, text in (
        ("Motifs, vg-caption-ours", "vg-caption-ours", 0),
        ("Motifs, vg-caption-ours, open heads", "vg-caption-ours", 384),
        ("Motifs, official-release", "official-release", 0),
        ("Uniter, vg-caption-ours-uniter", "vg-caption-ours-uniter", 0),
    ):
        config = load_recipe(find_recipe(recipe)).sgg
        torch.manual_seed(0)
        models[name] = SGG_MODELS[config.model](replace(SIZES, text=text), config.chosen).eval()
        if text:
            set_names(models[name], *(torch.randn(n, text).numpy() for n in (SIZES.categories, SIZES.predicates)))
    return models


def detector_networks() -> dict[str, DetectedRegions]:
    """The detectors."""
    torch.manual_seed(0)
    network = get_model("fasterrcnn_resnet50_fpn_v2", weights=None, weights_backbone=None, num_classes=91)
    every = {
        "bundled:detector": load_detector("torchvision", "bundled:detector", device="cpu"),
        "Faster R-CNN, ResNet-50": TorchvisionDetector(network, [str(i) for i in range(90)], device="cpu"),
    }
    return {
        n: DetectedRegions(CoveredDetector(DetectorChain([d]), LabelCoverage(d.categories))) for n, d in every.items()
    }


def whole_case(folder: Path, threads: int, repeats: int) -> dict[str, object]:
    """The bundled miniature's model, photo to graph."""
    packed = Path(resolve("bundled:sgg"))
    write_onnx(read_packed(packed, "cpu"), folder)
    onnx = folder / "onnx"
    sys.path.insert(0, str(onnx))
    import predict  # the folder's

    sys.path.remove(str(onnx))
    image = next(iter(MiniGenome("test", "vg_caption", folder / "images", 1))).path
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    by_onnx, model = predict.Model(onnx, options=options), groundgraph.load(packed, device="cpu")
    calls = {"PyTorch": lambda: model.predict(image), "ONNX Runtime": lambda: by_onnx.predict(image)}
    weights = [packed / "model.safetensors", Path(resolve("bundled:detector")) / "model.safetensors"]
    fresh = {
        "PyTorch": lambda: subprocess.run([sys.executable, "-c", FRESH, str(packed), image], check=True),
        "ONNX Runtime": lambda: subprocess.run(
            [sys.executable, str(onnx / "predict.py"), image], check=True, stdout=subprocess.DEVNULL
        ),
    }
    return {
        "MB as weights": sum(file.stat().st_size for file in weights) / 1e6,
        "MB as ONNX": sum((onnx / name).stat().st_size for name in ("detector.onnx", "scene_graph.onnx")) / 1e6,
        **turns(calls, repeats),
        "fresh process": turns(fresh, min(repeats, 5)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    with needs():
        require_onnx()
    torch.set_num_threads(arguments.threads)
    result: dict[str, object] = {"threads": arguments.threads}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        options = folder, arguments.threads, arguments.repeats
        report(result, "whole", whole_case(*options))
        for name, model in scene_graph_models().items():
            network, batch = SceneGraph(model, InferenceConfig(), Merging()), batch_of([REGIONS], None)
            batch = replace(batch, targets=None)
            with names_kept(network.model):
                inputs = [example_inputs(network, count, count) for count in (4, REGIONS)]
                own = partial(model, batch)
                report(result, name, network_case(network, own, inputs, *options))
        for name, network in detector_networks().items():
            inputs = [picture_inputs(network, size) for size in ((320, 240), (640, 480))]
            own = partial(network.detector.regions, [example_picture((640, 480))])
            few = min(arguments.repeats, 3) if "ResNet" in name else arguments.repeats
            report(result, name, network_case(network, own, inputs, folder, arguments.threads, few))
    print(json.dumps(result))


def report(result: dict[str, object], name: str, case: dict[str, object]) -> None:
    """Print and keep a case."""
    result[name] = case
    own, other = case["PyTorch"], case["ONNX Runtime"]
    print(
        f"{name}: {case['MB as ONNX']:.1f} MB; {other['ms']:.1f} ms beside PyTorch's {own['ms']:.1f} ms "
        f"(processor {other['processor ms']:.1f} and {own['processor ms']:.1f} ms)",
        flush=True,
    )


if __name__ == "__main__":
    main()
