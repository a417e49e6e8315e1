"""log sum exp against torch's own, its gradient too, with masked logits and over any axis."""

import pytest
import torch

from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.grounding.logsumexp import logsumexp


@pytest.mark.parametrize("dim", [-1, -2, 0])
def test_value_and_gradient_are_torch_s(dim):
    logits = 5 * torch.randn(4, 6, 7, generator=torch.Generator().manual_seed(0))
    logits[torch.rand(logits.shape, generator=torch.Generator().manual_seed(1)) < 0.4] = MASKED_LOGIT
    one, two = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    ours, theirs = logsumexp(one, dim), two.logsumexp(dim)
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


def test_where_all_is_masked_all_count_alike():
    logits = torch.full((2, 4), MASKED_LOGIT)
    torch.testing.assert_close(logsumexp(logits), logits.logsumexp(-1))


def test_over_nothing_it_is_minus_infinity():
    assert torch.equal(logsumexp(torch.zeros(2, 0)), torch.full((2,), -torch.inf))
