"""Clients that receive, resume and acknowledge by the documented protocol, and record what comes as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from chaos.histories.events import Ack, AckPush, Join, Leave, Missed, Receive, Via
from simulation.network import Host
from simulation.record import Record
from simulation.wires import Open, PollWire, SocketWire, Wire

JOIN_TIMEOUT = 10.0
"""Seconds after which a join without a reply is sent again, as clients of channels do."""

FINAL = {"forbidden", "not_a_reader", "not_found", "topic_not_found", "unauthorized"}
"""Codes of a refused join after which a client stays away."""


class Receiver:
    """What all receivers share. ``cursors`` are the last seqs that it has, ``None`` before the first join."""

    via: Via

    def __init__(self, name: str, user: str, topics: dict[str, bool], record: Record, connect: Open) -> None:
        """``topics``: those to receive, each from its beginning or from its head."""
        self.name = name
        self.user = user
        self.host = Host(name, "clients")
        self.record = record
        self.connect = connect
        self.cursors: dict[str, int | None] = {topic: 0 if start else None for topic, start in topics.items()}
        self.joined: dict[str, None] = {}
        self.told: dict[str, int] = {}
        """The last position of acknowledgements that it was told, of each topic it has joined."""
        self.away: dict[str, None] = {}
        """Topics that it may not read."""
        self.awake = asyncio.Event()
        self.awake.set()
        self.acks_open = 0

    def begin(self) -> None:
        """Start."""
        loop = self.record.network.loop
        loop.create_task(self._run(), context=self.host.context.copy())

    def wants(self) -> list[str]:
        """Return the topics that it should be joined to."""
        return [topic for topic in self.cursors if topic not in self.away]

    def nap(self, seconds: float) -> None:
        """Disconnect for ``seconds``."""
        self.awake.clear()
        self.disconnect()
        self.record.network.later(seconds, self.awake.set, self.host)

    def disconnect(self) -> None:
        """End the connection."""

    def acknowledge(self, topic: str, up_to: int | None, seqs: tuple[int, ...]) -> None:
        """Acknowledge, if it is connected."""

    async def _run(self) -> None:
        failures = 0
        while True:
            await self.awake.wait()
            try:
                await self._session()
                failures = 0
            except ConnectionRefusedError:
                failures += 1
            self._left()
            await asyncio.sleep(self.record.random.uniform(0.01, min(0.05 * 2**failures, 0.5)))

    async def _session(self) -> None:
        """Hold one connection until it ends. Raises :class:`ConnectionRefusedError`."""
        raise NotImplementedError

    def _left(self, *topics: str) -> None:
        for topic in topics or tuple(self.joined):
            if topic in self.joined:
                del self.joined[topic]
                self.told.pop(topic, None)
                self.record.add(Leave(at=self.record.now(), client=self.name, topic=topic))

    def _was_joined(self, topic: str, started: float, reply: dict[str, Any]) -> None:
        since = self.cursors[topic]
        last, first, missing = reply["last_seq"], reply["first_seq"], reply["missing"]
        self.record.add(
            Join(
                started=started,
                at=self.record.now(),
                client=self.name,
                user=self.user,
                topic=topic,
                via=self.via,
                since=since,
                last_seq=last,
                first_seq=first,
                missing=missing,
                truncated=reply["truncated"],
                acked_up_to=reply["acked_up_to"],
                unread=reply["unread"],
                expired=reply["expired"],
            )
        )
        self.joined[topic] = None
        self.told[topic] = reply["acked_up_to"]
        self.cursors[topic] = last if since is None else max(since, min(first - 1, last))

    def _refused(self, topic: str, code: str) -> None:
        if code in FINAL:
            self.away[topic] = None
            self.record.add(Leave(at=self.record.now(), client=self.name, topic=topic, reason=code, final=True))

    def _received(self, topic: str, item: dict[str, Any]) -> None:
        seq = item["seq"]
        self.record.add(Receive(at=self.record.now(), client=self.name, topic=topic, seq=seq, message=item["title"]))
        self.cursors[topic] = max(self.cursors[topic] or 0, seq)

    def _missed(self, topic: str, told: dict[str, Any]) -> None:
        up_to = told["up_to"]
        self.record.add(
            Missed(at=self.record.now(), client=self.name, topic=topic, missing=told["missing"], up_to=up_to)
        )
        self.cursors[topic] = max(self.cursors[topic] or 0, up_to)

    def _acked(self, topic: str, position: dict[str, Any]) -> None:
        self.told[topic] = position["up_to"]
        self.record.add(
            AckPush(
                at=self.record.now(),
                client=self.name,
                user=self.user,
                topic=topic,
                up_to=position["up_to"],
                unread=position["unread"],
                expired=position["expired"],
            )
        )


Answered = Callable[[bool, dict[str, Any]], None]
"""Handles the reply to a push, or that none comes: ``(False, {})``."""


class ChannelReceiver(Receiver):
    """A client of channels, over a WebSocket or the long poll.

    ``unread`` is what it was told last on any channel, if it has the user's too.
    """

    def __init__(
        self,
        name: str,
        user: str,
        topics: dict[str, bool],
        record: Record,
        connect: Open,
        *,
        via: Via,
        own: bool = False,
    ) -> None:
        super().__init__(name, user, topics, record, connect)
        self.via = via
        self.unread: dict[str, tuple[int, int]] = {}
        self.on_joined: Callable[[str], None] = lambda topic: None
        self.own = own
        self._wire: Wire | None = None
        self._refs = 0
        self._waiting: dict[str, Answered] = {}
        self._join_refs: dict[str, str] = {}

    def disconnect(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _was_joined(self, topic: str, started: float, reply: dict[str, Any]) -> None:
        super()._was_joined(topic, started, reply)
        self._counted(topic, reply)

    def _acked(self, topic: str, position: dict[str, Any]) -> None:
        super()._acked(topic, position)
        self._counted(topic, position)

    def _counted(self, topic: str, told: dict[str, Any]) -> None:
        self.unread[topic] = (told["unread"], told["expired"])

    def acknowledge(self, topic: str, up_to: int | None, seqs: tuple[int, ...]) -> None:
        if topic not in self.joined:
            return
        started = self.record.now()
        self.acks_open += 1

        def answered(ok: bool, reply: dict[str, Any]) -> None:
            self.acks_open -= 1
            known = bool(reply)
            outcome = "ok" if ok else "refused" if known and reply.get("code") == "unavailable" else "unknown"
            self.record.add(
                Ack(
                    started=started,
                    at=self.record.now(),
                    user=self.user,
                    device=self.name,
                    topic=topic,
                    up_to=up_to,
                    seqs=seqs,
                    outcome=outcome if outcome != "refused" else "unknown",
                    acked_up_to=reply["acked_up_to"] if ok else 0,
                    unread=reply["unread"] if ok else 0,
                    expired=reply["expired"] if ok else 0,
                )
            )
            if ok:
                self._counted(topic, reply)
            if ok and topic in self.told:
                self.told[topic] = max(self.told[topic], reply["acked_up_to"])

        self.push(topic, "ack", {"up_to": up_to} if up_to is not None else {"seqs": list(seqs)}, answered)

    def push(self, topic: str, event: str, payload: dict[str, Any], answered: Answered) -> None:
        """Push to a joined topic."""
        self._send(self._join_refs[topic], f"topic:{topic}", event, payload, answered)

    def _send(self, join_ref: str, channel: str, event: str, payload: dict[str, Any], answered: Answered) -> str:
        self._refs += 1
        ref = str(self._refs)
        self._waiting[ref] = answered
        assert self._wire is not None
        self._wire.send(orjson.dumps([join_ref or ref, ref, channel, event, payload]))
        return ref

    async def _session(self) -> None:
        opens = SocketWire.open if self.via == "socket" else PollWire.open
        wire = self._wire = await opens(self.connect, self.user)
        try:
            if not self.awake.is_set():
                return
            if self.own:
                self.unread = {}
                self._send("", "user:me", "phx_join", {}, lambda ok, reply: None)
            for topic in self.wants():
                self._join(topic)
            while (text := await wire.receive()) is not None:
                self._handle(*orjson.loads(text))
        finally:
            wire.close()
            self._wire = None
            waiting, self._waiting = self._waiting, {}
            for answered in waiting.values():
                answered(False, {})

    def _join(self, topic: str) -> None:
        started, since = self.record.now(), self.cursors[topic]

        def answered(ok: bool, reply: dict[str, Any]) -> None:
            if ok:
                self._was_joined(topic, started, reply)
                self.on_joined(topic)
            elif reply.get("code") in FINAL:
                self._refused(topic, reply["code"])
            elif reply:
                self._join_later(topic)

        params = {} if since is None else {"since": since}
        ref = self._join_refs[topic] = self._send("", f"topic:{topic}", "phx_join", params, answered)

        def give_up() -> None:
            if self._waiting.get(ref) is answered:
                del self._waiting[ref]
                self._join_later(topic)

        self.record.network.later(JOIN_TIMEOUT, give_up, self.host)

    def _join_later(self, topic: str) -> None:
        wire = self._wire

        def join() -> None:
            if self._wire is wire and wire is not None:
                self._join(topic)

        self.record.network.later(0.2, join, self.host)

    def _handle(self, join_ref: str | None, ref: str | None, channel: str, event: str, payload: Any) -> None:
        kind, _, topic = channel.partition(":")
        if event == "phx_reply":
            answered = self._waiting.pop(ref or "", None)
            if answered is not None:
                answered(payload["status"] == "ok", payload["response"])
        elif kind == "user":
            if event == "unread":
                self._counted(payload["topic"], payload)
        elif join_ref is not None and join_ref != self._join_refs.get(topic):
            return
        elif event == "notification":
            self._received(topic, payload)
        elif event == "missing":
            self._missed(topic, payload)
        elif event == "acked":
            self._acked(topic, payload)
        elif event == "phx_error":
            self._left(topic)
            self._join_later(topic)


class StreamReceiver(Receiver):
    """A client of an event stream, of one topic."""

    via: Via = "sse"

    def disconnect(self) -> None:
        self._ended.set()

    def __init__(self, name: str, user: str, topics: dict[str, bool], record: Record, connect: Open) -> None:
        super().__init__(name, user, topics, record, connect)
        self._ended = asyncio.Event()

    async def _session(self) -> None:
        wanted = self.wants()
        if not wanted:
            await asyncio.Event().wait()
        topic, started = wanted[0], self.record.now()
        self._ended.clear()
        end = await self.connect("stream", (self.user, topic, self.cursors[topic]))
        end.start(lambda data: self._events(topic, started, data), self._ended.set)
        await self._ended.wait()
        end.close()

    def wants(self) -> list[str]:
        return super().wants()[:1]

    def _events(self, topic: str, started: float, data: bytes) -> None:
        if self._ended.is_set():
            return
        for block in data.split(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            name, content = fields.get(b"event"), fields.get(b"data", b"")
            if name == b"joined":
                self._was_joined(topic, started, orjson.loads(content))
            elif name == b"missing":
                self._missed(topic, orjson.loads(content))
            elif name == b"acked":
                self._acked(topic, orjson.loads(content))
            elif name == b"refused":
                self._refused(topic, content.decode())
                self._ended.set()
            elif name == b"error":
                self._ended.set()
            elif name is None and content:
                self._received(topic, orjson.loads(content))
