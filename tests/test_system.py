"""The package on a system with nothing that is POSIX's alone, and what differs between systems."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from groundgraph import system

# torch and other libraries have their own ways on each system; what is tried here is what our modules ask for.
WITHOUT_POSIX = """
import builtins, ctypes, mmap, os, pathlib, pkgutil, signal, sys, tempfile

MISSING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline"}
real_import, real_library = builtins.__import__, ctypes.CDLL


def ours(frame):
    return frame.f_globals.get("__name__", "").split(".")[0] == "groundgraph"


def import_(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name.split(".")[0] in MISSING and (globals or {}).get("__name__", "").startswith("groundgraph"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real_import(name, globals, locals, fromlist, level)


class Library(real_library):
    def __init__(self, name, *arguments, **options):
        if name is None and ours(sys._getframe(1)):
            raise TypeError("bad argument type for built-in operation")
        super().__init__(name, *arguments, **options)


builtins.__import__, ctypes.CDLL = import_, Library

import groundgraph

for module in pkgutil.walk_packages(groundgraph.__path__, "groundgraph."):
    if module.name != "groundgraph.__main__":
        try:
            __import__(module.name)
        except ModuleNotFoundError as error:
            if error.name not in ("ray", "lightning_fabric", "gradio", "onnx", "onnxruntime"):  # extras
                raise
assert len([name for name in sys.modules if name.startswith("groundgraph.")]) > 100

for place, names in ((os, "O_DIRECTORY sched_getaffinity fork"), (mmap, "PROT_READ"), (signal, "SIGKILL SIGHUP")):
    for name in names.split():
        delattr(place, name)

import numpy as np
from groundgraph.data.ragged import Ragged, write_ragged
from groundgraph.engine import lock
from groundgraph.system import peak_memory, trim_memory

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    write_ragged(folder / "a.safetensors", ["one"], {"x": [np.arange(3)]})
    assert Ragged(folder / "a.safetensors")["one"]["x"].tolist() == [0, 1, 2]
    with lock.held(folder):
        assert str(os.getpid()) in lock.holder(folder)
    assert lock.holder(folder) is None
trim_memory()
assert peak_memory() > 50 << 20
"""


def test_every_module_imports_and_works_without_what_is_posix_alone():
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_peak_memory_is_in_bytes_on_each_system(monkeypatch):
    resource = pytest.importorskip("resource")
    code = (  # in a process whose peak is its own
        "from groundgraph.system import peak_memory; before = peak_memory(); block = bytearray(b'x') * (200 << 20);"
        "print(peak_memory() - before, block[-1])"
    )
    # Started by a shell: Linux counts the memory of who starts a process as that process's own.
    command = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, code]
    grown, last = map(int, subprocess.run(command, capture_output=True, check=True).stdout.split())
    assert 150 << 20 < grown < 400 << 20 and last == ord("x")
    units = {"linux": 1024, "darwin": 1}
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=7))  # the true one may grow
    for name, unit in units.items():
        monkeypatch.setattr(system.sys, "platform", name)
        assert system.peak_memory() == 7 * unit


def test_a_copy_stands_in_for_a_link_where_there_is_none(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("content")
    system.link_or_copy(tmp_path / "a", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link" / "file").read_text() == "content"
    with pytest.raises(FileExistsError):
        system.link_or_copy(tmp_path / "a", tmp_path / "link")

    def refused(*_, **__):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refused)
    system.link_or_copy(tmp_path / "a", tmp_path / "folder")
    system.link_or_copy(tmp_path / "a" / "file", tmp_path / "file")
    assert not (tmp_path / "folder").is_symlink() and (tmp_path / "folder" / "file").read_text() == "content"
    assert (tmp_path / "file").read_text() == "content"
