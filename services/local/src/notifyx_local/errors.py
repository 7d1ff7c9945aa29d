"""Errors that more than one module of this package raises."""

from __future__ import annotations

from notifyx_common.errors import NotifyxError


class PostgresError(NotifyxError):
    """PostgreSQL could not be set up or started; the reason says why and, if known, what to do."""

    code = "postgres"
