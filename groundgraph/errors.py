"""The error that a user can mend: one line on the command line, where anything else is a bug with its traceback."""

from __future__ import annotations


class InputError(ValueError):
    """What was given (a file, a recipe, an option, a machine's setting) cannot be used as it is.

    The message stands alone: it names the file or key, the true cause, and a fix that works.
    """
