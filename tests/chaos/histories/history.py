"""Runs one history on a platform: lets all work while faults happen, waits for what is still to come, reads."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any

import aiohttp

from chaos.histories.accounts import ANSWER, Account, sign_up
from chaos.histories.events import (
    LAST,
    Began,
    Event,
    FaultSpan,
    Healed,
    LedgerRead,
    LogRead,
    Mail,
    Settled,
    SignedOut,
    SubscriptionFacts,
    TopicFacts,
    TopicLedger,
    UnreadRead,
)
from chaos.histories.intruder import Intruder
from chaos.histories.plan import UNREAD_AFTER, USERS, ClientPlan, FaultPlan, Plan, PublisherPlan, ReaderPlan
from chaos.histories.publishers import ChannelPublisher, LastPublisher, Publisher
from chaos.histories.readers import Device, SocketDevice
from chaos.histories.receivers import ChannelReceiver, Receiver, StreamReceiver
from chaos.histories.recorder import Recorder
from chaos.histories.system import System
from chaos.histories.wires import LongPollWire, SocketWire, Wire

FINISH = 60.0
"""Seconds in which publishers finish what is under way."""

PAGE = 200

NOT_BEGUN = (
    Began(topics=()),
    Settled(at=0.0, waiting_for=("the services, after the faults of the history before",)),
)
"""The history of a platform that has not come back: what broke it are the faults of the history before."""


class Stage:
    """A platform with its users, on which histories run one after the other."""

    def __init__(self, system: System, accounts: Mapping[str, Account], http: aiohttp.ClientSession) -> None:
        self.system = system
        self.accounts = accounts
        self.http = http

    async def run(self, plan: Plan, name: str) -> Sequence[Event]:
        """Return the history of ``plan``. ``name`` begins the names of its topics and messages: one for each run."""
        return await _History(self, plan, f"{name}{self.system.run}.").run()


@contextlib.asynccontextmanager
async def running_stage(system: System, seed: str) -> AsyncIterator[Stage]:
    """Sign the users up."""
    timeout = aiohttp.ClientTimeout(total=ANSWER)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        signed = await asyncio.gather(*(sign_up(http, system, name, Random(f"{seed}:{name}")) for name in USERS))
        yield Stage(system, {account.name: account for account in signed}, http)


class _History:
    def __init__(self, stage: Stage, plan: Plan, prefix: str) -> None:
        self.stage = stage
        self.system = stage.system
        self.plan = plan
        self.prefix = prefix
        self.recorder = Recorder()
        self.stop = asyncio.Event()
        self.waiting_for: tuple[str, ...] = ()
        self._now_waiting = "the services"
        self._naps: list[tuple[Receiver, tuple[float, float]]] = []

    async def run(self) -> Sequence[Event]:
        try:
            await self.system.healthy()
        except TimeoutError:
            return NOT_BEGUN
        began = await self._set_up()
        self.recorder = Recorder()
        self.recorder.add(began)
        mails_before = len(self.system.mails.arrived)
        intruders = self._intruders()
        for intruder in intruders:
            await intruder.prepare()
        receivers, devices = self._receivers()
        async with _Tasks() as tasks:
            for receiver in receivers:
                tasks.start(receiver.run())
            for receiver, nap in self._naps:
                tasks.start(receiver.nap(*nap))
            acknowledging = [asyncio.create_task(device.work(self.stop)) for device in devices]
            publishing = [asyncio.create_task(self._publisher(one).work(self.stop)) for one in self.plan.publishers]
            intruding = [asyncio.create_task(one.work(self.stop)) for one in intruders]
            failing = [asyncio.create_task(self._fail(fault)) for fault in self.plan.faults]
            try:
                await asyncio.sleep(self.plan.seconds)
                await asyncio.gather(*failing)
                self.stop.set()
                await self._finish(publishing, "publishers")
                await self._finish(acknowledging, "devices")
                await self._finish(intruding, "intruders")
                await self._settle(mails_before)
            finally:
                working = (*acknowledging, *publishing, *intruding, *failing)
                for task in working:
                    task.cancel()
                await asyncio.gather(*working, return_exceptions=True)
        for intruder in intruders:
            await intruder.leave()
        return self.recorder.events

    def _topic(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def _random(self, name: str) -> Random:
        return Random(f"{self.plan.seed}:{name}")

    async def _set_up(self) -> Began:
        owner = self.stage.accounts[USERS[0]]
        insiders = tuple(USERS[:4])
        for topic in self.plan.topics:
            body: dict[str, Any] = {
                "name": self._topic(topic.name),
                "email": {"unread_after_seconds": UNREAD_AFTER},
                "visibility": "private" if topic.private else "public",
                "publishers": ["*"] if not topic.private else [self.stage.accounts[user].id for user in insiders],
                "readers": [self.stage.accounts[user].id for user in insiders] if topic.private else [],
            }
            if topic.max_count is not None:
                body["retention"] = {"max_count": topic.max_count}
            await owner.surely("POST", "/topics", json=body)
        for reader in self.plan.readers:
            path = f"/topics/{self._topic(reader.topic)}/subscription"
            await self.stage.accounts[reader.user].surely("PUT", path, json={"email": reader.email})
        books = await self.system.ledger()
        delays = {"never": 0.0, "every": 0.0, "unread": float(UNREAD_AFTER)}
        return Began(
            topics=tuple(
                TopicFacts(
                    name=self._topic(one.name), readers=insiders if one.private else None, max_count=one.max_count
                )
                for one in self.plan.topics
            ),
            subscriptions=tuple(
                SubscriptionFacts(user=one.user, topic=self._topic(one.topic), email=one.email, delay=delays[one.email])
                for one in self.plan.readers
            ),
            mails_sent=books["email"]["sent"],
        )

    def _wire(self, via: str) -> Callable[[], Wire]:
        if via == "socket":
            return lambda: SocketWire(self.stage.http, self.system.socket)
        return lambda: LongPollWire(self.stage.http, self.system.api.removesuffix("/api/v1"))

    def _publisher(self, plan: PublisherPlan) -> Publisher:
        account = self.stage.accounts[plan.user]
        if plan.via == "rest":
            return Publisher(plan, self.prefix, account, self.recorder, self._random(plan.name))
        return ChannelPublisher(
            plan, self.prefix, account, self.recorder, self._random(plan.name), self._wire(plan.via)
        )

    async def _publish_last(self) -> None:
        topics = tuple(topic.name for topic in self.plan.topics)
        plan = PublisherPlan(
            name=LAST, user=USERS[0], topics=topics, via="rest", messages=len(topics), window=1, pause=0.0
        )
        last = LastPublisher(plan, self.prefix, self.stage.accounts[plan.user], self.recorder, self._random(LAST))
        await last.work(asyncio.Event())

    def _receiver(self, plan: ClientPlan) -> Receiver:
        options: dict[str, Any] = {
            "name": plan.name,
            "account": self.stage.accounts[plan.user],
            "topics": [self._topic(topic) for topic in plan.topics],
            "from_start": plan.from_start,
            "recorder": self.recorder,
            "random": self._random(plan.name),
        }
        if plan.via == "sse":
            return StreamReceiver(**options)
        return ChannelReceiver(self._wire(plan.via), plan.via, **options)

    def _intruders(self) -> list[Intruder]:
        """Return who tries what is proved by memcached, where that is what fails."""
        if all(fault.fault != "corrupt" for fault in self.plan.faults):
            return []
        insider, outsider = self.stage.accounts[USERS[0]], self.stage.accounts[USERS[-1]]
        return [
            Intruder(insider, outsider, self._topic(one.name), self.recorder, seconds=self.plan.seconds)
            for one in self.plan.topics
            if one.private
        ]

    def _receivers(self) -> tuple[list[Receiver], list[Device]]:
        receivers: list[Receiver] = []
        devices: list[Device] = []
        for client in self.plan.clients:
            receivers.append(receiver := self._receiver(client))
            self._naps.extend((receiver, nap) for nap in client.naps)
        for reader in self.plan.readers:
            for number, kind in enumerate(reader.devices, 1):
                name = f"{reader.user}.{reader.topic}.{number}"
                arguments = (
                    name, reader, self._topic(reader.topic), self.stage.accounts[reader.user], self.recorder,
                    self._random(name),
                )  # fmt: skip
                if kind == "rest":
                    devices.append(Device(*arguments))
                    continue
                plan = ClientPlan(name=name, user=reader.user, topics=(reader.topic,), via="socket", from_start=False)
                receiver = self._receiver(plan)
                assert isinstance(receiver, ChannelReceiver)
                receivers.append(receiver)
                devices.append(SocketDevice(receiver, *arguments))
        return receivers, devices

    async def _fail(self, fault: FaultPlan) -> None:
        await asyncio.sleep(fault.at)
        started, error = self.recorder.now(), ""
        try:
            await self.system.fail(fault)
        except TimeoutError as late:
            error = repr(late)
        name = str(fault.fault)
        self.recorder.add(
            FaultSpan(started=started, at=self.recorder.now(), fault=name, target=fault.target, error=error)
        )

    async def _finish(self, tasks: Sequence[asyncio.Task[None]], what: str) -> None:
        if not tasks:
            return
        done, late = await asyncio.wait(tasks, timeout=FINISH)
        for task in done:
            task.result()
        if late:
            self.waiting_for += (f"{len(late)} {what}",)

    async def _settle(self, mails_before: int) -> None:
        """Wait until all is delivered and mailed, and read what there is."""
        try:
            async with asyncio.timeout(self.system.settle):
                await self.system.healthy()
                self.recorder.add(Healed(at=self.recorder.now()))
                self._now_waiting = "a last publish to each topic"
                await self._publish_last()
                logs = {topic.name: await self._read_log(self._topic(topic.name)) for topic in self.plan.topics}
                await self._until(lambda: self._delivered(logs), "deliveries")
                await self._until(self._told, "positions")
                await self._until(self._mailed, "emails")
                await self._until(self._trimmed, "retention")
        except TimeoutError:
            self.waiting_for += (f"{self._now_waiting}",)
        for account in self.stage.accounts.values():
            for code in account.tokens.refused:
                self.recorder.add(SignedOut(at=self.recorder.now(), user=account.name, code=code))
            account.tokens.refused.clear()
        for log in [await self._read_log(self._topic(topic.name)) for topic in self.plan.topics]:
            self.recorder.add(log)
        for reader in self.plan.readers:
            await self._read_position(reader)
        self.recorder.add(await self._read_ledger())
        await self.system.mails.refresh()
        self._add_mails(mails_before)
        self.recorder.add(Settled(at=self.recorder.now(), waiting_for=self.waiting_for))

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        self._now_waiting = what
        while not await holds():
            await asyncio.sleep(0.1)

    async def _delivered(self, logs: Mapping[str, LogRead]) -> bool:
        last = {log.topic: log.last_seq for log in logs.values()}
        behind = [
            f"{client} at {position} of {topic}"
            for (client, topic), position in self.recorder.positions.items()
            if position < last[topic]
        ]
        self._now_waiting = f"deliveries: {behind[:5]}"
        return not behind

    async def _told(self) -> bool:
        """Return whether all that are connected know what their users have acknowledged."""
        known: dict[tuple[str, str], int] = {}
        behind = []
        for (client, topic), (user, position) in list(self.recorder.told.items()):
            if (user, topic) not in known:
                account = self.stage.accounts[user]
                state = await account.surely("GET", f"/topics/{topic}/acks")
                known[user, topic] = state["acked_up_to"]
            if position != known[user, topic]:
                behind.append(f"{client} was told {position} of {topic}, and {user} is at {known[user, topic]}")
        self._now_waiting = f"positions: {behind[:5]}"
        return not behind

    async def _mailed(self) -> bool:
        if not await self.system.outbox_is_filled():
            return False
        books = await self.system.ledger()
        pending = books["email"]["pending"]
        self._now_waiting = f"{pending} emails"
        return bool(pending == 0)

    async def _trimmed(self) -> bool:
        """Return whether retention has removed what it has to: nothing may go while the end is read, part by part."""
        kept = {topic.name: topic.max_count for topic in self.plan.topics if topic.max_count is not None}
        lengths = {name: len((await self._read_log(self._topic(name))).items) for name in kept}
        self._now_waiting = f"retention: {lengths}"
        return all(lengths[name] <= count for name, count in kept.items())

    async def _read_log(self, topic: str) -> LogRead:
        reader = self.stage.accounts[USERS[0]]
        items: list[tuple[int, str]] = []
        after, last = 0, 0
        while True:
            page = await reader.surely("GET", f"/topics/{topic}/notifications?after={after}&limit={PAGE}")
            items += [(item["seq"], item["title"]) for item in page["items"]]
            last = max(last, page["last_seq"])
            if page["next"] is None:
                return LogRead(at=self.recorder.now(), topic=topic, last_seq=last, items=tuple(items))
            after = page["next"]

    async def _read_position(self, reader: ReaderPlan) -> None:
        topic, started = self._topic(reader.topic), self.recorder.now()
        read = await self.stage.accounts[reader.user].surely("GET", f"/topics/{topic}/subscription")
        self.recorder.add(
            UnreadRead(
                started=started, at=self.recorder.now(), user=reader.user, topic=topic,
                acked_up_to=read["acked_up_to"], unread=read["unread"], expired=read["expired"],
            )
        )  # fmt: skip

    async def _read_ledger(self) -> LedgerRead:
        books = await self.system.ledger()
        email = books["email"]
        return LedgerRead(
            at=self.recorder.now(),
            balanced=books["balanced"],
            topics=tuple(
                TopicLedger.model_validate(row) for row in books["topics"] if row["topic"].startswith(self.prefix)
            ),
            sent=email["sent"],
            mails_pending=email["pending"],
            dead=email["dead"],
        )

    def _add_mails(self, before: int) -> None:
        users = {account.email: account.name for account in self.stage.accounts.values()}
        pattern = re.compile(rf"\[({re.escape(self.prefix)}[a-z]+)\] ({re.escape(self.prefix)}\S+)$")
        for mail in self.system.mails.arrived[before:]:
            found = pattern.search(mail.subject)
            if found is not None:
                user = users.get(mail.recipient, mail.recipient)
                self.recorder.add(
                    Mail(
                        at=mail.at - self.recorder.began, user=user, topic=found[1], message=found[2],
                        message_id=mail.message_id,
                    )
                )  # fmt: skip


class _Tasks:
    """Endless tasks, which end with the block; a defect in one is raised there."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> _Tasks:
        return self

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start ``work``."""
        self._tasks.append(asyncio.create_task(work))

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
