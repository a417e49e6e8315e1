"""Uniter: the transformer scene-graph model of SGNLS (Zhong et al. 2021), METHOD.md section 5.

A BERT encoder in the form of UNITER (Chen et al. 2020) reads text tokens, the names of the detected categories, and
image tokens, the regions' features with their boxes. As in SGNLS, a category's name is one token, a region's head knows
the name with the detector's certainty, and a pair is the sum of what its two regions and their two names became.

Where this departs from SGNLS's code: that encodes every pair in a sequence of its own, [CLS] subject [MASK] object
[SEP] and all regions (`sequence: pair`); here one sequence an image, [CLS] names [SEP] regions, serves all its pairs
(`sequence: image`), some 700 times less to read for 36 regions. And SGNLS reads a region's label off each of its pairs,
where a graph needs one: it is read off the image's sequence in both forms.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from groundgraph.errors import InputError
from groundgraph.sgg.batch import Batch, Outputs, SggModel, Sizes
from groundgraph.sgg.heads import NameKind, OpenHead, new_head, start_at_zero
from groundgraph.sgg.pairs import UnionFeature, UnionKind, new_pair_bias, target_or_best
from groundgraph.sgg.start import DetectorAnswer, DetectorStart

TEXT, REGION, SUBJECT, OBJECT = range(4)  # token types; UNITER has the first two


class UniterConfig(BaseModel):
    """Sizes and parts of Uniter; the defaults fit MiniGenome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(128, gt=0, description="width of the encoder (official 768)")
    layers: int = Field(2, gt=0, description="layers of the encoder (official 2)")
    heads: int = Field(4, gt=0, description="attention heads of a layer (official 12)")
    intermediate: int = Field(256, gt=0, description="width of a layer's feed-forward part (official 3072)")
    positions: int = Field(512, gt=4, description="the most text tokens")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of entries dropped")
    sequence: Literal["image", "pair"] = Field(
        "image", description="what is read at once: an image or, as in SGNLS, a pair"
    )
    union: UnionKind = Field(
        "spatial",
        description="what a pair's boxes add to it: nothing (as in SGNLS), their geometry, or the detector's feature "
        "of the box around both as well (needs a detector that can pool given boxes)",
    )
    frequency_bias: bool = Field(
        False, description="add the log frequency of the predicates between two labels to the predicate logits"
    )
    checkpoint: str | None = Field(None, description="a UNITER checkpoint to start from (uniter-base.pt)")
    tokenizer: str | None = Field(None, description="the folder of the checkpoint's BERT tokenizer")

    @model_validator(mode="after")
    def _fits(self) -> UniterConfig:
        if self.hidden % self.heads:
            raise InputError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        if bool(self.checkpoint) != bool(self.tokenizer):
            raise InputError("checkpoint and tokenizer go together: the tokenizer turns category names into its words")
        return self


class TextEmbeddings(nn.Module):
    """Names, positions and token types, as UNITER's `embeddings`; the words are the categories' names."""

    def __init__(self, words: int, config: UniterConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, config.hidden)
        self.position_embeddings = nn.Embedding(config.positions, config.hidden)
        self.token_type_embeddings = nn.Embedding(4, config.hidden)
        self.LayerNorm = nn.LayerNorm(config.hidden, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, words: Tensor, positions: Tensor) -> Tensor:
        """Words [S, T] at positions [S, T] -> [S, T, hidden]."""
        placed = self.word_embeddings(words) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(placed + self.token_type_embeddings.weight[TEXT]))


class ImageEmbeddings(nn.Module):
    """Region features and 7-d boxes, as UNITER's `img_embeddings`."""

    def __init__(self, features: int, config: UniterConfig) -> None:
        super().__init__()
        self.img_linear = nn.Linear(features, config.hidden)
        self.img_layer_norm = nn.LayerNorm(config.hidden, eps=1e-12)
        self.pos_linear = nn.Linear(7, config.hidden)
        self.pos_layer_norm = nn.LayerNorm(config.hidden, eps=1e-12)
        self.LayerNorm = nn.LayerNorm(config.hidden, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def regions(self, batch: Batch) -> Tensor:
        """The batch's regions [B, V, hidden], without their token type."""
        return self.img_layer_norm(self.img_linear(batch.features)) + self.pos_layer_norm(
            self.pos_linear(uniter_geometry(batch))
        )

    def forward(self, regions: Tensor, types: Tensor) -> Tensor:
        """Regions [S, V, hidden] and the embeddings of their types, [S, V, hidden] or [hidden] -> [S, V, hidden]."""
        return self.dropout(self.LayerNorm(regions + types))


class Uniter(SggModel):
    """Regions of B images -> object logits [B, V, 1 + C] and predicate logits [Q, 1 + P] of the pairs asked for."""

    name = "uniter"
    Config = UniterConfig
    sequences = 512  # of pairs, encoded at once: bounds the memory of `sequence: pair`

    def __init__(self, sizes: Sizes, config: UniterConfig | None = None) -> None:
        super().__init__(sizes, config or UniterConfig())
        # transformers takes seconds to import, and who reads a recipe needs only the configuration.
        from transformers import BertConfig
        from transformers.models.bert.modeling_bert import BertEncoder

        c = self.config
        bert = BertConfig(
            hidden_size=c.hidden,
            num_hidden_layers=c.layers,
            num_attention_heads=c.heads,
            intermediate_size=c.intermediate,
            hidden_dropout_prob=c.dropout,
            attention_probs_dropout_prob=c.dropout,
            attn_implementation="sdpa",  # type: ignore[call-arg]
        )
        # The words are the detector's categories, then: no category, [CLS], [SEP], [MASK].
        self.unnamed, self.first, self.last, self.masked = (sizes.detector_categories + i for i in range(4))
        self.embeddings = TextEmbeddings(sizes.detector_categories + 4, c)
        self.img_embeddings = ImageEmbeddings(sizes.features, c)
        self.encoder = BertEncoder(bert)
        self.tag = nn.Linear(c.hidden, c.hidden)
        self.objects = _head("categories", c.hidden, sizes)
        self.subject = nn.Linear(2 * c.hidden, c.hidden)
        self.object = nn.Linear(2 * c.hidden, c.hidden)
        self.predicates = _head("predicates", c.hidden, sizes)
        self.dropout = nn.Dropout(c.dropout)
        self.apply(_initialise)
        for head in (self.objects[-1], self.predicates[-1]):
            if isinstance(head, OpenHead):
                head.start_small(c.hidden)
        self.union = UnionFeature(c.union, sizes, c.hidden, c.hidden) if c.union != "none" else None
        self.frequency = new_pair_bias(c.frequency_bias, sizes)
        self.start = DetectorStart(sizes) if sizes.start else None
        if self.start:
            start_at_zero(self.objects[-1])

    def forward(self, batch: Batch) -> Outputs:
        """Score objects and pairs.

        Args:
            batch: Of its targets only the frequency bias makes use.

        Returns:
            Object logits [B, V, 1 + C] and predicate logits [Q, 1 + P].

        Raises:
            InputError: An image has more regions than there are positions for their names.
        """
        width = batch.mask.shape[1]
        if width + 2 > self.config.positions:
            raise InputError(f"{width} regions an image need {width + 2} positions: set uniter.positions to as many")
        words = torch.where(batch.labels < 0, self.unnamed, batch.labels)
        regions = self.img_embeddings.regions(batch)
        names, views = self._read_images(batch, words, regions)
        tags = self.tag(self._tags(words, batch.scores))
        objects = self.objects(self.dropout(views + names + tags))
        start: DetectorAnswer | None = self.start(batch) if self.start else None
        if start:
            objects = start.moved(objects)
        states = torch.cat([views, names], -1)
        labels = target_or_best(objects, batch.targets)
        relations = self._relate(batch, states, words, regions, labels)
        return Outputs(objects, relations, *(start.shares, start.doubt, start.own) if start else ())

    def _tags(self, words: Tensor, scores: Tensor) -> Tensor:
        """The detector's distribution over names, embedded: its score is shared between the name and none."""
        table, score = self.embeddings.word_embeddings, scores[..., None]
        return score * table(words) + (1 - score) * table.weight[self.unnamed]

    def _read_images(self, batch: Batch, words: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Encode [CLS] names [SEP] regions of every image: the states of names and of regions, [B, V, hidden] each."""
        images, width = words.shape
        edge = torch.ones(images, 1, dtype=torch.bool, device=words.device)
        text = torch.cat([words.new_full((images, 1), self.first), words, words.new_full((images, 1), self.last)], 1)
        positions = torch.arange(width + 2, device=words.device).repeat(images, 1)
        positions[:, -1] = batch.mask.sum(1) + 1  # padding moves nothing
        image = self.img_embeddings(regions, self.embeddings.token_type_embeddings.weight[REGION])
        tokens = torch.cat([self.embeddings(text, positions), image], 1)
        mask = torch.cat([edge, batch.mask, edge, batch.mask], 1)
        states = self._encode(tokens, mask)
        return states[:, 1 : width + 1], states[:, width + 2 :]

    def _encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(tokens, attention_mask=mask[:, None, None]).last_hidden_state

    def _relate(self, batch: Batch, states: Tensor, words: Tensor, regions: Tensor, labels: Tensor) -> Tensor:
        """Predicate logits [Q, 1 + P] from states [B, V, 2 x hidden] of the images' sequences, or the pairs' own."""
        if batch.pairs is None or not len(batch.pairs):
            return states.new_zeros((0, 1 + self.sizes.predicates))
        if self.config.sequence == "image":
            image, subject, object_ = batch.pairs.unbind(1)
            pair = self.subject(states)[image, subject] + self.object(states)[image, object_]
        else:
            pair = self._pair_states(batch.pairs, batch.mask, words, regions)
        if self.union is not None:
            pair = pair + self.union(batch)
        logits = self.predicates(self.dropout(pair))
        return logits if self.frequency is None else logits + self.frequency(labels, batch.pairs)

    def _pair_states(self, pairs: Tensor, mask: Tensor, words: Tensor, regions: Tensor) -> Tensor:
        """`_read_pairs`, some pairs at a time: [Q, hidden]."""
        return torch.cat([self._read_pairs(part, mask, words, regions) for part in pairs.split(self.sequences)])

    def _read_pairs(self, pairs: Tensor, mask: Tensor, words: Tensor, regions: Tensor) -> Tensor:
        """Encode [CLS] subject [MASK] object [SEP] and all regions for each of pairs [S, 3]: [S, hidden]."""
        image, subject, object_ = pairs.unbind(1)
        row = torch.arange(pairs.shape[0], device=pairs.device)
        special = [torch.full_like(image, word) for word in (self.first, self.masked, self.last)]
        text = torch.stack([special[0], words[image, subject], special[1], words[image, object_], special[2]], 1)
        length = text.shape[1]
        types = torch.full_like(words[image], REGION)
        types[row, subject], types[row, object_] = SUBJECT, OBJECT
        positions = torch.arange(length, device=pairs.device).expand_as(text)
        views = self.img_embeddings(regions[image], self.embeddings.token_type_embeddings(types))
        tokens = torch.cat([self.embeddings(text, positions), views], 1)
        states = self._encode(tokens, torch.cat([torch.ones_like(text, dtype=torch.bool), mask[image]], 1))
        ends = [
            torch.cat([states[row, length + end], states[:, name]], -1) for end, name in ((subject, 1), (object_, 3))
        ]
        return states[:, 2] + self.subject(ends[0]) + self.object(ends[1])


def uniter_geometry(batch: Batch) -> Tensor:
    """UNITER's box: x1, y1, x2, y2, width, height, area in fractions of the image: [B, V, 7]."""
    corners = batch.boxes / batch.sizes.repeat(1, 2)[:, None]
    sides = corners[..., 2:] - corners[..., :2]
    return torch.cat([corners, sides, sides.prod(-1, keepdim=True)], -1)


def _head(kind: NameKind, hidden: int, sizes: Sizes) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), new_head(kind, hidden, sizes))


def _initialise(module: nn.Module) -> None:
    """BERT's start for embeddings, Xavier's for layers, since these are narrower than BERT's."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
