"""What the hub delivers to: the interface between fan-out and the transports."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.cursors import Row


class Format(Hashable, Protocol):
    """How rows look on a transport. Sinks of an equal format share one encoding of a tick's rows."""

    @property
    def transport(self) -> str:
        """The label in metrics: ``websocket``, ``longpoll`` or ``stream``."""
        ...

    def encode(self, rows: Sequence[Row]) -> tuple[Any, int]:
        """The payload for :meth:`Sink.send`, and its size in bytes."""
        ...


class Sink(Protocol):
    """One consumer of one topic. All methods but :meth:`wait_drained` are synchronous and must not raise.

    Within one topic the hub calls ``send`` in ascending seq order, each row once.
    """

    @property
    def format(self) -> Format: ...

    @property
    def principal(self) -> Principal: ...

    @property
    def store_topic(self) -> str:
        """The topic at the store: a name, or ``user:<id>``."""
        ...

    @property
    def closed(self) -> bool:
        """Nothing more can be delivered."""
        ...

    def send(self, payload: Any, size: int) -> None:
        """Deliver; a sink that cannot keep up closes itself (and detaches from the hub)."""
        ...

    def writable_bytes(self) -> int:
        """Bytes that may be sent now without closing."""
        ...

    async def wait_drained(self) -> None:
        """Wait until most of what was sent has left, or the sink is closed."""
        ...

    def acked(self, event: dict[str, Any]) -> None:
        """The sink's user acknowledged in its topic (``up_to, seqs, unread``), here or on another device."""
        ...

    def deleted(self) -> None:
        """The topic is gone; the sink has been detached."""
        ...

    def failed(self, error: NotifyxError) -> None:
        """The sink cannot be served any more for that reason; it has been detached."""
        ...


class Observer(Protocol):
    """Someone who wants to know that something happened, not the rows themselves. Must not block or raise."""

    def rows_added(self, topic: str) -> None:
        """New notifications in an observed topic."""

    def user_acked(self, user: str, topic: str) -> None:
        """A followed user acknowledged somewhere."""

    def subscriptions_changed(self, user: str) -> None:
        """A followed user's set of subscriptions changed."""

    def topic_gone(self, topic: str) -> None:
        """An observed topic was deleted."""

    def feed_restarted(self) -> None:
        """Any of the above may have been missed."""
