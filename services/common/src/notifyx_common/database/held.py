"""Messages of a transaction to other processes: held by its connection until the commit, and announced after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

Announce = Callable[[Sequence[str], bool], None]
"""Announces messages of a transaction that was committed (``True``), or may have been (``False``)."""


class HoldingConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg is not typed
    """A connection with :attr:`announce`, to which it hands what transactions on it hold, once they are committed.

    What was rolled back, or was lost with its connection before the commit, is announced to nobody.
    """

    announce: Announce | None = None
    """``None``: nothing is held."""

    _held: tuple[str, ...] = ()

    def hold(self, messages: Sequence[str]) -> bool:
        """Hold ``messages`` until the commit, or announce them at once outside a transaction.

        Return whether that is done: not without :attr:`announce`.
        """
        if self.announce is None:
            return False
        if self.is_in_transaction():
            self._held += tuple(messages)
        else:
            self.announce(messages, True)
        return True

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:
        """Run ``query``, as asyncpg does, which begins and ends transactions by it."""
        if query.startswith("BEGIN"):
            self._held = ()  # what is left was rolled back
        elif self._held and query.startswith("COMMIT"):
            return await self._commit(query, timeout)
        tag: str = await super().execute(query, *arguments, timeout=timeout)
        return tag

    async def _commit(self, query: str, timeout: float | None) -> str:
        held, self._held = self._held, ()
        assert self.announce is not None
        try:
            tag: str = await super().execute(query, timeout=timeout)
        except BaseException:
            self.announce(held, False)
            raise
        if tag.startswith("COMMIT"):
            self.announce(held, True)
        return tag
