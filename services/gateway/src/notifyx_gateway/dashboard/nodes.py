"""The nodes of the platform and their state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ready", "not ready", "no answer"]


@dataclass(frozen=True, slots=True)
class NodeState:
    """The state of one node of a service; ``reason`` is why it is not ready."""

    instance: str
    state: State
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether the node accepts work."""
        return self.state == "ready"
