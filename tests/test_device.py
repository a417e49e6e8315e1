"""Where models run: the one answer, a GPU that is not there, reduced precision, and a real GPU where there is one."""

import numpy as np
import pytest
import torch
from fake_gpu import FakeGpu
from miniatures import EXPERTS, TRAINED

CPU = torch.device("cpu")


@pytest.fixture
def gpu():
    with FakeGpu() as made:
        yield made


def same(one, two, **tolerance):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("name", [*EXPERTS, *TRAINED])
def test_models_and_what_goes_into_them_lie_on_the_gpu(name, tmp_path, gpu):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "gpu").mkdir()
    run = (EXPERTS | TRAINED)[name]
    expected = run(tmp_path / "cpu", device="cpu")
    assert not gpu.puts and not gpu.work
    found = run(tmp_path / "gpu", device=gpu.device)
    assert gpu.puts > 5 and gpu.work > 20 and gpu.reads
    same(found, expected, rtol=1e-3, atol=2e-3 if name in TRAINED else 1e-5)


@pytest.mark.parametrize("name", EXPERTS)
def test_an_expert_computes_in_bf16_and_gives_float32(name, tmp_path, gpu):
    (tmp_path / "gpu").mkdir()
    found = EXPERTS[name](tmp_path / "gpu", device=gpu.device, precision="bf16")
    assert torch.bfloat16 in gpu.dtypes
    assert all(array.dtype in (np.float32, np.int64) and np.isfinite(array).all() for array in found)
