"""Stores of arrays of uneven length: what goes in comes out."""

import numpy as np

from groundgraph.data.ragged import Ragged, RaggedWriter, write_ragged


def test_arrays_in_columns_order_come_back_as_they_are(tmp_path):
    """Arrays whose memory runs down the columns: transposed, or picked by columns."""
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = [table.T.copy(order="C").T, np.asfortranarray(table[:, [3, 1, 0, 2]])]
    assert not any(a.flags.c_contiguous for a in arrays)
    write_ragged(tmp_path / "even.safetensors", ["a", "b"], {"x": arrays})
    write_ragged(tmp_path / "uneven.safetensors", ["a", "b"], {"x": [arrays[0], arrays[1][:, :2]]})
    with RaggedWriter(tmp_path / "shards", "x") as writer:
        for name, array in zip("ab", arrays, strict=True):
            writer.append(name, {"x": array})
    for path in ("even.safetensors", "shards"):
        for name, array in zip("ab", arrays, strict=True):
            np.testing.assert_array_equal(Ragged(tmp_path / path)[name]["x"], array)
    np.testing.assert_array_equal(Ragged(tmp_path / "uneven.safetensors")["b"]["x"], arrays[1][:, :2])
