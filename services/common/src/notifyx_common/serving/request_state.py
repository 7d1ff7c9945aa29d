"""What is found out about a request while it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal


@dataclass(slots=True)
class RequestState:
    """Filled in by the steps that a request passes, for those that come after."""

    started: float = 0.0
    """When its answer was begun, by the performance counter."""

    service: str = ""
    """The service that makes an internal call; empty as long as none is recognised."""

    principal: Principal | None = None
    """For whom an internal call is made."""

    caller: Principal | None = None
    """Who was authenticated."""

    rate_limit: Mapping[str, str] = field(default_factory=dict)
    """Headers with the caller's rate limit: quota, remaining, reset."""

    error: NotifyxError | None = None
    """Why it was rejected."""
