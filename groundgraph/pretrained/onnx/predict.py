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


class Model:
    """The detector and the scene-graph model; a vocabulary's file has other names than the model's own."""

    def __init__(self, folder: Path = HERE, vocabulary: str | Path | None = None, options: object = None) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        parts = {name: part for name, part in self.manifest["parts"].items() if name != "grounder"}
        for name, part in parts.items():
            if "file" not in part:
                raise SystemExit(f"{folder}: the {name} is not here: {part['why not']}")
        files = {name: str(folder / part["file"]) for name, part in parts.items()}
        self.sessions = {name: onnxruntime.InferenceSession(file, options) for name, file in files.items()}
        self.vocabulary = dict(np.load(vocabulary or folder / "vocabulary.npz"))
        self.categories, self.predicates = (self.vocabulary.pop(f"{kind} names") for kind in ("category", "predicate"))
        # Of other names it is not known how likely which score is right.
        self.showing = self.manifest["showing"] | ({"calibration": None, "min score": 0} if vocabulary else {})

    def run(self, name: str, inputs: dict) -> dict[str, np.ndarray]:
        """A network's outputs by name, of those inputs that it has."""
        session = self.sessions[name]
        own = {value.name: inputs[value.name] for value in session.get_inputs()}
        return dict(zip((value.name for value in session.get_outputs()), session.run(None, own), strict=True))

    def predict(self, photo: str | Path) -> tuple[list[dict], list[dict]]:
        """Objects with category, score and box; relations with subject, predicate, object and score, best first."""
        image, preparation = ImageOps.exif_transpose(Image.open(photo)).convert("RGB"), self.manifest["preparation"]
        inputs = {"image": np.array(image), "size": np.float32(image.size)}
        if preparation:
            inputs["pixels"] = prepared(image, preparation)
        inputs |= self.run("detector", inputs)  # boxes, labels, scores and features of the regions
        if not len(inputs["boxes"]):
            return [], []
        pairs = inputs["pairs"] = np.argwhere(~np.eye(len(inputs["boxes"]), dtype=bool))
        if "pooling" in self.sessions:  # features of the boxes around both, which some models look at too
            inputs |= self.run("pooling", inputs)
        graph = self.run("scene-graph model", inputs | self.vocabulary)
        scores = graph["relation_scores"]
        if curve := self.showing["calibration"]:  # how likely a relation with such a score is right
            scores = np.interp(np.log(scores.clip(1e-30)), np.log(curve["scores"]), curve["probabilities"])
        shown = np.flatnonzero(graph["relation_kept"] & (scores >= self.showing["min score"]))
        shown = shown[np.argsort(-graph["relation_scores"][shown], kind="stable")]
        pairs, names = graph["relation_pairs"][shown], graph["predicate_scores"][shown, 1:].argmax(1)
        objects = np.unique(pairs) if self.showing["min score"] > 0 else np.flatnonzero(graph["object_kept"])
        labels, sure, boxes = (graph[f"object_{name}"][objects].tolist() for name in ("labels", "scores", "boxes"))
        rows = zip(
            np.searchsorted(objects, pairs).tolist(), self.predicates[names], scores[shown].tolist(), strict=True
        )
        things = zip(self.categories[np.array(labels, int) - 1], sure, boxes, strict=True)
        return (
            [{"category": str(name), "score": score, "box": box} for name, score, box in things],
            [{"subject": s, "predicate": str(name), "object": o, "score": score} for (s, o), name, score in rows],
        )


if __name__ == "__main__":
    things, relations = Model(vocabulary=sys.argv[2] if len(sys.argv) > 2 else None).predict(sys.argv[1])
    for row in relations:
        ends = [things[row[end]]["category"] for end in ("subject", "object")]
        print(f"{row['score']:.2f}  {ends[0]} {row['predicate']} {ends[1]}")
