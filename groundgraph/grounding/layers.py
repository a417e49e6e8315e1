"""What the other systems' grounders share: encoders, and a vocabulary made of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# A logit that no softmax notices; minus infinity would leave nan gradients where a whole image is masked.
NEVER = -1e4


def mlp(inputs: int, d: int) -> nn.Sequential:
    """Two linear layers with a ReLU between them, as in Eq. 1-2."""
    return nn.Sequential(nn.Linear(inputs, d), nn.ReLU(), nn.Linear(d, d))


def initialise(module: nn.Module) -> None:
    """Xavier weights and zero biases for every linear layer within."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def batch_vocabulary(queries: Tensor, classes: Tensor, bias: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Logits over a vocabulary that is the batch: the entities of the other images, and an image's own in turn.

    queries [B, X, d], classes [B, E, d] embeddings of the entities (or predicates), bias [B, E], real [B, E] bool ->
    own [B, X, E]: the logit q . c / sqrt(d) + bias of each of the image's own; rest [B, X]: log-sum-exp of the logits
    of all the other images'. softplus(rest - own) is then the cross-entropy of one's own against them. Where the
    published systems have a closed vocabulary, an open one has no list of classes; and an image's own entities are
    never set against each other, because two captions often name one thing. rest of a batch of one is about -1e4.
    """
    b, x, d = queries.shape
    offset = bias.masked_fill(~real, NEVER).flatten()
    logits = torch.addmm(offset, queries.flatten(0, 1), classes.flatten(0, 1).T, alpha=d**-0.5).view(b, x, b, -1)
    own = logits.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    self = torch.eye(b, dtype=torch.bool, device=queries.device).unsqueeze(1)
    return own, logits.logsumexp(-1).masked_fill(self, NEVER).logsumexp(-1)


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of the values where the mask holds, a scalar; 0 where it holds nowhere. Both of one shape."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
