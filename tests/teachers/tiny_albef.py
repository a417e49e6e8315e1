"""Tiny random vision-language models for the tests, saved whole: model, tokenizer, image settings."""

from pathlib import Path

import torch
from transformers import BertConfig, BertTokenizer, ResNetConfig, ViTConfig

from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.pixels import image_processor

WORDS = "a the man boy horse dog bike riding on brown two ##s wa ##gon".split()
TOWERS = ("resnet", "vit")


def tiny_tokenizer() -> BertTokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=16)


def tiny_model(tower: str, seed: int = 0) -> AlbefModel:
    torch.manual_seed(seed)
    text = BertConfig(
        vocab_size=19, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, initializer_range=0.4,
    )  # fmt: skip
    if tower == "resnet":
        vision = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    else:
        vision = ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=24,
            patch_size=8,
        )
    config = AlbefConfig(vision, text, fusion_layer=2, projection_dim=8, image_norm=tower == "resnet")
    return AlbefModel(config).eval()


def save_tiny(folder: Path, tower: str, seed: int = 0) -> str:
    tiny_model(tower, seed).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    image_processor((24, 24), (0.5, 0.4, 0.3), (0.25, 0.25, 0.2)).save_pretrained(folder)
    return str(folder)
