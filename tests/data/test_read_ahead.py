"""Pictures decoded ahead by threads are those that opening gives, errors included."""

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.images import ImageError
from groundgraph.data.read_ahead import ReadAhead


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_expected_or_not_a_picture_is_what_opening_gives(tmp_path, device):
    paths = [str(tmp_path / f"{i}.png") for i in range(4)]
    for i, path in enumerate(paths[:3]):
        Image.new("RGB", (4, 3), (i, 0, 0)).save(path)
    ahead = ReadAhead(device)
    ahead.expect(paths[1:])
    for i, path in enumerate(paths[:3]):  # the first was not expected
        assert np.asarray(ahead.open(path))[0, 0, 0] == i
    assert np.asarray(ahead.open(paths[1]))[0, 0, 0] == 1  # asked for twice
    with pytest.raises(ImageError, match="no such image"):
        ahead.open(paths[3])
    ahead.expect(paths[:2])
    ahead.expect(paths[1:2])
    assert set(ahead.futures) == ({paths[1]} if device == "cuda" else set())
