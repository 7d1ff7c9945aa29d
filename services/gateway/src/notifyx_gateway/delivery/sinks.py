"""The consumers of the hub: the interface between fan-out and the transports."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal
from notifyx_gateway.delivery.cursors import Row


class Format(Hashable, Protocol):
    """The encoding of rows on a transport. Sinks with equal formats share one encoding of a tick's rows."""

    @property
    def transport(self) -> str:
        """The label in metrics: ``websocket``, ``longpoll`` or ``stream``."""
        ...

    def encode(self, rows: Sequence[Row]) -> tuple[Any, int]:
        """Return the payload for :meth:`Sink.send`, and its size in bytes."""
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
        """Whether nothing more can be delivered."""
        ...

    def send(self, payload: Any, size: int) -> None:
        """Deliver the payload. A sink that cannot keep up closes itself and detaches from the hub."""
        ...

    def missed(self, count: int, up_to: int) -> None:
        """Handle that ``count`` notifications were removed before they could be delivered.

        It comes before the rows that follow them, which begin after ``up_to``: who has these was told of the gap.
        """
        ...

    def waiting_bytes(self) -> int:
        """Return how many bytes wait to be written to the client, over all its topics."""
        ...

    def writable_bytes(self) -> int:
        """Return how many bytes can be sent now without closing the sink."""
        ...

    async def wait_drained(self) -> None:
        """Wait until most of what was sent has been written, or the sink is closed."""
        ...

    def acked(self, event: dict[str, Any]) -> None:
        """Handle an acknowledgement by the sink's user in its topic (``up_to, seqs, unread``), from any device."""
        ...

    def sent(self, to: str | None) -> None:
        """Handle a direct message by the sink's user to ``to``, from any device, where the topic is the user's inbox.

        ``None``: some may have been missed.
        """
        ...

    def account_changed(self) -> None:
        """Handle a change of what is shown of the user's account, where the topic is the user's inbox."""
        ...

    def changed(self, version: str) -> None:
        """Handle other settings of the topic, of ``version``, by which the sink's user may still read it."""
        ...

    def deleted(self) -> None:
        """Handle the deletion of the topic; the sink has been detached."""
        ...

    def failed(self, error: NotifyxError) -> None:
        """Handle ``error``, which ended the delivery; the sink has been detached."""
        ...


class Observer(Protocol):
    """Receives notice that something happened, without the rows. Must not block or raise."""

    def rows_changed(self, topic: str) -> None:
        """Handle notifications in an observed topic that are new, or expired before somebody acknowledged them."""

    def user_acked(self, user: str, topic: str) -> None:
        """Handle an acknowledgement by a watched user."""

    def subscriptions_changed(self, user: str) -> None:
        """Handle a change of a watched user's subscriptions."""

    def topic_gone(self, topic: str) -> None:
        """Handle the deletion of an observed topic."""

    def feed_restarted(self) -> None:
        """Handle a restart of the feed: any of the above may have been missed."""
