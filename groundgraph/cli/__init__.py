"""The command line: `groundgraph demo`, `run`, `predict`, `parse`, `evaluate` and others."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from groundgraph.cli import evaluating, exchange, fetching, parsing, predicting, recipes, running, serving, study
from groundgraph.cli.mistakes import explained
from groundgraph.terminal import print_anywhere

# A command is a function of one file of this package, and one line here.
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": running.demo,
    "run": running.run,
    "status": running.status,
    "recipes": recipes.recipes,
    "predict": predicting.predict,
    "ground": predicting.ground,
    "app": serving.app,
    "pack": predicting.pack,
    "parse": parsing.parse,
    "evaluate-parser": parsing.evaluate_parser,
    "evaluate": evaluating.evaluate,
    "study": study.study,
    "export": exchange.export,
    "import": exchange.import_,
}
DATA_COMMANDS: dict[str, Callable[..., None]] = {"check": recipes.check, "fetch": fetching.fetch}

app = typer.Typer(help=__doc__, invoke_without_command=True, no_args_is_help=True, pretty_exceptions_enable=False)
data = typer.Typer(help="The data that recipes read.", no_args_is_help=True)
app.add_typer(data, name="data")
for group, commands in ((app, COMMANDS), (data, DATA_COMMANDS)):
    for name, command in commands.items():
        group.command(name)(explained(command))


@app.callback()
def main(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and end.", is_eager=True)] = False,
) -> None:
    """What comes before every command: streams that take any character, and --version."""
    print_anywhere()
    if show_version:
        typer.echo(version("groundgraph"))
        raise typer.Exit
