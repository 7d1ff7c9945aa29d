"""Publishers: each message has a key, and is mostly tried again under it until its outcome is known."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar

import aiohttp
import orjson

from chaos.histories.accounts import Account
from chaos.histories.events import Outcome, Publish
from chaos.histories.plan import PublisherPlan
from chaos.histories.recorder import Recorder
from chaos.histories.wires import Broken, Channels, Reply, Wire

UNKNOWN_STATUS = {500, 504}
"""Answers that say that the outcome is not known."""

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


def outcome_of(status: int) -> Outcome:
    """Return what an answer with this status says about a publish."""
    return "ok" if 200 <= status < 300 else "unknown" if status in UNKNOWN_STATUS else "refused"


FINAL_REFUSALS = {400, 403, 404, 409, 413}

GIVE_UP: Mapping[Outcome, float] = {"ok": 1.0, "refused": 0.3, "unknown": 0.1}
"""The share of attempts after which a message is not tried again: what was refused must then not exist."""


class Publisher:
    """Publishes what its plan says, with a number of messages under way; gives up what is refused for good."""

    give_up: ClassVar[Mapping[Outcome, float]] = GIVE_UP

    def __init__(self, plan: PublisherPlan, prefix: str, account: Account, recorder: Recorder, random: Random) -> None:
        self.plan = plan
        self.prefix = prefix
        self.account = account
        self.recorder = recorder
        self.random = random
        self._messages = itertools.count(1)

    async def work(self, stop: asyncio.Event) -> None:
        """Publish until all is published or ``stop`` is set; what is under way is finished."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.plan.window):
                group.create_task(self._worker(stop))

    async def _worker(self, stop: asyncio.Event) -> None:
        while not stop.is_set() and (number := next(self._messages)) <= self.plan.messages:
            topic = self.plan.topics[number % len(self.plan.topics)]
            await self._surely(f"{self.prefix}{topic}", f"{self.prefix}{self.plan.name}.{number}")
            await asyncio.sleep(self.plan.pause * self.random.uniform(0.2, 1.8) * self.plan.window)

    async def _surely(self, topic: str, message: str) -> None:
        while True:
            await self.ready()
            started = self.recorder.now()
            try:
                status, answer, connection = await self.attempt(topic, message)
            except (Broken, *_ERRORS) as error:
                outcome: Outcome = "unknown"
                status, answer, connection = 0, {"code": type(error).__name__}, ""
            else:
                outcome = outcome_of(status)
            seq = int(answer["seq"]) if outcome == "ok" else None
            self.recorder.add(
                Publish(
                    started=started, at=self.recorder.now(), publisher=self.plan.name, topic=topic, message=message,
                    via=self.plan.via, outcome=outcome, seq=seq, connection=connection,
                    code="" if outcome == "ok" else f"{status} {answer.get('code')}",
                )
            )  # fmt: skip
            if seq is not None:
                self.recorder.saw(topic, seq)
            unsafe = outcome == "unknown" and not self.plan.keys
            if status in FINAL_REFUSALS or unsafe or self.random.random() < self.give_up[outcome]:
                return
            await asyncio.sleep(self.random.uniform(0.05, 0.4))

    async def ready(self) -> None:
        """Wait until there is a connection to publish on."""

    async def attempt(self, topic: str, message: str) -> tuple[int, dict[str, Any], str]:
        """Try once: the status, the answer and the connection. Raises where there was no answer."""
        fields = {"title": message, "priority": "urgent"}
        status, answer = await self.account.call(
            "POST", f"/topics/{topic}/notifications", data=orjson.dumps(fields),
            headers={"Content-Type": "application/json", **({"Idempotency-Key": message} if self.plan.keys else {})},
        )  # fmt: skip
        return status, answer if isinstance(answer, dict) else {}, ""


class LastPublisher(Publisher):
    """Publishes once to each topic after the faults, until it is accepted."""

    give_up: ClassVar[Mapping[Outcome, float]] = {"ok": 1.0, "refused": 0.0, "unknown": 0.0}


class ChannelPublisher(Publisher):
    """Publishes on channels, over connections that are opened again when they break."""

    def __init__(
        self,
        plan: PublisherPlan,
        prefix: str,
        account: Account,
        recorder: Recorder,
        random: Random,
        wire: Callable[[], Wire],
    ) -> None:
        super().__init__(plan, prefix, account, recorder, random)
        self._wire = wire
        self._channels: Channels | None = None
        self._joined: dict[str, str] = {}
        self._ready = asyncio.Event()
        self._connections = itertools.count(1)
        self._connection = ""

    async def work(self, stop: asyncio.Event) -> None:
        connecting = asyncio.create_task(self._connect())
        try:
            await super().work(stop)
        finally:
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    async def _connect(self) -> None:
        while True:
            wire = self._wire()
            try:
                await wire.open(await self.account.tokens.get())
                channels = Channels(wire, self._pushed)
                running = asyncio.create_task(channels.run())
                try:
                    self._joined = {}
                    for topic in self.plan.topics:
                        ref = channels.ref()
                        reply = await channels.call(ref, f"topic:{self.prefix}{topic}", "phx_join", {})
                        if reply["status"] != "ok":
                            raise Broken(f"not joined: {reply}")
                        self._joined[f"{self.prefix}{topic}"] = ref
                    self._connection = f"{self.plan.name}:{next(self._connections)}"
                    self._channels = channels
                    self._ready.set()
                    await running
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
            except Broken:
                pass
            finally:
                self._ready.clear()
                self._channels = None
                await wire.close()
            await asyncio.sleep(self.random.uniform(0.05, 0.3))

    def _pushed(self, topic: str, event: str, payload: object) -> None:
        if event in ("phx_error", "phx_close") and self._channels is not None:
            self._channels.give_up()

    async def ready(self) -> None:
        await self._ready.wait()

    async def attempt(self, topic: str, message: str) -> tuple[int, dict[str, Any], str]:
        channels, connection = self._channels, self._connection
        if channels is None or topic not in self._joined:
            raise Broken("not connected")
        payload = {"title": message, "priority": "urgent", **({"key": message} if self.plan.keys else {})}
        reply: Reply = await channels.call(self._joined[topic], f"topic:{topic}", "publish", payload)
        response = reply["response"]
        if reply["status"] == "ok":
            return 200, response, connection
        return STATUS_OF.get(response.get("code", ""), 500), response, connection


STATUS_OF = {
    "internal": 500, "deadline_exceeded": 504, "unavailable": 503, "invalid_request": 400, "forbidden": 403,
    "not_found": 404, "conflict": 409, "topic_not_found": 404, "too_many_requests": 429, "rate_limited": 429,
    "storage_full": 503, "memory_low": 503,
}  # fmt: skip
"""REST's status of a code, which a channel's error has without it."""
