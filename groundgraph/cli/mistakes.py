"""How a command fails: a mistake that the user can mend is one line, a bug keeps its traceback."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version

import typer
from rich.markup import escape

from groundgraph.cli.common import console
from groundgraph.errors import InputError
from groundgraph.terminal import visible

ISSUES = "https://github.com/groundgraph/groundgraph/issues"
FIXES = {
    FileNotFoundError: "check the path",
    FileExistsError: "it is no folder; name another place",
    NotADirectoryError: "a part of the path is no folder; name another place",
    IsADirectoryError: "name a file",
    PermissionError: "name another place, or let yourself read and write there",
}


def explained(command: Callable[..., None]) -> Callable[..., None]:
    """The command, ending with exit code 2 after a user's mistake and with 1 after a bug of ours.

    Args:
        command: A command's function; typer reads its options from the signature, which stays.
    """

    @wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except (typer.Exit, typer.Abort, typer.BadParameter):  # it ends by itself
            raise
        except KeyboardInterrupt as error:
            if hasattr(error, "number"):  # a run that a signal stopped
                raise typer.Exit(128 + error.number) from error
            raise
        except Exception as error:
            mistake = _mistake(error)
            if mistake:
                console.print(f"[red]error[/] {escape(mistake)}")
                raise typer.Exit(2) from error
            sys.stderr.write(visible("".join(traceback.format_exception(error))))
            console.print(
                f"[red]bug[/] groundgraph {version('groundgraph')} failed, and not by your mistake; please report it "
                f"with the lines above: {ISSUES}"
            )
            raise typer.Exit(1) from error

    return run


def _mistake(error: Exception) -> str:
    """What the user can mend, in one line; "" where the error is a bug."""
    if not isinstance(error, InputError) and "torch" in sys.modules:
        error = _mismatch() or error
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        cause, fix = f"{os.path.abspath(os.fsdecode(error.filename))}: {error.strerror}", FIXES.get(type(error))
        return f"{cause}; {fix}" if fix else cause
    return ""


def _mismatch() -> InputError | None:
    """The true cause of whatever fails where torch and torchvision are no pair."""
    from groundgraph.torch_pair import check_torchvision

    try:
        check_torchvision()
    except InputError as error:
        return error
    return None
