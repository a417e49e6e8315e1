"""What reading a stranger's file comes down to: what it may become, and what stands for what it names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def memory_of(size: int) -> int:
    """Bytes of memory that a file of `size` bytes may become: compressed features and lists of numbers need tenfold."""
    return 2**25 + 32 * size


class Refused(Exception):
    """Something that plain data do not need; its text names it."""


class Damaged(ValueError):
    """A file that contradicts itself, or becomes more than it may."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle asks for. `call`, a function of ours, is what calling it gives; None: it is only named."""

    text: str
    call: Callable[..., Any] | None


class Built(ABC):
    """What a pickle makes in two steps: it is there first, and gets its state later."""

    @abstractmethod
    def build(self, machine: Any, state: Any) -> None:
        """Take a state, nothing of which has been checked."""

    @abstractmethod
    def value(self, plain: Callable[[Any], Any]) -> tuple[Any, int]:
        """The plain value and its bytes; `plain` makes one of what it holds."""
