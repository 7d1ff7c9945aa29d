"""The nodes of the platform and their state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ready", "not ready", "no answer"]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a service; ``why`` says what keeps it from being ready."""

    instance: str
    state: State
    why: str = ""

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return self.state == "ready"
