"""A tiny checkpoint by the names of ALBEF's authors, and ALBEF's forward written out on those names.

The forward is the paper's (timm's ViT with fused qkv, post-norm BERT with cross-attention after self-attention); it
shares no code with the package.
"""

import math

import torch
from torch.nn.functional import conv2d, gelu, layer_norm, linear

HEAD = 64


def state_dict(
    width=128, depth=2, layers=5, fusion=2, patch=8, side=3, words=19, places=24, pretrained=True, seed=0
) -> dict[str, torch.Tensor]:
    """`pretrained`: as ALBEF.pth (text_encoder.bert., masked-word head); else as refcoco.pth (text_encoder.)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape, scale=0.15):
        return torch.randn(shape, generator=generator) * scale

    out = {}

    def module(name, *shape):
        out[f"{name}.weight"], out[f"{name}.bias"] = draw(*shape), draw(shape[0])

    def norm(name):
        out[f"{name}.weight"], out[f"{name}.bias"] = 1 + draw(width), draw(width)

    def vit(name):
        out[f"{name}.cls_token"], out[f"{name}.pos_embed"] = draw(1, 1, width), draw(1, side**2 + 1, width, scale=0.5)
        module(f"{name}.patch_embed.proj", width, 3, patch, patch)
        for i in range(depth):
            for part in ("norm1", "norm2"):
                norm(f"{name}.blocks.{i}.{part}")
            module(f"{name}.blocks.{i}.attn.qkv", 3 * width, width)
            module(f"{name}.blocks.{i}.attn.proj", width, width)
            module(f"{name}.blocks.{i}.mlp.fc1", 4 * width, width)
            module(f"{name}.blocks.{i}.mlp.fc2", width, 4 * width)
        norm(f"{name}.norm")

    def bert(name):
        stem = f"{name}.bert" if pretrained else name
        out[f"{stem}.embeddings.position_ids"] = torch.arange(places)[None]  # a buffer of old transformers
        for kind, count in (("word", words), ("position", places), ("token_type", 2)):
            out[f"{stem}.embeddings.{kind}_embeddings.weight"] = draw(count, width, scale=0.7)
        norm(f"{stem}.embeddings.LayerNorm")
        for i in range(layers):
            for kind in ("attention", "crossattention")[: 1 + (i >= fusion)]:
                for part in ("query", "key", "value"):
                    module(f"{stem}.encoder.layer.{i}.{kind}.self.{part}", width, width)
                module(f"{stem}.encoder.layer.{i}.{kind}.output.dense", width, width)
                norm(f"{stem}.encoder.layer.{i}.{kind}.output.LayerNorm")
            module(f"{stem}.encoder.layer.{i}.intermediate.dense", 2 * width, width)
            module(f"{stem}.encoder.layer.{i}.output.dense", width, 2 * width)
            norm(f"{stem}.encoder.layer.{i}.output.LayerNorm")
        if pretrained:
            out[f"{name}.cls.predictions.bias"] = draw(words)
            module(f"{name}.cls.predictions.transform.dense", width, width)
            norm(f"{name}.cls.predictions.transform.LayerNorm")
            tied = out[f"{stem}.embeddings.word_embeddings.weight"]
            out[f"{name}.cls.predictions.decoder.weight"] = tied
            out[f"{name}.cls.predictions.decoder.bias"] = out[f"{name}.cls.predictions.bias"]

    vit("visual_encoder")
    bert("text_encoder")
    module("itm_head", 2, width)
    # What only training needs.
    vit("visual_encoder_m")
    bert("text_encoder_m")
    for name in ("vision_proj", "text_proj", "vision_proj_m", "text_proj_m"):
        module(name, 8, width)
    out |= {"temp": torch.tensor(0.07), "image_queue": draw(8, 16), "text_queue": draw(8, 16)}
    out["queue_ptr"] = torch.zeros(1, dtype=torch.long)
    return out


def match_logits(state, pixels, ids, kept=None, layer=None):
    """Pixels [1, 3, H, W] and ids [T] of one caption -> [2]; `kept` gets the probabilities of `layer`'s look."""

    def apply(name, x):
        return linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def normalise(name, x, eps):
        return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def attend(q, k, v):
        """[n, d], [m, d], [m, d] -> [n, d] and the probabilities [heads, n, m]."""
        split = [x.reshape(len(x), -1, HEAD).transpose(0, 1) for x in (q, k, v)]
        p = (split[0] @ split[1].transpose(1, 2) / math.sqrt(HEAD)).softmax(-1)
        return p, (p @ split[2]).transpose(0, 1).reshape(len(q), -1)

    ve = "visual_encoder"
    weight = state[f"{ve}.patch_embed.proj.weight"]
    x = conv2d(pixels, weight, state[f"{ve}.patch_embed.proj.bias"], stride=weight.shape[-1])[0].flatten(1).T
    x = torch.cat([state[f"{ve}.cls_token"][0], x]) + state[f"{ve}.pos_embed"][0]
    for i in range(sum(k.startswith(f"{ve}.blocks.") and k.endswith("qkv.weight") for k in state)):
        b = f"{ve}.blocks.{i}"
        q, k, v = apply(f"{b}.attn.qkv", normalise(f"{b}.norm1", x, 1e-6)).chunk(3, -1)
        x = x + apply(f"{b}.attn.proj", attend(q, k, v)[1])
        x = x + apply(f"{b}.mlp.fc2", gelu(apply(f"{b}.mlp.fc1", normalise(f"{b}.norm2", x, 1e-6))))
    image = normalise(f"{ve}.norm", x, 1e-6)

    stem = "text_encoder.bert" if "text_encoder.bert.embeddings.LayerNorm.bias" in state else "text_encoder"
    e = f"{stem}.embeddings"
    x = state[f"{e}.word_embeddings.weight"][ids] + state[f"{e}.position_embeddings.weight"][: len(ids)]
    x = normalise(f"{e}.LayerNorm", x + state[f"{e}.token_type_embeddings.weight"][0], 1e-12)
    i = 0
    while f"{stem}.encoder.layer.{i}.output.dense.bias" in state:
        b = f"{stem}.encoder.layer.{i}"
        for kind, seen in (("attention", None), ("crossattention", image)):
            if f"{b}.{kind}.self.query.weight" not in state:
                continue
            seen = x if seen is None else seen
            q, k, v = (apply(f"{b}.{kind}.self.{n}", y) for n, y in (("query", x), ("key", seen), ("value", seen)))
            p, y = attend(q, k, v)
            if kind == "crossattention" and i == layer:
                kept.append(p)
            x = normalise(f"{b}.{kind}.output.LayerNorm", x + apply(f"{b}.{kind}.output.dense", y), 1e-12)
        y = apply(f"{b}.output.dense", gelu(apply(f"{b}.intermediate.dense", x)))
        x = normalise(f"{b}.output.LayerNorm", x + y, 1e-12)
        i += 1
    return apply("itm_head", x[0])
