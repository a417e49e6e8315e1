"""The scene graph of a photo by ONNX Runtime, without torch: python predict.py PHOTO [VOCABULARY.npz]."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).parent  # manifest.json says what the files in it are


def prepared(image: Image.Image, rule: dict) -> np.ndarray:
    """Pixels [3, h, w] as a detector of transformers reads them: resized, scaled, normalised."""
    w, h = image.size
    share = min(rule["short"] / min(w, h), rule["long"] / max(w, h)) if "short" in rule else None
    size = rule["size"] if share is None else [round(share * s) if s == min(w, h) else int(share * s) for s in (w, h)]
    pixels = np.asarray(image.resize(size, rule["resample"]), np.float32) * np.float32(rule["scale"])
    return ((pixels - np.float32(rule["mean"])) / np.float32(rule["std"])).transpose(2, 0, 1)


def overlaps(boxes: np.ndarray) -> np.ndarray:
    """IoU of every two boxes: [N, 4] -> [N, N]."""
    low, high = np.maximum(boxes[:, None, :2], boxes[:, :2]), np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared, area = (high - low).clip(0).prod(-1), (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (area[:, None] + area - shared)


def survivors(ranks: np.ndarray, rivals: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Those [N] bool that stay when, best rank first, each falls that has a rival which stays: rivals [N, N] bool."""
    order, stays = np.argsort(-ranks, kind="stable"), stays.copy()
    for place, i in enumerate(order):
        stays[i] &= not (rivals[i] & stays)[order[:place]].any()
    return stays


class Model:
    """The detector and the scene-graph model; a vocabulary's file has other names than the model's own."""

    def __init__(self, folder: Path = HERE, vocabulary: str | Path | None = None, threads: int = 0) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        parts = {name: part for name, part in self.manifest["parts"].items() if name != "grounder"}
        for name, part in parts.items():
            if "file" not in part:
                raise SystemExit(f"{folder}: the {name} is not here: {part['why not']}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: as many as there are cores
        files = {name: str(folder / part["file"]) for name, part in parts.items()}
        self.run = {name: onnxruntime.InferenceSession(file, options).run for name, file in files.items()}
        self.vocabulary = dict(np.load(vocabulary or folder / "vocabulary.npz"))
        self.categories, self.predicates = (self.vocabulary.pop(f"{kind} names") for kind in ("category", "predicate"))
        self.showing = self.manifest["showing"] | ({"calibration": None, "min score": 0} if vocabulary else {})

    def predict(self, photo: str | Path) -> tuple[list[dict], list[dict]]:
        """Objects with category, score and box; relations with subject, predicate, object and score, best first."""
        image, rule = ImageOps.exif_transpose(Image.open(photo)).convert("RGB"), self.manifest["inference"]
        size, preparation = np.float32(image.size), self.manifest["preparation"]
        inputs = {"pixels": prepared(image, preparation), "size": size} if preparation else {"image": np.array(image)}
        detected = self.run["detector"](None, inputs)
        regions = dict(zip(("boxes", "labels", "scores", "features"), detected, strict=True))
        if not len(regions["boxes"]):
            return [], []
        pairs = np.argwhere(~np.eye(len(regions["boxes"]), dtype=bool))
        if rule["overlapping"]:
            pairs = pairs[overlaps(regions["boxes"])[tuple(pairs.T)] > 0]
        if "pooling" in self.run:
            corners = regions["boxes"][pairs].reshape(-1, 2, 2, 2)
            around = np.concatenate([corners[:, :, 0].min(1), corners[:, :, 1].max(1)], 1)
            regions["unions"] = self.run["pooling"](None, inputs | {"boxes": around})[0]
        inputs = regions | self.vocabulary | {"size": size, "pairs": pairs}
        outputs = self.run["scene-graph model"](None, inputs)
        boxes, labels, scores, stays, settled, predicates, ranks, *_ = outputs
        near, same = overlaps(boxes), labels[:, None] == labels
        if rule["duplicates"] == "drop":  # the best of those with one label that overlap
            stays = survivors(scores + 2 * settled, (near > rule["nms_threshold"]) & same & ~settled[:, None], stays)
        best = np.argsort(-np.where(stays[pairs].all(1), ranks, -1), kind="stable")[: rule["pairs"]]
        best = best[stays[pairs[best]].all(1)]
        pairs, predicates, ranks = pairs[best], predicates[best, 1:].argmax(1), ranks[best]
        surest, merging = scores * 1e-6, self.showing["merging"]  # each thing once, as the box in the surest relation
        np.maximum.at(surest, pairs.ravel(), np.repeat(ranks, 2))
        rivals = merging["bias"] + merging["overlap"] * near + merging["agreement"] * same > 0
        stays = survivors(surest, rivals, stays)
        if curve := self.showing["calibration"]:
            ranks = np.interp(np.log(ranks.clip(1e-30)), np.log(curve["scores"]), curve["probabilities"])
        shown = stays[pairs].all(1) & (ranks >= self.showing["min score"])
        pairs, predicates, ranks = pairs[shown], predicates[shown], ranks[shown]
        objects = np.unique(pairs) if self.showing["min score"] > 0 else np.flatnonzero(stays)
        things = [
            {"category": str(self.categories[labels[i] - 1]), "score": float(scores[i]), "box": boxes[i].tolist()}
            for i in objects
        ]
        places, words = np.searchsorted(objects, pairs).tolist(), self.predicates[predicates].tolist()
        rows = zip(places, words, ranks.tolist(), strict=True)
        return things, [{"subject": s, "predicate": p, "object": o, "score": score} for (s, o), p, score in rows]


if __name__ == "__main__":
    things, relations = Model(vocabulary=sys.argv[2] if len(sys.argv) > 2 else None).predict(sys.argv[1])
    for row in relations:
        ends = [things[row[end]]["category"] for end in ("subject", "object")]
        print(f"{row['score']:.2f}  {ends[0]} {row['predicate']} {ends[1]}")
