"""What a target is: code of the platform that reads bytes, and what holds for each input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from notifyx_common.errors import NotifyxError

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """One reader. ``read`` raises one of ``refusals`` for an input that is refused, and asserts what has to hold.

    ``has_head``: the first line of an input says how the rest came: headers, a content type. ``calls_per_byte``:
    function calls that an input may take for each of its bytes, besides :data:`fuzz.run.BASE_CALLS`.
    """

    name: str
    read: Callable[[bytes], None]
    refusals: tuple[type[Exception], ...] = (NotifyxError,)
    has_head: bool = False
    calls_per_byte: int = 50

    def corpus(self) -> list[bytes]:
        """Return the kept inputs."""
        found = [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]
        assert found, f"the corpus of {self.name} is empty"
        return found
