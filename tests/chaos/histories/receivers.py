"""Clients that receive topics, over socket, long poll or event stream, and resume after what they have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import aiohttp
import orjson

from chaos.histories.accounts import Account
from chaos.histories.events import AckPush, Join, Leave, Missed, Receive, Via
from chaos.histories.recorder import Recorder
from chaos.histories.wires import Broken, Channels, Reply, Wire

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)

SILENCE = 6.0
"""Seconds without a byte after which a stream is opened again; the platform is told to send something more often."""

FINAL = {"forbidden", "not_found", "topic_not_found", "unauthorized"}
"""Codes of a refused join after which a client stays away."""


class Receiver:
    """What all receivers do: hold a connection, record, resume; ``asleep`` while they are not to."""

    via: Via

    def __init__(
        self,
        name: str,
        account: Account,
        topics: Sequence[str],
        *,
        from_start: bool,
        recorder: Recorder,
        random: Random,
    ) -> None:
        self.name = name
        self.account = account
        self.topics = list(topics)
        self.recorder = recorder
        self.random = random
        self.awake = asyncio.Event()
        self.awake.set()
        self._cursors: dict[str, int | None] = dict.fromkeys(topics, 0 if from_start else None)
        for topic in topics:
            recorder.positions[name, topic] = 0

    async def nap(self, at: float, seconds: float) -> None:
        """Disconnect at ``at`` for ``seconds``."""
        await asyncio.sleep(max(0.0, at - self.recorder.now()))
        self.awake.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.awake.set()

    async def run(self) -> None:
        """Receive until cancelled."""
        raise NotImplementedError

    async def _while_awake(self, work: Callable[[], Any]) -> None:
        """Do ``work`` again and again, and end it for each nap."""
        while True:
            await self.awake.wait()
            task = asyncio.ensure_future(work())
            sleepy = asyncio.create_task(self._asleep())
            try:
                await asyncio.wait([task, sleepy], return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    task.result()
            except (Broken, *_ERRORS):
                pass
            finally:
                for one in (task, sleepy):
                    one.cancel()
                await asyncio.gather(task, sleepy, return_exceptions=True)
            await asyncio.sleep(self.random.uniform(0.05, 0.3))

    async def _asleep(self) -> None:
        while self.awake.is_set():
            await asyncio.sleep(0.05)

    def joined(self, topic: str, started: float, answer: dict[str, Any]) -> None:
        """Record the answer to a join."""
        since = self._cursors[topic]
        join = Join(
            started=started, at=self.recorder.now(), client=self.name, user=self.account.name, topic=topic,
            via=self.via, since=since, last_seq=answer["last_seq"], first_seq=answer["first_seq"],
            missing=answer["missing"], truncated=answer["truncated"], acked_up_to=answer["acked_up_to"],
            unread=answer["unread"], expired=answer["expired"],
        )  # fmt: skip
        self.recorder.add(join)
        self.recorder.told[self.name, topic] = (self.account.name, join.acked_up_to)
        self._move(topic, join.last_seq if since is None else since + join.missing)

    def received(self, topic: str, item: dict[str, Any]) -> None:
        """Record a notification."""
        self.recorder.add(
            Receive(
                at=self.recorder.now(), client=self.name, topic=topic, seq=int(item["seq"]), message=str(item["title"])
            )
        )
        self._move(topic, max(int(item["seq"]), self._cursors[topic] or 0))
        self.recorder.saw(topic, int(item["seq"]))

    def missed(self, topic: str, told: dict[str, Any]) -> None:
        """Record that notifications were removed before they could be delivered."""
        self.recorder.add(
            Missed(
                at=self.recorder.now(), client=self.name, topic=topic, missing=told["missing"], up_to=told["up_to"]
            )
        )  # fmt: skip
        self._move(topic, max(told["up_to"], self._cursors[topic] or 0))

    def acked(self, topic: str, told: dict[str, Any]) -> None:
        """Record what it is told of the user's acknowledgements."""
        self.recorder.told[self.name, topic] = (self.account.name, told["up_to"])
        self.recorder.add(
            AckPush(
                at=self.recorder.now(), client=self.name, user=self.account.name, topic=topic, up_to=told["up_to"],
                unread=told["unread"], expired=told["expired"],
            )
        )  # fmt: skip

    def left(self, topic: str, reason: str, *, final: bool = False) -> None:
        """Record the end of a connection."""
        self.recorder.add(Leave(at=self.recorder.now(), client=self.name, topic=topic, reason=reason, final=final))
        self.recorder.told.pop((self.name, topic), None)
        if final:
            self.topics.remove(topic)
            self.recorder.positions.pop((self.name, topic), None)

    def cursor(self, topic: str) -> int | None:
        """Return the seq after which to join."""
        return self._cursors[topic]

    def _move(self, topic: str, seq: int) -> None:
        self._cursors[topic] = seq
        self.recorder.positions[self.name, topic] = seq


class ChannelReceiver(Receiver):
    """One that joins channels. :meth:`push` sends on one of them."""

    def __init__(self, wire: Callable[[], Wire], via: Via, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.via = via
        self._wire = wire
        self._channels: Channels | None = None
        self._refs: dict[str, str] = {}

    async def run(self) -> None:
        await self._while_awake(self._connection)

    async def push(self, topic: str, event: str, payload: dict[str, Any]) -> Reply:
        """Send on the channel of ``topic``. Raises :class:`Broken` if it is not joined, or nothing is answered."""
        if self._channels is None or topic not in self._refs:
            raise Broken("not joined")
        return await self._channels.call(self._refs[topic], f"topic:{topic}", event, payload)

    async def _connection(self) -> None:
        if not self.topics:
            await asyncio.Event().wait()
        wire = self._wire()
        joined: set[str] = set()
        reason = ""
        try:
            await wire.open(await self.account.tokens.get())
            channels = Channels(wire, self._pushed)
            running = asyncio.create_task(channels.run())
            self._channels = channels
            try:
                for topic in tuple(self.topics):
                    if await self._join(channels, topic):
                        joined.add(topic)
                await running
            finally:
                channels.end()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        except Broken as broken:
            reason = str(broken)
            raise
        finally:
            self._channels = None
            self._refs = {}
            for topic in joined:
                self.left(topic, reason)
            await wire.close()

    async def _join(self, channels: Channels, topic: str) -> bool:
        while True:
            ref, started = channels.ref(), self.recorder.now()
            since = self.cursor(topic)
            ok = False

            def on_reply(reply: Reply, started: float = started, ref: str = ref) -> None:
                nonlocal ok
                if reply["status"] == "ok":
                    ok = True
                    self._refs[topic] = ref
                    self.joined(topic, started, reply["response"])

            params = {} if since is None else {"since": since}
            reply = await channels.call(ref, f"topic:{topic}", "phx_join", params, on_reply)
            if ok:
                return True
            code = reply["response"].get("code") or reply["response"].get("reason")
            if code in FINAL:
                self.left(topic, str(code), final=True)
                return False
            await asyncio.sleep(self.random.uniform(0.1, 0.3))

    def _pushed(self, channel: str, event: str, payload: Any) -> None:
        topic = channel.removeprefix("topic:")
        if event == "notification":
            self.received(topic, payload)
        elif event == "missing":
            self.missed(topic, payload)
        elif event == "acked":
            self.acked(topic, payload)
        elif event in ("phx_error", "phx_close") and self._channels is not None and topic in self._refs:
            self._channels.give_up()


class StreamReceiver(Receiver):
    """One that reads event streams, one for each topic."""

    via: Via = "sse"

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for topic in tuple(self.topics):
                group.create_task(self._while_awake(lambda topic=topic: self._stream(topic)))  # type: ignore[misc]  # bound

    async def _stream(self, topic: str) -> None:
        if topic not in self.topics:
            await asyncio.Event().wait()
        since = self.cursor(topic)
        headers = {"Authorization": f"Bearer {await self.account.tokens.get()}"}
        if since is not None:
            headers["Last-Event-ID"] = str(since)
        joined, reason = False, "ended"
        started = self.recorder.now()
        timeout = aiohttp.ClientTimeout(total=None, connect=4, sock_read=SILENCE)
        url = f"{self.account.api}/topics/{topic}/stream"
        try:
            async with self.account.http.get(url, headers=headers, timeout=timeout) as response:
                # An ingress controller that has no way to a gateway answers 404, too.
                if response.status in (403, 404) and "json" in response.content_type:
                    self.left(topic, str(response.status), final=True)
                    return
                if response.status != 200:
                    reason = str(response.status)
                    return
                async for event, data in _events(response):
                    if event == "joined":
                        joined = True
                        self.joined(topic, started, data)
                    elif event == "":
                        self.received(topic, data)
                    elif event == "missing":
                        self.missed(topic, data)
                    elif event == "acked":
                        self.acked(topic, data)
                    elif event in ("error", "restart", "topic_deleted"):
                        reason = f"{event}: {data.get('code')}"
                        return
        except _ERRORS as error:
            reason = type(error).__name__
            raise
        finally:
            if joined:
                self.left(topic, reason)


async def _events(response: aiohttp.ClientResponse) -> Any:
    """Yield the name and the data of each event; an event that is cut off is none."""
    name, data = "", b""
    async for line in response.content:
        if not line.endswith(b"\n"):
            return
        if line.startswith(b"event: "):
            name = line[7:-1].decode()
        elif line.startswith(b"data: "):
            data = line[6:-1]
        elif line == b"\n":
            if data:
                yield name, orjson.loads(data)
            name, data = "", b""
