"""A miniature of every model that runs on a device: made there, used once, and what it gives as NumPy arrays."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parent / part) for part in ("vision", "teachers", "grounding", "sgg", "language")]

from others import world  # noqa: E402
from test_albef_checkpoint import save as save_albef  # noqa: E402
from test_albef_checkpoint import save_tokenizer  # noqa: E402
from test_backbone import SMALL  # noqa: E402
from test_backbone import save as save_backbone  # noqa: E402
from test_blip import caption, picture, save_blip  # noqa: E402
from test_one_stage_detector import NAMES as CATS  # noqa: E402
from test_one_stage_detector import network as one_stage  # noqa: E402
from test_sgg_training import SIZES, scene  # noqa: E402
from test_torchvision_detector import NAMES, pictures  # noqa: E402
from test_torchvision_detector import network as two_stages  # noqa: E402
from test_transformers_detector import deformable, rt_detr, save_detr, save_yolos  # noqa: E402
from tiny_albef import save_tiny  # noqa: E402
from tiny_open_vocabulary import grounding_dino, owl  # noqa: E402
from tiny_seq2seq import GRAPHS, fit_parser  # noqa: E402
from transformers import DetrImageProcessor, RTDetrImageProcessor, ViTConfig, ViTModel  # noqa: E402

from groundgraph.data.types import ParsedCaption, Regions  # noqa: E402
from groundgraph.grounding import GroundingConfig, build_grounder  # noqa: E402
from groundgraph.language.encoder import TextEncoder  # noqa: E402
from groundgraph.language.seq2seq import Seq2SeqParser  # noqa: E402
from groundgraph.models.device import device_of, dtype_of  # noqa: E402
from groundgraph.sgg.inference import InferenceConfig, predict  # noqa: E402
from groundgraph.sgg.motifs import Motifs, MotifsConfig  # noqa: E402
from groundgraph.sgg.storing import load_sgg, save_sgg  # noqa: E402
from groundgraph.sgg.training import TrainingConfig, train_sgg  # noqa: E402
from groundgraph.sgg.uniter import Uniter, UniterConfig  # noqa: E402
from groundgraph.teachers.expert import ImageTextModel  # noqa: E402
from groundgraph.teachers.interaction import InteractionTeacher  # noqa: E402
from groundgraph.vision import load_detector  # noqa: E402
from groundgraph.vision.backbone import load_backbone  # noqa: E402
from groundgraph.vision.one_stage_detector import OneStageDetector  # noqa: E402
from groundgraph.vision.torchvision_detector import TorchvisionDetector  # noqa: E402

PHOTOS = pictures((64, 48), (40, 60), (48, 48))
BOXES = [np.array([[0, 0, 20, 30], [10, 10, 35, 40], [5, 0, 25, 9]], np.float32)] * 3
FOUND = [
    Regions(b, np.zeros(3, np.int64), np.ones(3, np.float32), np.zeros((3, 2), np.float32), p.size)
    for b, p in zip(BOXES, PHOTOS, strict=True)
]


def text(path, **where):
    encoder = TextEncoder("bundled:text", **where)
    far = " ".join(["the man on"] * 300) + " horse"
    captions = [caption("a man riding a horse", "man", "horse"), ParsedCaption("nothing"), caption(far, "horse")]
    return encoder.embed(captions)


def seq2seq(path, **where):
    graphs = {"a city street": GRAPHS["a city street"]}
    (parsed,) = Seq2SeqParser(fit_parser(path, graphs), num_beams=2, **where).parse(list(graphs))
    return [np.array([entity.span for entity in parsed.entities])]


def teacher(name):
    def of(path, **where):
        if name == "albef":
            made = InteractionTeacher(save_tiny(path, "vit"), **where)
        elif name == "albef resnet":
            made = InteractionTeacher(save_tiny(path, "resnet"), **where)
        elif name == "blip":
            save_blip(path)
            made = InteractionTeacher(str(path), **where)
        else:
            file, _ = save_albef(path, pretrained=False, nested=False)
            made = InteractionTeacher(str(file), tokenizer=save_tokenizer(path / "words"), **where)
        said = [
            [caption("the man riding a horse", "man", "horse"), ParsedCaption("a dog")],
            [],
            [caption("dog", "dog")],
        ]
        images = [picture(i) for i in range(3)]
        none = made.model.activation_maps(images[:1], [[ParsedCaption("a dog")]])
        return [m for maps in (*made.model.activation_maps(images, said), *none) for m in maps]

    return of


def expert(path, **where):
    model = ImageTextModel("bundled:clip", **where)
    words = caption("a man riding a horse", "man", "horse").entities
    return [*model.region_features(PHOTOS, FOUND), model.entity_features(words)]


def of_regions(found):
    return [array for r in found for array in (r.boxes, r.labels, r.scores, r.features)]


def detector(name):
    def of(path, device="auto", precision="auto"):
        torch.manual_seed(0)
        where = {"device": device, "precision": precision}
        if name in ("retinanet", "fcos", "ssd", "faster-rcnn"):
            kind, names = (OneStageDetector, CATS) if name != "faster-rcnn" else (TorchvisionDetector, NAMES)
            network = one_stage(name) if name != "faster-rcnn" else two_stages()
            made = kind(network, names, count=6, device=device)
            made.narrow(dtype_of(precision, device_of(device)))
        elif name.startswith("detr"):
            made = load_detector(
                "transformers", save_detr(path), features="map" if "map" in name else "detector", **where
            )
        elif name == "yolos":
            made = load_detector("transformers", save_yolos(path), **where)
        elif name in ("rt-detr", "deformable-detr"):
            (rt_detr if name == "rt-detr" else deformable)().save_pretrained(path)
            square, sides = {"height": 64, "width": 64}, {"shortest_edge": 128, "longest_edge": 256}
            prepare = RTDetrImageProcessor(size=square) if name == "rt-detr" else DetrImageProcessor(size=sides)
            prepare.save_pretrained(path)
            made = load_detector("transformers", str(path), count=6, **where)
        else:
            grounding_dino(path) if name == "grounding-dino" else owl(path, name)
            asked = {"vocabulary": ("cat", "remote control", "hats"), "count": 5}
            made = load_detector("open-vocabulary", str(path), **asked, **where)
        pools = name in ("faster-rcnn", "retinanet", "fcos", "ssd", "detr map")
        given = made.pool(PHOTOS, BOXES) if pools else []
        return of_regions([*made.regions(PHOTOS), *given])

    return of


def backbone(path, device="auto", precision="auto"):
    torch.manual_seed(0)
    folder = save_backbone(path, ViTModel(ViTConfig(**SMALL, image_size=32, patch_size=8)))
    plain = load_backbone(folder, device).features(PHOTOS, BOXES)
    where = {"device": device, "precision": precision, "count": 6}
    pooled = load_detector("torchvision", "bundled:detector", features=folder, **where)
    return [*plain, *of_regions([*pooled.regions(PHOTOS), *pooled.pool(PHOTOS, BOXES)])]


def grounder(name, **config):
    """Trained without dropout, broken off on the way; scored, saved and loaded."""

    def of(path, device="auto"):
        settings = {"dimension": 8, "dropout": 0.0, "epochs": 2, "batch_size": 6, "learning_rate": 1e-3}
        data, (checkpoint, folder) = world(14, 0)[0], (path / "training.pt", path / "model")
        made = build_grounder(name, GroundingConfig(**(settings | config)))
        options = {"checkpoint": checkpoint, "device": device}
        broken = build_grounder(name, made.config)
        try:
            broken.train(data, data[:5], 1, lambda done, total, losses: stop(done), **options)
        except KeyboardInterrupt:
            assert checkpoint.exists()
        curves = made.train(data, data[:5], 1, **options)
        folder.mkdir()
        made.save(folder)
        again = build_grounder(name, made.config).load(folder, device)
        for one, two in zip(made.scores(data), again.scores(data), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
        return [*made.scores(data), *(np.array(values) for values in curves.values())]

    def stop(done):
        if done == 2:
            raise KeyboardInterrupt

    return of


def sgg(kind, config, precision="fp32", **inference):
    """Trained, broken off on the way; saved, loaded, and asked for all three tasks."""

    def of(path, device="auto"):
        scenes, checkpoint = [scene(i) for i in range(12)], path / "training.pt"
        regions, options = [s[0] for s in scenes], {"checkpoint": checkpoint}
        training = TrainingConfig(batch_size=4, epochs=2, learning_rate=1e-2, precision=precision)

        def made():
            torch.manual_seed(0)
            return kind(SIZES, config).to(device_of(device))

        def stop(done, total, losses):
            if done == 2:
                raise KeyboardInterrupt

        try:
            train_sgg(made(), regions, lambda i, _: scenes[i][1:3], training, progress=stop, **options)
        except KeyboardInterrupt:
            assert checkpoint.exists()
        model = made()
        history = train_sgg(model, regions, lambda i, _: scenes[i][1:3], training, lambda model: 0.5, **options)
        save_sgg(path, model)
        model, _ = load_sgg(path, device)
        named = [np.maximum(s[1], 1) for s in scenes]
        graphs = [
            graph
            for task in ("sgdet", "sgcls", "predcls")
            for graph in predict(
                model, regions, InferenceConfig(**inference), task=task, labels=named if task == "predcls" else None
            )
        ]
        figures = [np.array(history[k]) for k in ("objects", "predicates")]
        return [*figures, *(graph.scores for graph in graphs), *(graph.predicate_scores[:5] for graph in graphs)]

    return of


DETECTORS = {
    name: detector(name)
    for name in (
        "faster-rcnn", "retinanet", "fcos", "ssd", "detr", "detr map", "yolos", "rt-detr", "deformable-detr",
        "grounding-dino", "owlvit", "owlv2",
    )
}  # fmt: skip
EXPERTS = {
    "text": text,
    "seq2seq": seq2seq,
    "expert": expert,
    "backbone": backbone,
    **{name: teacher(name) for name in ("albef", "albef resnet", "albef file", "blip")},
    **DETECTORS,
}
SELF = {"fusing": "self", "adaptor_margin": 0.5}
TRAINED = {
    **{name: grounder(name) for name in ("ours", "mil", "wsgm", "lsws", "vspnet")},
    "ours self": grounder("ours", **SELF),
    "ours released": grounder("ours", official=True, entity_batch_size=16, batch_size=4, least_entities=2),
    "motifs": sgg(Motifs, MotifsConfig(hidden=16, pair=16, embedded=8, dropout=0.0)),
    "motifs late labels": sgg(
        Motifs,
        MotifsConfig(hidden=16, pair=16, embedded=8, dropout=0.0, order="size", nms_threshold=0.5, frequency_bias=True),
        duplicates="relabel",
        overlapping=True,
    ),
    "uniter": sgg(Uniter, UniterConfig(hidden=16, heads=2, intermediate=16, positions=16, dropout=0.0)),
    "uniter pairs": sgg(
        Uniter, UniterConfig(hidden=16, heads=2, intermediate=16, positions=16, dropout=0.0, sequence="pair")
    ),
}
