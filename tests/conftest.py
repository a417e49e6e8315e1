"""What tests of several folders use."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Torch adds up in one order, however many cores there are: for digits that are compared or timed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
