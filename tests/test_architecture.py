"""The tree keeps its order: a package imports only packages above it, nothing imports in a circle, files stay short."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "groundgraph"
ORDER = (
    *(
        "errors",
        "registry",
        "system",
        "terminal",
        "torch_pair",
        "data",
        "formats",
        "sources",
        "models",
        "language",
        "vision",
    ),
    *("teachers", "training", "grounding", "sgg", "systems", "evaluation", "report", "engine", "stages", "study"),
    *("pretrained", "app", "api", "cli", "__main__", "__init__"),
)
ENGINE_MAY_IMPORT = {"errors", "registry", "system", "terminal", "torch_pair", "data", "engine"}
LONGEST = 300  # lines of a file
TABLES = {"data/minigenome/icons.py"}  # of data: as long as they are
PLACE = re.compile(r"groundgraph(\.\w+)+(?=:\w+$|$)")  # "groundgraph.vision.detr:Detr" in a registry

MODULES = {
    ".".join(("groundgraph", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """The modules of this package that a module imports, at its top, in a function or by a registry's string."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (place := PLACE.match(node.value)):
            names = [place[0]]
        for name in names:
            while name.startswith("groundgraph") and name not in MODULES:
                name = name.rpartition(".")[0]
            if name.startswith("groundgraph") and name != module:
                yield name


def package(module: str) -> str:
    """The package that a module lies in, or its own name where it is a single file.

    A data source reads foreign formats, which are made of data's types: data/sources counts as a package below formats.
    """
    if module.startswith("groundgraph.data.sources"):
        return "sources"
    return "__init__" if module == "groundgraph" else module.split(".")[1]


EDGES = {module: sorted(set(imports(module))) for module in MODULES}


def test_the_order_names_every_package():
    assert {package(module) for module in MODULES} <= set(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_package_imports_only_packages_above_it(name):
    below = ORDER[ORDER.index(name) + 1 :]
    wrong = [
        f"{m} imports {i}" for m, found in EDGES.items() if package(m) == name for i in found if package(i) in below
    ]
    assert not wrong, "\n".join(wrong)


def test_the_engine_knows_nothing_of_scene_graphs():
    engine = [m for m in MODULES if package(m) == "engine"]
    known = [m for m in MODULES if package(m) in ENGINE_MAY_IMPORT or m == "groundgraph.training.processes"]
    wrong = [f"{m} imports {i}" for m in engine for i in EDGES[m] if i not in known]
    assert not wrong, "\n".join(wrong)


def test_no_import_is_circular():
    graph = {m: [i for i in found if not m.startswith(f"{i}.")] for m, found in EDGES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_file_is_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()
    }
    assert not {name: count for name, count in lengths.items() if count > LONGEST and name not in TABLES}


def test_a_class_name_stands_for_one_class():
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name != "Config":  # a model's own settings: Motifs.Config
                places.setdefault(node.name, []).append(module)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_test_files_share_a_name():
    """pytest imports a test file by its name alone, and stops where there are two."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name, count in Counter(names).items() if count > 1] == []
