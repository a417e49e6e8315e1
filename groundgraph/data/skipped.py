"""What was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Skipped:
    """What was left out and why; every stage adds to it and the report prints it."""

    items: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, why: str) -> None:
        """Record it; characters that no file can hold (lone surrogates, which JSON allows) are written as escapes."""
        what, why = (text.encode("utf-8", "backslashreplace").decode() for text in (what, why))
        self.items.append((what, why))
