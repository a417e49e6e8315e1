"""Tiny random open-vocabulary detectors, saved as published ones are."""

import json

import torch
from transformers import (
    BertConfig,
    BertTokenizerFast,
    CLIPTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
    SwinConfig,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "cat", "dog", "remote", "control", "hat", "##s", "tree"]


def grounding_dino(path):
    (path / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast(vocab=str(path / "vocab.txt"))
    backbone = SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=len(WORDS)
    )
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=9,
        max_text_len=12, init_std=0.5,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(path)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(path)


def owl(path, kind):
    letters = sorted(set("aphotofcdgremnlhs"))
    entries = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({entry: i for i, entry in enumerate(entries)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizerFast(
        vocab=str(path / "vocab.json"), merges=str(path / "merges.txt"), model_max_length=32, pad_token="<|endoftext|>"
    )
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**small, "vocab_size": len(entries), "max_position_embeddings": 32, "eos_token_id": len(entries) - 1}
    options = {"text_config": text, "vision_config": {**small, "image_size": 32, "patch_size": 8}, "projection_dim": 16}
    size = {"height": 32, "width": 32}
    if kind == "owlv2":
        Owlv2ForObjectDetection(Owlv2Config(**options)).save_pretrained(path)
        Owlv2Processor(Owlv2ImageProcessor(size=size), tokenizer).save_pretrained(path)
    else:
        OwlViTForObjectDetection(OwlViTConfig(**options)).save_pretrained(path)
        OwlViTProcessor(OwlViTImageProcessor(size=size), tokenizer).save_pretrained(path)


KINDS = ("grounding-dino", "owlvit", "owlv2")


def save_open_vocabulary(path, kind):
    """Save one of a kind with weights that are the same each time; gives its folder and its kind."""
    torch.manual_seed(0)
    grounding_dino(path) if kind == "grounding-dino" else owl(path, kind)
    return path, kind
