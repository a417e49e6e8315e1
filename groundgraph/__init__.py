"""Scene-graph generators trained from captions, without a single annotated box.

    import groundgraph

    result = groundgraph.run("demo", {"data.train": 500})  # a recipe in its folder
    model = groundgraph.load(result.folder)  # its detector and model, for new images
    model.predict("beach.png").relations
    groundgraph.parse("a man riding a horse")  # entities and triplets
    groundgraph.evaluate("predictions.npz", "truth.json")  # anyone's scene graphs

Each name is imported when it is first used: `import groundgraph` loads neither torch nor NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundgraph.api import RunResult, evaluate, export, pack, parse, run
    from groundgraph.data.types import Entity, Example, Graph, ParsedCaption, Regions, Skipped, Triplet
    from groundgraph.errors import InputError
    from groundgraph.pretrained.loading import load
    from groundgraph.pretrained.model import SceneGraphModel

_PLACES = {
    "groundgraph.api": ("RunResult", "evaluate", "export", "pack", "parse", "run"),
    "groundgraph.data.types": ("Entity", "Example", "Graph", "ParsedCaption", "Regions", "Skipped", "Triplet"),
    "groundgraph.errors": ("InputError",),
    "groundgraph.pretrained.loading": ("load",),
    "groundgraph.pretrained.model": ("SceneGraphModel",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Entity",
    "Example",
    "Graph",
    "InputError",
    "ParsedCaption",
    "Regions",
    "RunResult",
    "SceneGraphModel",
    "Skipped",
    "Triplet",
    "evaluate",
    "export",
    "load",
    "pack",
    "parse",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
