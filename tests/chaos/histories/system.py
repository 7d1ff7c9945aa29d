"""What histories need of a platform under test, wherever it runs: how users reach it, its faults, mails and books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from chaos.histories.plan import FaultPlan
from chaos.histories.targets import Targets


class Arrived(Protocol):
    """An email that arrived."""

    @property
    def at(self) -> float:
        """The monotonic time at which it was there."""
        ...

    @property
    def recipient(self) -> str: ...

    @property
    def subject(self) -> str: ...

    @property
    def message_id(self) -> str: ...


class Mails(Protocol):
    """The mail server of a platform under test."""

    @property
    def arrived(self) -> Sequence[Arrived]:
        """What is known to have arrived, in that order."""
        ...

    async def refresh(self) -> None:
        """Wait until all that had arrived before this call is known."""
        ...

    async def text(self, number: int) -> str:
        """Return the plain text of ``arrived[number]``."""
        ...


class System(Protocol):
    """A running platform, and what can be done to it."""

    @property
    def api(self) -> str:
        """Where clients reach it: the URL that ends in ``/api/v1``."""
        ...

    @property
    def socket(self) -> str:
        """Where clients reach its sockets and long polls."""
        ...

    @property
    def run(self) -> str:
        """Part of the names of users and topics where the databases have those of earlier runs; else empty."""
        ...

    @property
    def settle(self) -> float:
        """Seconds in which everything has to come after the faults."""
        ...

    @property
    def pauses(self) -> Sequence[float]:
        """Seconds between the messages of a publisher, of which each has one."""
        ...

    @property
    def mails(self) -> Mails:
        """Its mail server."""
        ...

    @property
    def targets(self) -> Targets:
        """The faults that it can have."""
        ...

    async def fail(self, plan: FaultPlan) -> None:
        """Inject a fault, and return when it is over. Raises :class:`TimeoutError` where that does not come."""
        ...

    async def healthy(self) -> None:
        """Wait until all services run and answer. Raises :class:`TimeoutError`."""
        ...

    async def ledger(self) -> dict[str, Any]:
        """Return the store's ledger."""
        ...

    async def outbox_is_filled(self) -> bool:
        """Return whether there is an email for all that was published and is to be mailed: it follows a publish."""
        ...

    async def take_out(self, protection: str) -> None:
        """Let all nodes go on without a protection. Raises :class:`ValueError` for one that stays here."""
        ...

    async def keep_logs(self, folder: Path) -> None:
        """Copy the logs of its processes to ``folder``."""
        ...


Start = Callable[[], AbstractAsyncContextManager[System]]
"""Runs a platform while the block is entered."""
