"""What `groundgraph.load` and `predict` take for a model: a run, a packed folder, a hub id, or nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

from groundgraph.data.images import IMAGE_ENDINGS
from groundgraph.errors import InputError
from groundgraph.models import resolve
from groundgraph.models.hub import cached, obstacles
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.pretrained.packing import is_packed

MINIATURE = "bundled:sgg"  # what is loaded where nothing is named
DRAWN_ONLY = (
    "the bundled miniature's model knows drawn scenes only: it says nothing of photos. For yours, train one "
    "(groundgraph run FOLDER) or name a model's folder or hub id"
)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def is_model(name: str) -> bool:
    """Whether a name means a model and no image: a run's folder, a packed one, a hub id that is no file here."""
    path = Path(name)
    if path.exists():
        return (path / "recipe.yaml").is_file() or is_packed(path)
    return path.suffix.lower() not in IMAGE_ENDINGS


def load(
    model: str | os.PathLike[str] | None = None, method: str | None = None, device: str | None = None
) -> SceneGraphModel:
    """A trained scene-graph generator, ready for new images: `predict` finds graphs, `ground` a caption's boxes.

    Args:
        model: A finished run's folder, one that `groundgraph pack` or `save_pretrained` wrote, or a hub id; None: the
            bundled miniature's, which knows drawn scenes only.
        method: Of a run whose model, by its grounder's name; None: the recipe's first.
        device: Where models run; None: as the run's recipe has it.

    Raises:
        InputError: There is no such model, or it has no such method; names the fix.
    """
    if model is None:
        return SceneGraphModel.from_pretrained(resolve(MINIATURE), device=device)
    path, name = Path(model), str(model)
    if path.exists() or not _HUB_ID.fullmatch(name):
        if not is_packed(path):
            return SceneGraphModel.from_run(path, method, device)
    if method is not None:
        raise InputError(f"{name}: a packed model has one method; leave out {method!r}")
    if path.exists():
        return SceneGraphModel.from_pretrained(str(path), device=device)
    # The hub's client would ask a hub that cannot be reached six times, for half a minute.
    if cached(name, []) is None and (why := obstacles([name]).get(name)):
        raise _not_fetched(name, why)
    try:
        return SceneGraphModel.from_pretrained(name, device=device)
    except InputError:
        raise
    except Exception as error:  # whatever the hub's client in use raises
        raise _not_fetched(name, f"{str(error).strip().splitlines()[0]}: connect") from error


def _not_fetched(name: str, why: str) -> InputError:
    """The error that says why a hub id cannot be fetched, and what to do."""
    return InputError(
        f"{os.path.abspath(name)}: no such folder; and as an id of the hub it cannot be fetched: {why}, or give a run's"
        " folder or one that `groundgraph pack` wrote"
    )
