"""The demo with other settings, by the command line."""

from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine.run import Run
from groundgraph.stages.recipe import load_recipe


def run_demo(out, *settings):
    """The run, and the stages that were computed for it."""
    words = [w for s in settings for w in ("--set", s)]
    result = CliRunner().invoke(app, ["demo", "--out", str(out), *words])
    assert result.exit_code == 0, result.output
    run = Run(load_recipe(out / "recipe.yaml"), out)
    return run, {line.split()[1] for line in result.output.splitlines() if line.startswith("done ")}
