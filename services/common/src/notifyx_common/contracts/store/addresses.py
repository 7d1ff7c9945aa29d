"""Whether email reaches a user: the state of an address that mail servers refused."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from notifyx_common.contracts.call import V1, Call, Model


class EmailState(Model):
    """``on``: nothing speaks against the address. ``paused``: it was refused, and is tried again at ``next_try_at``.
    ``stopped``: it was refused several times, and gets no more email.

    ``reason`` is the mail server's answer, ``since`` its time; ``held`` counts the emails that were not sent for it, or
    that wait for the address to be verified.
    """

    state: Literal["on", "paused", "stopped"]
    reason: str
    since: datetime | None
    next_try_at: datetime | None
    held: int


class EmailResumed(Model):
    """``resumed`` emails are due again. ``dropped`` ones were too many: they stay unsent, and are no longer held."""

    resumed: int
    dropped: int


EMAIL_STATE: Call[None, EmailState] = Call("GET", f"{V1}/email", type(None), EmailState, caller="principal")
RESUME_EMAIL: Call[None, EmailResumed] = Call(
    "POST", f"{V1}/email/resume", type(None), EmailResumed, caller="principal"
)
"""Raises 429 for the second time within an interval."""
