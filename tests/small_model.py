"""A small finished run, and what is packed from it."""

import groundgraph

SETTINGS = {
    **{"data.train": 12, "data.validation": 2, "data.test": 4, "grounder": "two-teachers", "sgg.heads": "open"},
    **{"grounding.dimension": 32, "grounding.epochs": 1, "sgg.training.epochs": 1},
}


def small_run(folder):
    """Run it; gives its folder."""
    return groundgraph.run("demo", SETTINGS, folder / "run").folder


def small_packed(run):
    """Pack it beside it; gives the folder."""
    groundgraph.pack(run, run.parent / "packed")
    return run.parent / "packed"
