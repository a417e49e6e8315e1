"""What grounders share: encoders, and, the other systems', a vocabulary made of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groundgraph.grounding.logsumexp import logsumexp
from groundgraph.training.processes import WHOLE, Share

# A logit that no softmax notices; minus infinity would leave nan gradients where a whole image is masked.
MASKED_LOGIT = -1e4


def mlp(inputs: int, d: int) -> nn.Sequential:
    """Two linear layers with a ReLU between them, as in Eq. 1-2."""
    return nn.Sequential(nn.Linear(inputs, d), nn.ReLU(), nn.Linear(d, d))


def initialise(module: nn.Module) -> None:
    """Xavier weights and zero biases for every linear layer within."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def batch_vocabulary(
    queries: Tensor, mask: Tensor, classes: Tensor, bias: Tensor, class_mask: Tensor, start: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits q . c / sqrt(d) + bias over a vocabulary that is the batch: an image's own entities, and the others'.

    Where the published systems have a closed vocabulary, an open one has no list of classes; and an image's own
    entities are never set against each other, because two captions often name one thing. softplus(rest - own) is the
    cross-entropy of one's own against the others'.

    Args:
        queries: [b, X, d] of the images from `start` on (of all, but where several processes share the batch).
        mask: [b, X] bool, which queries are real; padded ones get 0 without being computed: often more than half.
        classes: [B, E, d], embeddings of all images' entities (or predicates).
        bias: [B, E].
        class_mask: [B, E] bool, which classes are real.
        start: Place of the first image in the batch.

    Returns:
        own [b, X, E], the logit of each of the image's own classes; rest [b, X], log-sum-exp of the logits of all the
        other images', about -1e4 in a batch of one.
    """
    d = queries.shape[-1]
    image, place = mask.nonzero(as_tuple=True)
    offset = bias.masked_fill(~class_mask, MASKED_LOGIT).flatten()
    product = torch.addmm(offset, queries[image, place], classes.flatten(0, 1).T, alpha=d**-0.5)
    logits = product.float().unflatten(1, classes.shape[:2])  # losses are made of them
    others = (image + start).unsqueeze(1) != torch.arange(len(classes), device=image.device)
    own = logits.new_zeros(*queries.shape[:2], classes.shape[1])
    own = own.index_put((image, place), logits[torch.arange(len(image), device=image.device), image + start])
    rest = logsumexp(logsumexp(logits).masked_fill(~others, MASKED_LOGIT))
    return own, logits.new_zeros(queries.shape[:2]).index_put((image, place), rest)


def everywhere(words: Tensor, regions: Tensor) -> Tensor:
    """Logits w . r / sqrt(d) of words [N, d] with the regions [B, V, d] of all images: [N, B, V] float32."""
    logits = (words @ regions.flatten(0, 1).T).float() * words.shape[-1] ** -0.5
    return logits.view(len(words), *regions.shape[:2])


def mean_where(values: Tensor, mask: Tensor, share: Share = WHOLE) -> Tensor:
    """The mean of the values where the mask, of their shape, holds; 0 where it holds nowhere.

    Args:
        values: Of any shape.
        mask: Bool.
        share: Of the images, where several processes have them; what each gives then adds up to the mean over all.

    Returns:
        A scalar.
    """
    return (values * mask).sum() / share.sum(mask.sum()).clamp(min=1)
