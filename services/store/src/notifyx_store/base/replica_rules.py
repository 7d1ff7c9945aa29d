"""Decides whether a page that was read from a standby may be shown. Pure.

Two questions, for whatever was answered to anybody, or delivered, before the page was requested:

- *Is all of it in the page?* What PostgreSQL answers is on its disk. So the page may be read once the standby has
  replayed the WAL up to the position that the primary's disk had after the request (:func:`unusable`).
- *Has the page more than the primary shows?* A standby gets a commit while the primary still waits for it to be
  confirmed. Whoever reads the next page from the primary would miss it, and a failover may lose it. So each
  transaction that the page may show has to be over for readers of the primary, too (:func:`unseen`).

Positions of two primaries cannot be compared: a standby may have what the new one never got. Each primary therefore
marks its *term* with a row of the database. A standby that has this row has the history of that primary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Reason = Literal["away", "behind", "failover", "unconfirmed", "refused"]
"""Why a page is read from the primary in place of the standby."""


@dataclass(frozen=True, slots=True)
class Position:
    """What a primary had at one moment.

    ``lsn`` is the end of the WAL on its disk. Of all transactions below ``following``, those in ``running`` had not
    ended for its readers, and neither had any from ``following`` on. ``term`` is ``None`` until it is marked.
    """

    lsn: int
    following: int
    running: tuple[int, ...]
    term: UUID | None

    @classmethod
    def parse(cls, lsn: int, snapshot: str, term: UUID | None) -> Position:
        """Return the position with a ``snapshot`` as PostgreSQL writes it: ``xmin:xmax:running,running,…``."""
        _, following, running = snapshot.split(":")
        return cls(lsn, int(following), tuple(int(one) for one in running.split(",") if one), term)


@dataclass(frozen=True, slots=True)
class Standby:
    """What a server of the replica's address says of itself; one that was promoted has no ``lsn``."""

    lsn: int | None
    term: UUID | None


def unusable(standby: Standby, position: Position) -> Reason | None:
    """Return why ``standby`` may not be read for a request of which ``position`` was read later; ``None``: it may."""
    if standby.lsn is None or position.term is None or standby.term != position.term:
        return "failover"
    return "behind" if standby.lsn < position.lsn else None


def unseen(position: Position, shown_below: int) -> Sequence[int] | None:
    """Return the transactions below ``shown_below`` whose end readers of the primary had not seen at ``position``.

    ``None``: there may be others, too, of which it knows nothing.
    """
    if position.following < shown_below:
        return None
    return [one for one in position.running if one < shown_below]


class Lag:
    """How far a standby is behind, by the positions that the primary had at known moments."""

    MAX_POSITIONS = 3600

    def __init__(self) -> None:
        self._missing: deque[tuple[float, int]] = deque(maxlen=self.MAX_POSITIONS)
        """Moments and positions that the standby was not seen to have reached."""

    def primary(self, at: float, lsn: int) -> None:
        """Note that the primary had ``lsn`` at the moment ``at``."""
        self._missing.append((at, lsn))

    def replayed(self, lsn: int) -> None:
        """Note that the standby has replayed up to ``lsn``."""
        while self._missing and self._missing[0][1] <= lsn:
            self._missing.popleft()

    def seconds(self, now: float) -> float:
        """Return how old the oldest position is that the standby has not reached; 0 for none."""
        return now - self._missing[0][0] if self._missing else 0.0
