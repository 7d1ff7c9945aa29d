"""How many connections of one kind a user, an address and this node may have. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

Cap = Literal["user", "address", "node"]


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


def _subtract(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
