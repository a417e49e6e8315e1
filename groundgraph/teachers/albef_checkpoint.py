"""The files of ALBEF's authors, `ALBEF.pth`, `refcoco.pth` and their like, read into `AlbefModel`.

Li et al., "Align before Fuse" (NeurIPS 2021), github.com/salesforce/ALBEF. Such a file holds a timm-style ViT
(`visual_encoder`), a BERT whose later layers cross-attend (`text_encoder`), the match head (`itm_head`), and much that
only their training needs: momentum copies (`..._m`), queues, contrastive projections.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, normalizers
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, PreTrainedTokenizerBase, ViTConfig, ViTModel

from groundgraph.errors import InputError
from groundgraph.formats.torch_file import tensors_of
from groundgraph.models import quietly
from groundgraph.models.tokenizer import load_tokenizer
from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.gradcam import GradCamModel
from groundgraph.teachers.pixels import CLIP_MEAN, CLIP_STD, image_processor

TOKENIZER = "bert-base-uncased"  # without the hub: package:all_minilm_l6_v2 carries the same word pieces
HEAD = 64  # channels an attention head, in every ViT and BERT of theirs
VIT_EPS, BERT_EPS = 1e-6, 1e-12

# Their names of a block's parts -> those that ViT checkpoints of transformers have on the hub.
VIT_BLOCK = {
    "norm1": "layernorm_before",
    "attn.qkv": "attention.attention.qkv",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
ATTENTION = ("self.query", "self.key", "self.value", "output.dense", "output.LayerNorm")
FEED_FORWARD = ("intermediate.dense", "output.dense", "output.LayerNorm")


def load_checkpoint(path: str | Path) -> AlbefModel:
    """Return an `AlbefModel` with a file's weights, every size read off its tensors; float32, on the CPU.

    The Grad-CAM layer is the third that cross-attends (ALBEF's own choice: 8 of 12). A file without the masked-word
    head (one that was fine-tuned) leaves ours untrained; nothing here uses it.

    Raises:
        InputError: The file is no such checkpoint; the message names it and what it lacks.
    """
    path = Path(path)
    tensors = tensors_of(path)
    prefix = "text_encoder.bert." if any(k.startswith("text_encoder.bert.") for k in tensors) else "text_encoder."
    config = _config(path, tensors, prefix)
    tower = _take(path, tensors, _tower_names(config))
    for name in [k for k in tower if ".qkv." in k]:
        for part, rows in zip(("query", "key", "value"), tower.pop(name).chunk(3), strict=True):
            tower[name.replace("qkv", part)] = rows
    rest = _take(
        path, tensors, _text_names(config, prefix, masked_words="text_encoder.cls.predictions.bias" in tensors)
    )
    try:
        with quietly():
            # By way of ViTModel, since it knows its hub names in every version of transformers.
            vit = ViTModel.from_pretrained(None, config=config.vision_config, state_dict=tower, add_pooling_layer=False)
            weights = rest | {f"tower.{name}": value for name, value in vit.state_dict().items()}
            model = AlbefModel.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32)
    except RuntimeError as error:
        raise InputError(f"{path} holds weights whose sizes do not fit together ({error})") from error
    model.tower.pooler = None
    return model


def load_albef_checkpoint(
    path: str, *, tokenizer: str | None = None, image_size: int | None = None, **options: Any
) -> GradCamModel:
    """Return Grad-CAM of an ALBEF checkpoint file.

    Args:
        path: The file.
        tokenizer: A folder, hub id or package:NAME; None: `TOKENIZER`.
        image_size: Side in pixels that pictures are resized to; None: what the model was trained on.
        options: See `GradCamModel`.

    Raises:
        InputError: The file is no such checkpoint, or there is no tokenizer.
    """
    model = load_checkpoint(path)
    side = image_size or model.config.vision_config.image_size
    processor = image_processor((side, side), CLIP_MEAN, CLIP_STD)
    return GradCamModel(model, albef_tokenizer(tokenizer or TOKENIZER), processor, **options)


def albef_tokenizer(name: str = TOKENIZER) -> PreTrainedTokenizerBase:
    """Return a BERT tokenizer that reads captions as ALBEF's does: [CLS] and the words, no [SEP], no punctuation.

    Character places still count in the caption as it was written.

    Raises:
        InputError: There is no tokenizer of that name.
    """
    tokenizer = load_tokenizer(name)
    backend = tokenizer.backend_tokenizer
    cls = tokenizer.cls_token
    backend.post_processor = TemplateProcessing(single=f"{cls} $A", special_tokens=[(cls, tokenizer.cls_token_id)])
    dropped = normalizers.Replace(Regex(r"""[,.'!?"()*#:;~]"""), "")
    parted = normalizers.Replace(Regex("[-/]"), " ")
    backend.normalizer = normalizers.Sequence([dropped, parted, backend.normalizer])
    return tokenizer


def _config(path: Path, tensors: dict[str, torch.Tensor], prefix: str) -> AlbefConfig:
    """Every size, off the tensors' shapes."""
    patch, positions, wide = (
        "visual_encoder.patch_embed.proj.weight",
        "visual_encoder.pos_embed",
        "visual_encoder.blocks.0.mlp.fc1.weight",
    )
    words, places, kinds = (f"{prefix}embeddings.{k}_embeddings.weight" for k in ("word", "position", "token_type"))
    wide_text = f"{prefix}encoder.layer.0.intermediate.dense.weight"
    _require(path, tensors, names := (patch, positions, wide, words, places, kinds, wide_text))
    shape = {name: tuple(tensors[name].shape) for name in names}
    side = math.isqrt(shape[positions][1] - 1)
    if side**2 != shape[positions][1] - 1:
        raise InputError(f"{path}: {positions} is for {shape[positions][1] - 1} patches, which are no square")
    vision_width, text_width = shape[patch][0], shape[words][1]
    if vision_width != text_width:
        raise InputError(f"{path}: image states of {vision_width} and text of {text_width} channels are not supported")
    if text_width % HEAD:
        raise InputError(f"{path}: {text_width} channels do not divide into heads of {HEAD}")
    layers = _count(tensors, rf"{re.escape(prefix)}encoder\.layer\.(\d+)\.")
    fused = _count(tensors, rf"{re.escape(prefix)}encoder\.layer\.(\d+)\.crossattention\.", distinct=True)
    if not fused:
        raise InputError(f"{path}: no layer of its text encoder has a crossattention, so it is no ALBEF checkpoint")
    fusion = layers - fused
    return AlbefConfig(
        ViTConfig(
            hidden_size=vision_width,
            num_hidden_layers=_count(tensors, r"visual_encoder\.blocks\.(\d+)\."),
            num_attention_heads=vision_width // HEAD,
            intermediate_size=shape[wide][0],
            image_size=side * shape[patch][2],
            patch_size=shape[patch][2],
            num_channels=shape[patch][1],
            layer_norm_eps=VIT_EPS,
        ),
        BertConfig(
            vocab_size=shape[words][0],
            hidden_size=text_width,
            num_hidden_layers=layers,
            num_attention_heads=text_width // HEAD,
            intermediate_size=shape[wide_text][0],
            max_position_embeddings=shape[places][0],
            type_vocab_size=shape[kinds][0],
            layer_norm_eps=BERT_EPS,
        ),
        fusion_layer=fusion,
        projection_dim=0,
        cam_layer=max(fusion, min(fusion + 2, layers - 2)),
    )


def _count(tensors: dict[str, torch.Tensor], pattern: str, distinct: bool = False) -> int:
    """How many layers the names speak of: up to the highest number, or only those that occur."""
    numbers = {int(match[1]) for match in (re.match(pattern, name) for name in tensors) if match}
    return len(numbers) if distinct else max(numbers, default=-1) + 1


def _both(pairs: dict[str, str]) -> dict[str, str]:
    """Modules' names -> their weights' and biases' names."""
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in pairs.items() for kind in ("weight", "bias")}


def _tower_names(config: AlbefConfig) -> dict[str, str]:
    """The file's names of the image tower -> transformers' (hub) names."""
    modules = {"patch_embed.proj": "embeddings.patch_embeddings.projection", "norm": "layernorm"}
    for i in range(config.vision_config.num_hidden_layers):
        modules |= {f"blocks.{i}.{theirs}": f"encoder.layer.{i}.{ours}" for theirs, ours in VIT_BLOCK.items()}
    names = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"} | _both(modules)
    return {f"visual_encoder.{theirs}": ours for theirs, ours in names.items()}


def _text_names(config: AlbefConfig, prefix: str, masked_words: bool) -> dict[str, str]:
    """The file's names of the text encoder and the heads -> `AlbefModel`'s."""
    names = {f"{prefix}embeddings.{k}_embeddings.weight": f"embeddings.{k}_embeddings.weight" for k in
             ("word", "position", "token_type")}  # fmt: skip
    modules = {f"{prefix}embeddings.LayerNorm": "embeddings.LayerNorm", "itm_head": "match"}
    for i in range(config.text_config.num_hidden_layers):
        kinds = ("attention",) if i < config.fusion_layer else ("attention", "crossattention")
        parts = [*(f"{kind}.{part}" for kind in kinds for part in ATTENTION), *FEED_FORWARD]
        modules |= {f"{prefix}encoder.layer.{i}.{part}": f"layers.{i}.{part}" for part in parts}
    if masked_words:  # its decoder is the word embeddings
        names["text_encoder.cls.predictions.bias"] = "words.predictions.bias"
        for part in ("transform.dense", "transform.LayerNorm"):
            modules[f"text_encoder.cls.predictions.{part}"] = f"words.predictions.{part}"
    return names | _both(modules)


def _take(path: Path, tensors: dict[str, torch.Tensor], names: dict[str, str]) -> dict[str, torch.Tensor]:
    """The named tensors by their new names, float32 and out of the mapped file."""
    _require(path, tensors, names)
    return {new: tensors[name].to(torch.float32, copy=True) for name, new in names.items()}


def _require(path: Path, tensors: dict[str, torch.Tensor], names: Iterable[str]) -> None:
    """Raises InputError, naming the file, where one of the names is missing."""
    if missing := [name for name in names if name not in tensors]:
        raise InputError(f"{path} is no whole ALBEF checkpoint: it lacks {len(missing)} weights, such as {missing[0]}")
