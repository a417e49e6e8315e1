"""Every test imports groundgraph first: it makes torchvision, which transformers imports, work beside a CPU torch."""

import groundgraph  # noqa: F401, I001
import pytest
import torch


@pytest.fixture
def one_thread():
    """Torch adds up in one order, however many cores there are: for digits that are compared or timed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
