"""A trained grounder as one ONNX graph: embeddings of one image's words and its regions in, scores out."""

from __future__ import annotations

from dataclasses import fields
from typing import cast

import torch
from torch import Tensor

from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.learned import Learned
from groundgraph.grounding.pairs import Pairs
from groundgraph.grounding.training import Trainable
from groundgraph.grounding.vspnet import Vspnet
from groundgraph.grounding.wsgm import Wsgm
from groundgraph.pretrained.onnx.graph_file import OneImage

OUTPUTS = ("scores",)
AXES = {
    "entities": {0: "entities"},
    **{name: {0: "regions"} for name in ("features", "boxes")},
    **{name: {0: "triplets"} for name in ("predicates", "triplets")},
    "scores": {0: "entities", 1: "regions"},
}


class Grounding(OneImage):
    """A grounder's scores for one image: `Learned.scores` as far as tensors go.

    Args:
        grounder: Trained, its weights on the CPU.
    """

    outputs = OUTPUTS
    axes = AXES

    def __init__(self, grounder: Learned) -> None:
        super().__init__()
        self.model, self.sizes = grounder.model, grounder.sizes
        self.inputs = ("entities", "features", *_READS_TRIPLETS.get(type(self.model), ()))
        self.eval()

    def forward(self, *values: Tensor) -> Tensor:
        """What `inputs` names -> a [E, V], how well each region fits each entity; higher is better.

        entities [E, de] and features [V, dv]; then, of a grounder that reads triplets (`pairs`, `wsgm`, `vspnet`), the
        triplets [T, 2], places of subjects and objects among the entities, their predicates [T, de], and boxes [V, 4]
        xyxy in shares of the image.
        """
        named = dict(zip(self.inputs, values, strict=True))
        entities, features = named["entities"][None], named["features"][None]
        predicates = named.get("predicates", entities[0, :0])
        triplets = named.get("triplets", predicates[:, :2].long())
        # One more that does not count, since ONNX does not shape what is empty.
        predicates = torch.cat([predicates, torch.zeros_like(entities[0, :1])])
        triplets = torch.cat([triplets, triplets.new_zeros(1, 2)])
        counts = torch.arange(triplets.shape[0]) < triplets.shape[0] - 1
        taught = {field.name: features.new_zeros(0) for field in fields(PaddedSet) if field.name != "share"}
        read = {
            "embeddings": entities,
            "entities": torch.ones_like(entities[..., 0], dtype=torch.bool),
            "features": features,
            "regions": torch.ones_like(features[..., 0], dtype=torch.bool),
            "triplets": triplets[None],
            "triplet_mask": counts[None],
            "predicates": predicates[None],
            "boxes": named.get("boxes", features[0, :, :4])[None],
            "confidences": torch.ones_like(features[..., 0]),
        }
        batch = PaddedSet(**taught | read)
        return cast(Trainable, self.model).score(batch)[0]


_READS_TRIPLETS = {
    Pairs: ("boxes", "predicates", "triplets"),
    Wsgm: ("triplets",),
    Vspnet: ("predicates", "triplets"),
}


def example_inputs(
    grounding: Grounding, entities: int, regions: int, triplets: int, seed: int = 0
) -> tuple[Tensor, ...]:
    """Random words and regions, as the graph reads them.

    Args:
        grounding: What reads them.
        entities: How many; two or more where there are triplets.
        regions: How many.
        triplets: How many.
        seed: Of the numbers.
    """
    generator, (text, visual) = torch.Generator().manual_seed(seed), grounding.sizes
    corner = torch.rand(regions, 2, generator=generator) / 2
    sides = 0.05 + torch.rand(regions, 2, generator=generator) / 2.5
    subject = torch.randint(0, entities, (triplets,), generator=generator)
    values = {
        "entities": torch.randn(entities, text, generator=generator),
        "features": torch.randn(regions, visual, generator=generator),
        "boxes": torch.cat([corner, corner + sides], 1),
        "predicates": torch.randn(triplets, text, generator=generator),
        "triplets": torch.stack([subject, (subject + 1) % entities], 1),
    }
    return tuple(values[name] for name in grounding.inputs)
