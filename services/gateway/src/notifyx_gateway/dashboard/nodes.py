"""The nodes of the platform and their state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

MAX_REASON = 300
"""Maximum length of a reason that is shown, in characters."""

MEMCACHED = "memcached"
"""Under this name the caching servers stand among the services."""

State = Literal["ready", "not ready", "no answer"]


@dataclass(frozen=True, slots=True)
class NodeState:
    """The state of one node of a service.

    ``failed`` are the checks of its readiness that fail, each with its reason, and ``degraded`` what it works without.
    Of a mailer, ``mail_problem`` is why it cannot use its mail server, ``mail_problem_since`` since when, and
    ``mail_sent`` when it sent an email last.
    """

    instance: str
    state: State
    failed: Mapping[str, str] = field(default_factory=dict)
    degraded: Mapping[str, str] = field(default_factory=dict)
    mail_problem: str = ""
    mail_problem_since: datetime | None = None
    mail_sent: datetime | None = None

    @property
    def reason(self) -> str:
        """What is wrong with it, for people."""
        return "; ".join([*self.failed.values(), *([self.mail_problem] if self.mail_problem else [])])[:MAX_REASON]

    @property
    def ready(self) -> bool:
        """Whether the node accepts work."""
        return self.state == "ready"
