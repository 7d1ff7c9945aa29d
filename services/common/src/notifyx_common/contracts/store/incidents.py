"""The incidents that gateways have observed: one list for all of them, which outlives each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from notifyx_common.contracts.call import V1, Call, Model, RequestModel

MAX_INCIDENTS = 50
"""Maximum number of incidents that are kept; the oldest that have ended are dropped."""

SAME_WITHIN = timedelta(minutes=2)
"""A problem that comes back within this time continues its incident."""

Key = Annotated[str, Field(min_length=1, max_length=200)]


class Incident(RequestModel):
    """One problem from its beginning to its end, which is ``None`` while it goes on.

    ``key`` names the problem, ``cause`` the one that it is a part of, or else itself. ``sentence`` and ``severity`` are
    those of its worst moment.
    """

    key: Key
    cause: Key
    severity: Literal["down", "warning"]
    sentence: Annotated[str, Field(max_length=1000)]
    began: datetime
    ended: datetime | None = None


class ObservedIncidents(RequestModel):
    """What one gateway has observed."""

    items: list[Incident] = Field(max_length=MAX_INCIDENTS)


class Incidents(Model):
    """All that is kept, in the order of their beginnings."""

    items: list[Incident]


MERGE_INCIDENTS = Call("PUT", f"{V1}/incidents", ObservedIncidents, Incidents, caller="system")
"""Merges what a gateway has observed into the list, and returns it."""
