"""Where connections are whose credential is not verified yet, so that they never take a user's place. Pure."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingRoom(Generic[T]):
    """Connections that are not verified yet, in the order of their arrival.

    A full room makes room for who arrives: its oldest guest has to leave. Who proves who they are does it within a
    round trip, so they are not the oldest, and connections that prove nothing push out each other. An address with as
    many guests as it may have pushes out its own oldest.
    """

    def __init__(self, *, total: int, per_address: int) -> None:
        self._total = total
        self._per_address = per_address
        self._guests: dict[T, str | None] = {}
        self._by_address: dict[str, dict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def all(self) -> list[T]:
        """Return all guests."""
        return list(self._guests)

    def enter(self, guest: T, address: str | None) -> T | None:
        """Add ``guest``; return the one that has to leave for it. ``None`` is an address with many clients."""
        out: T | None = None
        neighbours = self._by_address.get(address, {}) if address is not None else {}
        if len(neighbours) >= self._per_address:
            out = next(iter(neighbours))
        elif len(self._guests) >= self._total:
            out = next(iter(self._guests))
        if out is not None:
            self.leave(out)
        self._guests[guest] = address
        if address is not None:
            self._by_address.setdefault(address, {})[guest] = None
        return out

    def leave(self, guest: T) -> None:
        """Remove ``guest``; again is allowed."""
        address = self._guests.pop(guest, None)
        if address is not None:
            neighbours = self._by_address[address]
            del neighbours[guest]
            if not neighbours:
                del self._by_address[address]
