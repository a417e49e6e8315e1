"""A caption as the spaCy model reads it: text mended for it, each character knowing where it stands in the caption."""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST = 1000  # characters read of a caption; a longer one is no caption, and parsing time grows with length


class Reading:
    """A caption's beginning, to be rewritten piece by piece without losing its places.

    Args:
        caption: As it stands.

    Attributes:
        text: What is read.
        starts: Of each character of `text`, the first character of the caption that it stands for.
        ends: Likewise, the one after the last.
        names: Names of several words by where their last word starts in the caption: (first character, all words in
            lower case). `text` has the last word alone.
    """

    def __init__(self, caption: str) -> None:
        self.text = beginning(caption)
        self.starts = list(range(len(self.text)))
        self.ends = list(range(1, len(self.text) + 1))
        self.names: dict[int, tuple[int, str]] = {}

    def replace(self, pattern: re.Pattern[str], new: str | Callable[[re.Match[str]], str]) -> None:
        """Put `new` where the pattern matches, as re.sub does but for groups; what is equal keeps its places."""
        text, starts, ends, last = "", [], [], 0
        for match in pattern.finditer(self.text):
            first, end = match.span()
            replacement = new if isinstance(new, str) else new(match)
            if replacement == match[0]:
                continue
            text += self.text[last:first] + replacement
            starts += self.starts[last:first]
            ends += self.ends[last:first]
            if len(replacement) == end - first:  # letter by letter
                starts += self.starts[first:end]
                ends += self.ends[first:end]
            elif replacement:
                starts += [self.starts[first]] * len(replacement)
                ends += [self.ends[end - 1]] * len(replacement)
            last = end
        if last:
            self.text = text + self.text[last:]
            self.starts = starts + self.starts[last:]
            self.ends = ends + self.ends[last:]

    def cut(self, first: int, end: int) -> None:
        """Leave out characters [first, end) of `text`."""
        self.text = self.text[:first] + self.text[end:]
        del self.starts[first:end], self.ends[first:end]


def beginning(text: str) -> str:
    """Return what is read of a caption, `LONGEST` characters at most: half a word at the end would be another word."""
    if len(text) <= LONGEST or text[LONGEST].isspace():
        return text[:LONGEST]
    whole = re.match(r".*\s", text[:LONGEST], re.DOTALL)
    return whole.group() if whole else text[:LONGEST]  # a script without spaces has none to cut at
