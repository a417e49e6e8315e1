"""Regions of things by their names: Grounding DINO, OWL-ViT and OWLv2, prompted with any words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import nms

from groundgraph.data.types import Example, Regions
from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS, located
from groundgraph.vision.query_detector import QueryDetector

DINO, OWL = ("grounding-dino", "mm-grounding-dino"), ("owlvit", "owlv2")
THRESHOLDS = {**dict.fromkeys(DINO, 0.25), **dict.fromkeys(OWL, 0.1)}  # the thresholds their authors show
OWL_NAMES = 256  # names a forward pass: each is a text of its own


class OpenVocabularyDetector(QueryDetector):
    """A detector that is prompted with the names to look for, see `QueryDetector`.

    `categories` are all names together, the vocabulary first. What a model's text cannot hold at once goes through it
    in several passes, whose regions compete in one suppression. Grounding DINO's score of a name is the mean over its
    word pieces (its authors' evaluation on COCO); OWL's prompt is "a photo of a NAME".

    Args:
        model: Grounding DINO, OWL-ViT or OWLv2 of transformers.
        processor: Its processor.
        vocabulary: Names looked for in every image that `nouns` does not list.
        nouns: Image id -> names looked for in that image, such as its own captions' nouns.
        options: See `QueryDetector`.

    Raises:
        InputError: There is no name at all, or the model is of another kind.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor: Any,
        vocabulary: Sequence[str] = (),
        nouns: Mapping[str, Sequence[str]] | None = None,
        **options: Any,
    ) -> None:
        self._vocabulary = _clean(vocabulary)
        self._nouns = {str(image): _clean(names) for image, names in (nouns or {}).items()}
        nouns_of_all = sorted({name for names in self._nouns.values() for name in names})
        categories = tuple(dict.fromkeys((*self._vocabulary, *nouns_of_all)))
        if not categories:
            raise InputError(
                "an open-vocabulary detector needs names to look for: give a vocabulary, or nouns by image"
            )
        kind = model.config.model_type
        if kind not in THRESHOLDS:
            raise InputError(f"{kind} is no open-vocabulary detector known here: take one of {', '.join(THRESHOLDS)}")
        super().__init__(model, processor, categories, **({"label_threshold": THRESHOLDS[kind]} | options))
        self._columns = {name: column for column, name in enumerate(categories)}
        self._dino = kind in DINO

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        vocabulary: Sequence[str] = (),
        nouns: Mapping[str, Sequence[str]] | None = None,
        count: int | None = None,
        device: str | torch.device = "auto",
        pooled: bool = False,
    ) -> OpenVocabularyDetector:
        """Return the detector of a hub id or a local folder.

        Args:
            source: The hub id or folder.
            vocabulary: See the class.
            nouns: See the class.
            count: Regions an image at most; None: 36.
            device: See `groundgraph.models.device`.
            pooled: See `QueryDetector`.

        Raises:
            InputError: It cannot be loaded, or there is no name at all.
        """
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        place = located(source, WEIGHTS, PREPARATION, TOKENIZER)
        try:
            with quietly():
                processor = AutoProcessor.from_pretrained(place)
                model = AutoModelForZeroShotObjectDetection.from_pretrained(place)
        except Exception as error:  # a damaged file makes the readers fail in any way
            raise InputError(f"{source}: transformers cannot load an open-vocabulary detector ({error})") from error
        return cls(model, processor, vocabulary, nouns, count=count or 36, device=device, pooled=pooled)

    def of_examples(self, examples: Sequence[Example], images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.of_examples`: every image with its own nouns."""
        names = [self._nouns.get(example.image_id, self._vocabulary) for example in examples]
        return self.by_size(images, lambda part: self._prompted([images[i] for i in part], [names[i] for i in part]))

    def detect_same_size(self, images: list[Image.Image]) -> list[Regions]:
        """See `QueryDetector.detect_same_size`; with the vocabulary."""
        return self._prompted(images, [self._vocabulary] * len(images))

    def prompt(self, image: Image.Image) -> tuple[dict[str, Tensor], Callable[[Any], Tensor]]:
        """The vocabulary alone, for pictures that come without it.

        Args:
            image: Any picture; the processor wants one beside a text.

        Returns:
            The model's inputs but for pixels, of one picture; and its output -> probabilities [1, Q, C].

        Raises:
            InputError: The vocabulary goes through the model in several passes.
        """
        passes = self._passes(self._vocabulary)
        if len(passes) != 1:
            raise InputError(f"its {len(self._vocabulary)} names go through it in {len(passes)} passes")
        inputs = dict(self._inputs([image], passes))
        text = {name: values for name, values in inputs.items() if not name.startswith("pixel_")}
        return text, partial(self._probabilities, inputs=inputs, names=passes)

    def prepare(self, images: list[Image.Image]) -> Any:
        """See `QueryDetector.prepare`; the names do not matter to the map."""
        return self._inputs(images, [self.categories[:1]] * len(images))

    def phrase_boxes(
        self, images: Sequence[Image.Image], phrases: Sequence[Sequence[tuple[str, str]]]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what is found for phrases that tell which of some alike things is meant.

        Grounding DINO reads each phrase whole, and its score is that of the word pieces of whom the phrase is about;
        OWL's is that of the phrase.

        Args:
            images: B pictures.
            phrases: Of each, P pairs: a phrase ("horse ridden by man") and whom it is about, its beginning ("horse").

        Returns:
            Of each the boxes [Q, 4], xyxy in pixels, and the scores [P, Q]; 0 below the label threshold.
        """
        texts = [[(_plain(phrase), _plain(name)) for phrase, name in own] for own in phrases]
        return self.by_size(images, lambda part: self._read([images[i] for i in part], [texts[i] for i in part]))

    @torch.inference_mode()
    def _read(
        self, images: list[Image.Image], phrases: Sequence[Sequence[tuple[str, str]]]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """`phrase_boxes` of images of one size."""
        passes = [self._passes([text for text, _ in own]) for own in phrases]
        boxes: list[list[np.ndarray]] = [[np.zeros((0, 4), np.float32)] for _ in images]
        scores: list[list[np.ndarray]] = [[] for _ in images]
        for step in range(max(map(len, passes), default=0)):
            left = [i for i, own in enumerate(passes) if len(own) > step]
            prompts, pictures = [passes[i][step] for i in left], [images[i] for i in left]
            firsts = [sum(map(len, passes[i][:step])) for i in left]
            names = [
                [name for _, name in phrases[i][first : first + len(prompt)]]
                for i, first, prompt in zip(left, firsts, prompts, strict=True)
            ]
            inputs = self._inputs(pictures, prompts)
            output = self.model(**inputs)
            size = torch.tensor(images[0].size, dtype=torch.float32, device=self.device)
            queries = self.boxes(output, size).cpu().numpy()
            sure = self._probabilities(output, inputs, prompts, names).transpose(1, 2).cpu().numpy()
            for i, prompt, own, values in zip(left, prompts, queries, sure, strict=True):
                boxes[i].append(own)
                scores[i].append(np.where(values >= self.label_threshold, values, 0)[: len(prompt)])
        tables = [_blocks(own) for own in scores]
        return [(np.concatenate(own), table) for own, table in zip(boxes, tables, strict=True)]

    @torch.inference_mode()
    def _prompted(self, images: list[Image.Image], names: Sequence[Sequence[str]]) -> list[Regions]:
        """Regions of images of one size, each with its own names. Where there is no name there is no region."""
        passes = [self._passes(own) for own in names]
        detected: list[list[Regions]] = [[] for _ in images]
        for step in range(max(map(len, passes))):
            left = [i for i, own in enumerate(passes) if len(own) > step]
            prompts, pictures = [passes[i][step] for i in left], [images[i] for i in left]
            inputs = self._inputs(pictures, prompts)
            regions = self.forward(pictures, inputs, partial(self._probabilities, inputs=inputs, names=prompts))
            for i, own, prompt in zip(left, regions, prompts, strict=True):
                columns = np.array([self._columns[name] for name in prompt])
                labels = np.where(own.labels >= 0, columns[own.labels], -1)
                detected[i].append(Regions(own.boxes, labels, own.scores, own.features, own.size))
        width = next((r.features.shape[1] for own in detected for r in own), 0)
        return [self._merge(own, image.size, width) for own, image in zip(detected, images, strict=True)]

    def _merge(self, passes: list[Regions], size: tuple[int, int], width: int) -> Regions:
        if len(passes) == 1:
            return passes[0]
        if not passes:
            empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)
            return Regions(*empty, np.zeros((0, width), np.float32), size)
        arrays = [
            np.concatenate([getattr(r, name) for r in passes]) for name in ("boxes", "labels", "scores", "features")
        ]
        keep = nms(torch.from_numpy(arrays[0]), torch.from_numpy(arrays[2]), self.nms_threshold)[: self.count].numpy()
        return Regions(*(array[keep] for array in arrays), size=size)

    def _inputs(self, images: list[Image.Image], names: Sequence[Sequence[str]]) -> Any:
        if self._dino:
            texts: Any = [_prompt(words)[0] for words in names]
            options = {"padding": True, "truncation": True, "max_length": self._limit}
        else:
            texts = [[f"a photo of a {word}" for word in words] for words in names]
            options = {"padding": "max_length", "truncation": True}
        return self.processor(images=images, text=texts, return_tensors="pt", **options).to(self.device)

    @property
    def _limit(self) -> int:
        """Word pieces that Grounding DINO's text may have."""
        return min(self.model.config.max_text_len, self.processor.tokenizer.model_max_length)

    def _passes(self, names: Sequence[str]) -> list[list[str]]:
        """The names in parts that a forward pass can read; a name that is too long by itself is cut by the model."""
        if not self._dino:
            return [list(names[start : start + OWL_NAMES]) for start in range(0, len(names), OWL_NAMES)]
        parts: list[list[str]] = []
        room = 0
        for name in names:
            pieces = len(self.processor.tokenizer(name, add_special_tokens=False)["input_ids"]) + 1  # and its full stop
            if pieces > room:
                parts.append([])
                room = self._limit - 2  # the first and the last piece are the model's own
            parts[-1].append(name)
            room -= pieces
        return parts

    def _probabilities(
        self, output: Any, inputs: Any, names: Sequence[Sequence[str]], beginnings: Sequence[Sequence[str]] = ()
    ) -> Tensor:
        """Probabilities [B, Q, C] of each image's names, or of their beginnings; 0 behind an image's last name."""
        beginnings = beginnings or names
        most = max(map(len, names))
        probabilities = output.logits.float().sigmoid()
        if self._dino:
            length = probabilities.shape[2]
            pieces = zip(names, beginnings, strict=True)
            weights = torch.stack([self._pieces(*own, most, length) for own in pieces]).to(probabilities)
            return torch.einsum("bqt,bct->bqc", probabilities, weights)
        counts = torch.tensor([len(words) for words in names], device=probabilities.device)
        own = torch.arange(probabilities.shape[2], device=probabilities.device) < counts.unsqueeze(1)
        return probabilities * own[:, None]

    def _pieces(self, names: Sequence[str], beginnings: Sequence[str], rows: int, length: int) -> Tensor:
        """[rows, length]: each name's beginning's share of the prompt's word pieces, rows of names sum to 1."""
        text, starts = _prompt(names)
        encoded = self.processor.tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=self._limit)
        offsets = np.array(encoded["offset_mapping"]).reshape(-1, 2)
        weights = np.zeros((rows, length), np.float32)
        start = np.array(starts)[:, None]
        end = start + np.array([len(beginning) for beginning in beginnings])[:, None]
        inside = (offsets[:, 0] < end) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
        weights[: len(names), : len(offsets)] = inside / np.maximum(inside.sum(1, keepdims=True), 1)
        return torch.from_numpy(weights)


def _clean(names: Sequence[str]) -> tuple[str, ...]:
    """Names in lower case without full stops, which end a name in Grounding DINO's prompt; each once."""
    return tuple(dict.fromkeys(word for word in map(_plain, names) if word))


def _plain(name: str) -> str:
    """A name or phrase in lower case without full stops."""
    return " ".join(str(name).lower().replace(".", " ").split())


def _prompt(names: Sequence[str]) -> tuple[str, list[int]]:
    """ "cat. remote control." and where each name begins in it."""
    starts, start = [], 0
    for name in names:
        starts.append(start)
        start += len(name) + 2
    return ". ".join(names) + ".", starts


def _blocks(tables: Sequence[np.ndarray]) -> np.ndarray:
    """Tables [P_k, Q_k] as one [sum P, sum Q] that is 0 elsewhere: a phrase is not asked of another pass's boxes."""
    rows, columns = (np.cumsum([0, *(table.shape[k] for table in tables)]) for k in (0, 1))
    blocks = np.zeros((rows[-1], columns[-1]), np.float32)
    for k, table in enumerate(tables):
        blocks[rows[k] : rows[k + 1], columns[k] : columns[k + 1]] = table
    return blocks
