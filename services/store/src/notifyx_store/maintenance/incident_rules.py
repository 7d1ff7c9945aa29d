"""Merges what gateways observe into one list of incidents. Pure.

Every gateway observes the same platform and tells the same outage, with times of its own. What comes back soon is the
same incident. One that goes on is told again and again; when nobody tells it any more, those who saw it have stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifyx_common.contracts.store.incidents import MAX_INCIDENTS, SAME_WITHIN, Incident

UNSEEN_AFTER = timedelta(minutes=3)
"""How long an incident goes on that no gateway tells any more."""


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """An incident, and when a gateway told it last."""

    incident: Incident
    seen: datetime


def merge(kept: Iterable[StoredIncident], observed: Iterable[Incident], now: datetime) -> list[StoredIncident]:
    """Return the list with what one gateway has ``observed``, by beginning; the newest :data:`MAX_INCIDENTS`."""
    merged = [_closed(one, now) for one in kept]
    for incident in observed:
        place = next((n for n, one in enumerate(merged) if _same(one.incident, incident, now)), None)
        if place is None:
            merged.append(StoredIncident(incident, now))
        else:
            merged[place] = StoredIncident(_joined(merged[place].incident, incident), now)
    ended = sorted((one for one in merged if one.incident.ended is not None), key=lambda one: one.incident.began)
    dropped = {id(one) for one in ended[: max(0, len(merged) - MAX_INCIDENTS)]}
    left = sorted((one for one in merged if id(one) not in dropped), key=lambda one: one.incident.began)
    return left[-MAX_INCIDENTS:]


def _closed(one: StoredIncident, now: datetime) -> StoredIncident:
    if one.incident.ended is None and now - one.seen > UNSEEN_AFTER:
        return StoredIncident(one.incident.model_copy(update={"ended": max(one.seen, one.incident.began)}), one.seen)
    return one


def _same(known: Incident, other: Incident, now: datetime) -> bool:
    if known.cause != other.cause:
        return False
    return other.began - SAME_WITHIN <= (known.ended or now) and known.began - SAME_WITHIN <= (other.ended or now)


def _joined(known: Incident, other: Incident) -> Incident:
    # The latest to tell it knows whether it goes on.
    ended = None if other.ended is None else max(other.ended, known.ended or other.ended)
    worse = other.severity == "down" != known.severity
    wider = other.key == other.cause != known.key
    words = other if worse or wider else known
    return words.model_copy(update={"began": min(known.began, other.began), "ended": ended})
