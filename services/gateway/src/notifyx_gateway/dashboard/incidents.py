"""The incidents that gateways have observed: what was wrong, from when until when. Pure, and bounded.

Each gateway observes for itself; the store merges what they tell, so that the list is one, and outlives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from notifyx_common.contracts.store.incidents import MAX_INCIDENTS, SAME_WITHIN
from notifyx_common.contracts.store.incidents import Incident as StoredIncident
from notifyx_gateway.dashboard.problems import Problem, Severity

START = timedelta(seconds=30)
"""How long after its start a gateway records nothing: it gets to know the other nodes."""

SHORTEST = timedelta(seconds=3)
"""An incident that ended before is that of one reading, and is not listed: it may be the reading's own fault."""

WIDER = {"database:store": "database", "database:auth": "database"}
"""Problems that are parts of a wider one: services lose and find their common database one after the other."""


@dataclass(slots=True)
class Incident:
    """One problem from its beginning to its end, which is ``None`` while it goes on.

    ``sentence`` and ``severity`` are those of its worst moment. ``own``: this gateway observes it. ``reported``: what
    the list of all gateways has of it.
    """

    key: str
    severity: Severity
    sentence: str
    began: datetime
    ended: datetime | None = None
    own: bool = True
    reported: StoredIncident | None = None

    def lasts(self, now: datetime) -> bool:
        """Return whether it is more than what one reading saw."""
        return (self.ended or now) - self.began >= SHORTEST

    @property
    def lasted(self) -> str:
        """How long it took, in words; empty while it goes on."""
        return duration(self.ended - self.began) if self.ended is not None else ""


class IncidentLog:
    """The incidents as this gateway, which started ``since``, and the others know them.

    ``changes`` counts what this gateway has noticed: beginnings, ends and what got worse.
    """

    def __init__(self, since: datetime) -> None:
        self.since = since
        self.changes = 0
        self._incidents: list[Incident] = []

    def lasting(self, now: datetime) -> list[StoredIncident]:
        """Return what this gateway has observed for long enough to report it to other gateways."""
        return [_stored(one) for one in self._incidents if one.own and one.lasts(now)]

    def has_unreported(self, now: datetime) -> bool:
        """Return whether :meth:`lasting` has what the list of all gateways has not."""
        return any(one.reported != _stored(one) for one in self._incidents if one.own and one.lasts(now))

    def begins(self, now: datetime) -> bool:
        """Return whether an incident goes on that does not last yet."""
        return any(one.ended is None and not one.lasts(now) for one in self._incidents)

    def adopt(self, merged: Sequence[StoredIncident], now: datetime) -> None:
        """Replace the list by ``merged``, into which :meth:`lasting` of ``now`` went; nothing was observed since."""
        own = [one for one in self._incidents if one.own]
        going_on = {WIDER.get(one.key, one.key) for one in own if one.ended is None}
        self._incidents = [
            *(
                Incident(one.key, one.severity, one.sentence, one.began, one.ended, one.cause in going_on, one)
                for one in merged
            ),
            *(one for one in own if not one.lasts(now)),
        ]

    def observe(self, problems: Sequence[Problem], now: datetime) -> None:
        """Record that these, and no others, are the problems at ``now``."""
        if now - self.since < START:
            return
        current = {problem.key: problem for problem in problems}
        for incident in self._incidents:
            if incident.own and incident.ended is None and not any(_same(incident.key, key) for key in current):
                incident.ended = now
                self.changes += 1
        for key, problem in current.items():
            same = self._ongoing(key, now)
            if same is None:
                self._incidents.append(Incident(key, problem.severity, problem.sentence, now))
                self.changes += 1
                continue
            if same.ended is not None:
                self.changes += 1
            same.own, same.ended = True, None
            wider = WIDER.get(same.key) == key
            if wider or (problem.severity == "down" and same.severity != "down"):
                same.key, same.severity, same.sentence = key, problem.severity, problem.sentence
                self.changes += 1
        self._bound()

    def lately(self, now: datetime, seconds: float) -> frozenset[str]:
        """Return the keys of the problems of the last ``seconds``."""
        since = now - timedelta(seconds=seconds)
        return frozenset(one.key for one in self._incidents if one.ended is None or one.ended >= since)

    def newest(self) -> list[Incident]:
        """Return the incidents: those that go on first, then by their end, the latest first."""
        ended = [one for one in self._incidents if one.ended is not None and one.lasts(one.ended)]
        ongoing = [incident for incident in self._incidents if incident.ended is None]
        return [
            *sorted(ongoing, key=lambda incident: incident.began, reverse=True),
            *sorted(ended, key=lambda incident: (incident.ended or incident.began, incident.began), reverse=True),
        ]

    def _ongoing(self, key: str, now: datetime) -> Incident | None:
        for incident in reversed(self._incidents):
            if _same(incident.key, key):
                recent = incident.ended is None or now - incident.ended <= SAME_WITHIN
                return incident if recent else None
        return None

    def _bound(self) -> None:
        surplus = len(self._incidents) - MAX_INCIDENTS
        if surplus > 0:
            ended = [incident for incident in self._incidents if incident.ended is not None]
            dropped = {id(one) for one in [*ended, *self._incidents][:surplus]}
            self._incidents = [incident for incident in self._incidents if id(incident) not in dropped]


def _stored(one: Incident) -> StoredIncident:
    cause = WIDER.get(one.key, one.key)
    return StoredIncident(
        key=one.key, cause=cause, severity=one.severity, sentence=one.sentence, began=one.began, ended=one.ended
    )


def _same(known: str, key: str) -> bool:
    """Return whether a problem ``key`` continues an incident ``known``, as its wider problem or as a part of it."""
    return known == key or WIDER.get(key) == known or WIDER.get(known) == key


def duration(time: timedelta) -> str:
    """Return a length of time in words."""
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{round(seconds / 60)} minutes" if seconds < 7200 else f"{round(seconds / 3600)} hours"
