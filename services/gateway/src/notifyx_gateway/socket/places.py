"""How many connections a user, an address and this node may have: sockets and long-poll sessions together. Pure.

:class:`Places` counts connections whose credential is verified. Those that are not verified yet wait in a
:class:`WaitingRoom`, so they never take a user's place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Cap = Literal["user", "address", "node"]

T = TypeVar("T")


class Place:
    """One connection's place, until it is released."""

    __slots__ = ("_address", "_places", "_user")

    def __init__(self, places: Places, user: str, address: str | None) -> None:
        self._places: Places | None = places
        self._user = user
        self._address = address

    def release(self) -> None:
        """Free the place; again is allowed."""
        places, self._places = self._places, None
        if places is not None:
            places.free(self._user, self._address)


@dataclass(frozen=True, slots=True)
class Caps:
    """Maximum numbers of verified connections."""

    user: int
    address: int
    node: int


class Places:
    """The places of this node."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._users: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self.taken = 0

    def take(self, user: str, address: str | None) -> Place | Cap:
        """Return a place, or the cap that has been reached. ``None`` is an address with many clients behind it."""
        if self.taken >= self._caps.node:
            return "node"
        if self._users[user] >= self._caps.user:
            return "user"
        if address is not None:
            if self._addresses[address] >= self._caps.address:
                return "address"
            self._addresses[address] += 1
        self.taken += 1
        self._users[user] += 1
        return Place(self, user, address)

    def free(self, user: str, address: str | None) -> None:
        """Free the place of a connection."""
        self.taken -= 1
        _subtract(self._users, user)
        if address is not None:
            _subtract(self._addresses, address)


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


def _subtract(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
