"""Readers: acknowledge on several devices, by what each of them has seen."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import aiohttp

from chaos.histories.accounts import Account
from chaos.histories.events import Ack, Outcome
from chaos.histories.plan import ReaderPlan
from chaos.histories.receivers import ChannelReceiver
from chaos.histories.recorder import Recorder
from chaos.histories.wires import Broken

_ERRORS = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Device:
    """One device of a reader, which acknowledges all up to a seq, or single ones."""

    def __init__(
        self, name: str, plan: ReaderPlan, topic: str, account: Account, recorder: Recorder, random: Random
    ) -> None:
        self.name = name
        self._plan = plan
        self._topic = topic
        self._account = account
        self._recorder = recorder
        self._random = random

    async def work(self, stop: asyncio.Event) -> None:
        """Acknowledge until ``stop`` is set."""
        while not stop.is_set():
            await asyncio.sleep(self._plan.pause * self._random.uniform(0.3, 1.7))
            head = int(self._recorder.heads.get(self._topic, 0) * self._plan.share)
            if head > 0:
                await self._acknowledge(head)

    async def _acknowledge(self, head: int) -> None:
        wanted: dict[str, Any]
        if self._random.random() < 0.6:
            wanted = {"up_to": head}
        else:
            wanted = {"seqs": sorted({self._random.randint(1, head) for _ in range(self._random.randint(1, 4))})}
        started = self._recorder.now()
        outcome: Outcome
        answer: dict[str, Any]
        try:
            ok, answer = await self.ask(wanted)
            outcome = "ok" if ok else "unknown"
        except (Broken, *_ERRORS) as error:
            outcome, answer = "unknown", {"code": type(error).__name__}
        self._recorder.add(
            Ack(
                started=started, at=self._recorder.now(), user=self._account.name, device=self.name, topic=self._topic,
                up_to=wanted.get("up_to"), seqs=tuple(wanted.get("seqs", ())), outcome=outcome,
                acked_up_to=answer.get("acked_up_to", 0), unread=answer.get("unread", 0),
                expired=answer.get("expired", 0),
                code="" if outcome == "ok" else str(answer.get("code")),
            )
        )  # fmt: skip

    async def ask(self, wanted: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Send it: whether it was accepted, and the answer. Raises where there is none."""
        status, answer = await self._account.call("POST", f"/topics/{self._topic}/acks", json=wanted)
        return status == 200, answer if isinstance(answer, dict) else {}


class SocketDevice(Device):
    """A device that is connected, and hears of the others' acknowledgements."""

    def __init__(self, receiver: ChannelReceiver, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._receiver = receiver

    async def ask(self, wanted: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        reply = await self._receiver.push(self._topic, "ack", wanted)
        if reply["status"] == "ok":
            position = (self._account.name, reply["response"]["acked_up_to"])
            self._recorder.told[self._receiver.name, self._topic] = position
        return reply["status"] == "ok", reply["response"]
