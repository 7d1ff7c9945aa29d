"""A publisher: publishes over its channels and tries again, under the same key, what has no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.histories.events import Outcome, Publish, Via
from chaos.histories.publishers import STATUS_OF, outcome_of
from simulation.receivers import ChannelReceiver
from simulation.record import Record
from simulation.wires import Open

PADDING = "x" * 700
"""Makes some messages so long that few of them fit in the buffers."""


@dataclass(slots=True)
class Message:
    """What is to be published. Without a key it is tried once."""

    name: str
    topic: str
    keyed: bool
    long: bool
    under_way: bool = False


class Publisher(ChannelReceiver):
    """A client that publishes. ``left`` are the messages whose outcome is open, in the order in which they came."""

    def __init__(
        self, name: str, user: str, topics: dict[str, bool], record: Record, connect: Open, *, via: Via = "socket"
    ) -> None:
        super().__init__(name, user, topics, record, connect, via=via)
        self.left: dict[str, Message] = {}
        self._sessions = 0
        self.on_joined = self._on_joined

    def publish(self, message: Message) -> None:
        """Publish ``message`` now, or once it is connected."""
        self.left[message.name] = message
        if message.topic in self.joined:
            self._attempt(message)

    async def _session(self) -> None:
        self._sessions += 1
        await super()._session()

    def _on_joined(self, topic: str) -> None:
        for message in list(self.left.values()):
            if message.topic == topic and not message.under_way:
                self._attempt(message)

    def _attempt(self, message: Message) -> None:
        message.under_way = True
        started, connection = self.record.now(), f"{self.name}:{self._sessions}"

        def answered(ok: bool, reply: dict[str, Any]) -> None:
            message.under_way = False
            outcome: Outcome = "ok" if ok else "unknown"
            if reply and not ok:
                outcome = outcome_of(STATUS_OF.get(reply.get("code", ""), 500))
            self.record.add(
                Publish(
                    started=started,
                    at=self.record.now(),
                    publisher=self.name,
                    topic=message.topic,
                    message=message.name,
                    via=self.via,
                    outcome=outcome,
                    seq=reply["seq"] if ok else None,
                    code=reply.get("code", ""),
                    connection=connection,
                )
            )
            if ok or not message.keyed or (outcome == "refused" and self.record.random.random() < 0.5):
                del self.left[message.name]
            elif reply:
                self.record.network.later(self.record.random.uniform(0.05, 0.3), again, self.host)

        def again() -> None:
            if message.name in self.left and not message.under_way and message.topic in self.joined:
                self._attempt(message)

        payload: dict[str, Any] = {"title": message.name, "body": PADDING if message.long else ""}
        if message.keyed:
            payload["key"] = message.name
        self.push(message.topic, "publish", payload, answered)
