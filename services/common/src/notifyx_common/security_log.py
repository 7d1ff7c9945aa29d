"""The security log: who signed in, was refused, or changed a right, as log lines with stable names.

Each event is one line of the logger ``notifyx.security`` and counts in ``notifyx_security_events_total``. The names of
events and fields are documented in ``docs/security.md`` and do not change within a major version. A line never
holds a secret: no password, token, key or cookie. A flood of one event is counted in full but logged only in part;
a summary line then says how many were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from notifyx_common.clock import Clock
from notifyx_common.errors import Forbidden, NotifyxError, TooManyRequests, Unauthenticated
from notifyx_common.logs import SECURITY_LOGGER, get_logger
from notifyx_common.metrics import Metrics

Event = Literal[
    "sign_up",
    "sign_in",
    "token_refresh",
    "sign_out",
    "email_verification",
    "password_reset_requested",
    "password_change",
    "name_change",
    "email_change_requested",
    "email_change_cancelled",
    "email_change",
    "account_deletion",
    "account_export",
    "api_key_created",
    "api_key_deleted",
    "hook_created",
    "hook_rotated",
    "hook_deleted",
    "credential_check",
    "access_check",
    "rate_limit",
    "capacity_limit",
    "topic_created",
    "topic_rights_changed",
    "topic_deleted",
    "admin_access",
    "cache_value_check",
    "internal_call",
]
"""What happened, or was tried."""

Outcome = Literal["succeeded", "failed", "refused"]
"""``failed``: what was shown did not prove what it should. ``refused``: the rules do not allow it."""

EVENTS: Mapping[Event, tuple[Outcome, ...]] = {
    "sign_up": ("succeeded",),
    "sign_in": ("succeeded", "failed", "refused"),
    "token_refresh": ("failed", "refused"),
    "sign_out": ("succeeded",),
    "email_verification": ("succeeded", "failed"),
    "password_reset_requested": ("succeeded",),
    "password_change": ("succeeded", "failed", "refused"),
    "name_change": ("succeeded",),
    "email_change_requested": ("succeeded",),
    "email_change_cancelled": ("succeeded",),
    "email_change": ("succeeded", "failed", "refused"),
    "account_deletion": ("succeeded", "failed", "refused"),
    "account_export": ("succeeded",),
    "api_key_created": ("succeeded",),
    "api_key_deleted": ("succeeded",),
    "hook_created": ("succeeded",),
    "hook_rotated": ("succeeded",),
    "hook_deleted": ("succeeded",),
    "credential_check": ("failed",),
    "access_check": ("refused",),
    "rate_limit": ("refused",),
    "capacity_limit": ("refused",),
    "topic_created": ("succeeded",),
    "topic_rights_changed": ("succeeded",),
    "topic_deleted": ("succeeded",),
    "admin_access": ("succeeded",),
    "cache_value_check": ("failed",),
    "internal_call": ("refused",),
}
"""Every event with its outcomes."""

WINDOW = 10.0
"""Seconds over which lines of one event are counted."""

MAX_LINES = 100
"""Lines of one event and outcome in a window; further ones are counted and summarised."""

MAX_TEXT = 200
"""Characters of a field; what a client sent may be of any length."""


class SecurityLog:
    """Records events of one process."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._counter = metrics.counter("notifyx_security_events_total")
        for event, outcomes in EVENTS.items():
            for outcome in outcomes:
                self._counter.labels(event, outcome)  # from the start, at 0
        self._clock = clock
        self._log = get_logger(SECURITY_LOGGER)
        self._window_ends = float("-inf")
        self._lines: dict[tuple[Event, Outcome], int] = {}

    def record(
        self,
        event: Event,
        outcome: Outcome,
        *,
        actor: str = "",
        credential: str = "",
        subject: str = "",
        address: str = "",
        reason: str = "",
    ) -> None:
        """Count an event and, unless it is one of a flood, log it. What is not known is empty.

        ``actor`` is who acted: the id of a user or ServiceAccount, ``system:<part>``, or the name of a service, and
        ``credential`` the id (never the secret) of the API key that it used. ``subject`` is what the act was on: a
        topic, the id of an API key or an account, never what somebody typed where a password may have been.
        ``address`` is the client's, as rate limits see it. ``reason`` is the code of the refusal, or what changed.
        """
        self._counter.labels(event, outcome).inc()
        self.flush()
        lines = self._lines.get((event, outcome), 0) + 1
        self._lines[event, outcome] = lines
        if lines > MAX_LINES:
            return
        self._level(outcome)(
            event,
            outcome=outcome,
            actor=actor[:MAX_TEXT],
            credential=credential[:MAX_TEXT],
            subject=subject[:MAX_TEXT],
            address=address[:MAX_TEXT],
            reason=reason[:MAX_TEXT],
        )

    def record_rejection(
        self, error: NotifyxError, *, actor: str = "", credential: str = "", subject: str = "", address: str = ""
    ) -> None:
        """Record that a request was refused with ``error``, unless it was for another reason than rights and limits."""
        kind: tuple[Event, Outcome]
        if isinstance(error, Unauthenticated):
            kind = "credential_check", "failed"
        elif isinstance(error, Forbidden):
            kind = "access_check", "refused"
        elif isinstance(error, TooManyRequests):
            kind = "rate_limit" if error.code == "rate_limited" else "capacity_limit", "refused"
        else:
            return
        self.record(*kind, actor=actor, credential=credential, subject=subject, address=address, reason=error.code)

    def flush(self) -> None:
        """Log what earlier windows left out. A process calls this periodically, so that no summary waits."""
        now = self._clock.monotonic()
        if now < self._window_ends:
            return
        for (event, outcome), lines in self._lines.items():
            if lines > MAX_LINES:
                left_out = lines - MAX_LINES
                self._level(outcome)("events_left_out", of=event, outcome=outcome, count=left_out, seconds=WINDOW)
        self._lines.clear()
        self._window_ends = now + WINDOW

    def _level(self, outcome: Outcome) -> Callable[..., object]:
        return self._log.info if outcome == "succeeded" else self._log.warning
