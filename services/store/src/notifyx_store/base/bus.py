"""The bus of wake-ups between replicas: what the store needs of it, whoever carries them.

A wake-up says that something was committed. It is a hint, and may be lost: whoever may have missed some is notified of
that, and reads what they would have said. So a bus promises only this: *what was announced arrives in the order of its
replica, or* ``on_missed`` *is called*.

``postgres_bus`` leaves it to the transaction: NOTIFY is part of the commit. ``message_bus`` announces what a connection
holds until the commit is known (:mod:`notifyx_common.database.held`); ``nats_bus`` carries that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from notifyx_common.background import Background
from notifyx_common.database import Announce
from notifyx_store.base import wakeups
from notifyx_store.base.wakeups import Wakeup

OnWakeup = Callable[[Wakeup], None]
OnMissed = Callable[[], None]


class WakeupBus(Protocol):
    """Carries wake-ups from each replica to all, itself included."""

    @property
    def announce(self) -> Announce | None:
        """Announces what a transaction has committed, or may have; ``None``: the transactions do by NOTIFY."""
        ...

    @property
    def trouble(self) -> str:
        """Return in one sentence why wake-ups do not arrive; empty while they do."""
        ...

    def running(self, background: Background) -> AbstractAsyncContextManager[None]:
        """Be connected while the block is entered, as far as that is possible. It outlives all that commits."""
        ...

    async def listen(self, on_wakeup: OnWakeup, on_missed: OnMissed) -> None:
        """Pass wake-ups on until cancelled.

        ``on_missed`` is called whenever some may have been missed: each time that listening begins, also the first.
        """
        ...


async def send(connection: Any, payloads: list[str]) -> None:
    """Send ``payloads`` to all replicas when the transaction on ``connection`` commits; at once where there is none."""
    if to_notify := held(connection, payloads):
        await connection.execute(wakeups.NOTIFY, to_notify)


def held(connection: Any, payloads: list[str]) -> list[str]:
    """Let ``connection`` hold ``payloads`` for its bus; return what the transaction has to send by NOTIFY itself."""
    hold: Callable[[Sequence[str]], bool] | None = getattr(connection, "hold", None)  # only pools of a service have it
    return [] if hold is not None and hold(payloads) else payloads
