"""HDF5 files from elsewhere read nothing outside themselves, and no more than they could hold."""

import h5py
import numpy as np
import pytest

from groundgraph.errors import InputError
from groundgraph.formats.h5 import dataset, open_h5, taken


def outside(path):
    """Another file, which nobody gave."""
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.arange(3.0)
    path.with_name("raw").write_bytes(np.arange(3.0).tobytes())


def external_link(file):
    file["values"] = h5py.ExternalLink("other.h5", "secret")


def soft_link(file):
    file["elsewhere"] = np.arange(3.0)
    file["values"] = h5py.SoftLink("/elsewhere")


def external_storage(file):
    file.create_dataset("values", (3,), float, external=[("raw", 0, h5py.h5f.UNLIMITED)])


def virtual(file):
    layout = h5py.VirtualLayout((3,), float)
    layout[:] = h5py.VirtualSource("other.h5", "secret", (3,))
    file.create_virtual_dataset("values", layout)


def never_written(file):
    file.create_dataset("values", (10**12,), float, chunks=(1000,))


def one_large_chunk(file):
    file.create_dataset("values", (2**27,), float, chunks=(2**27,))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (external_link, "is a link to somewhere else"),
        (soft_link, "is a link to somewhere else"),
        (external_storage, "stored in another file"),
        (virtual, "stored in another file"),
        (never_written, "claims 8,000,000,000,000 bytes"),
        (one_large_chunk, "has chunks of"),
        (lambda file: file.create_group("values"), "is a group"),
        (lambda file: file.create_dataset("values", data=b"text"), "holds texts"),
    ],
)
def test_what_a_file_cannot_hold_is_refused(tmp_path, make, word):
    path = tmp_path / "a.h5"
    outside(path)
    with h5py.File(path, "w") as file:
        make(file)
    with open_h5(path, "numbers") as file, pytest.raises(InputError, match=rf"a\.h5: .*{word}"):
        taken(dataset(file, "values", path), (), path)


def test_a_row_of_a_large_dataset_is_read(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("values", (10**9, 4), float, chunks=(1000, 4))[7] = [1, 2, 3, 4]
    with open_h5(path, "numbers") as file:
        found = dataset(file, "values", path, (2,))
        assert taken(found, 7, path).tolist() == [1, 2, 3, 4]
        assert taken(found, (7, slice(2)), path).tolist() == [1, 2]
