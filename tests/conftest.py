"""What tests of several folders use."""

import os
import random

import pytest
import torch
from huggingface_hub import constants

from groundgraph import api
from groundgraph.models import device


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What a test and its fixtures draw without a seed of their own does not depend on which tests came before."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def on_the_cpu():
    """Figures are the CPU's, whatever the machine has, here and in what tests start; tests of a GPU take it back."""
    if torch.cuda.is_available():
        torch.cuda.init()
        torch.cuda.device_count()  # which torch keeps from now on: the variable is meant for others
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "gpu_count", lambda: 0)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def without_the_hub():
    """The Hugging Face hub is asked nothing, here and in what tests start; tests of asking have a server of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def on_its_share_of_the_cores():
    """Each of several test processes (`pytest -n 2`) has as many threads as are its own, and so has what it starts."""
    with pytest.MonkeyPatch.context() as patch:
        if (processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
            threads = max(1, (os.cpu_count() or 1) // processes)
            torch.set_num_threads(threads)
            patch.setenv("OMP_NUM_THREADS", str(threads))
        yield


@pytest.fixture(scope="session", autouse=True)
def in_one_process():
    """A command that a test calls does not start processes by itself: they take seconds to import."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "cores", lambda: 1)
        yield


@pytest.fixture
def one_thread():
    """Torch adds up in one order, however many cores there are: for digits that are compared or timed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def browser():
    """Chromium; tests that ask for it without playwright are skipped, see the module `chromium`."""
    from chromium import chromium

    with chromium() as browser:
        yield browser
