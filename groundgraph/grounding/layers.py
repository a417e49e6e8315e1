"""What grounders share: encoders, and, the other systems', a vocabulary made of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groundgraph.training.processes import WHOLE, Share

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


def batch_vocabulary(
    queries: Tensor, asked: Tensor, classes: Tensor, bias: Tensor, real: Tensor, start: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits over a vocabulary that is the batch: the entities of the other images, and an image's own in turn.

    queries [b, X, d] of the images from `start` on (of all, but where several processes share the batch), classes
    [B, E, d] embeddings of all images' entities (or predicates), bias [B, E]; asked [b, X] and real [B, E] bool say
    which are no padding. Gives own [b, X, E]: the logit q . c / sqrt(d) + bias of each of the image's own; rest
    [b, X]: log-sum-exp of the logits of all the other images'. softplus(rest - own) is then the cross-entropy
    of one's own against them. Where the published systems have a closed vocabulary, an open one has no list of classes;
    and an image's own entities are never set against each other, because two captions often name one thing. rest of a
    batch of one is about -1e4. Padded queries get 0 without being computed: they are often more than half.
    """
    d = queries.shape[-1]
    image, place = asked.nonzero(as_tuple=True)
    offset = bias.masked_fill(~real, NEVER).flatten()
    product = torch.addmm(offset, queries[image, place], classes.flatten(0, 1).T, alpha=d**-0.5)
    logits = product.float().unflatten(1, classes.shape[:2])  # losses are made of them
    theirs = (image + start).unsqueeze(1) != torch.arange(len(classes), device=image.device)
    own = logits.new_zeros(*queries.shape[:2], classes.shape[1])
    own = own.index_put((image, place), logits[torch.arange(len(image), device=image.device), image + start])
    rest = logits.logsumexp(-1).masked_fill(~theirs, NEVER).logsumexp(-1)
    return own, logits.new_zeros(queries.shape[:2]).index_put((image, place), rest)


def mean_where(values: Tensor, mask: Tensor, share: Share = WHOLE) -> Tensor:
    """The mean of the values where the mask holds, a scalar; 0 where it holds nowhere. Both of one shape.

    share: of the images, where several processes have them; what each gives then adds up to the mean over all.
    """
    return (values * mask).sum() / share.sum(mask.sum()).clamp(min=1)
