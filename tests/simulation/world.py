"""One history: builds the platform and its clients, carries out the steps, lets all faults end, and reads the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import orjson

from chaos.histories.events import (
    Began,
    Event,
    Healed,
    Mail,
    Settled,
    SubscriptionFacts,
    TopicFacts,
)
from simulation.database import Database
from simulation.ending import read_the_end, still_to_come
from simulation.faults import Faults
from simulation.gateway_node import MAILER, GatewayNode
from simulation.library_client import LiveReceiver
from simulation.loop import SimulatedLoop, Stuck
from simulation.nats import Nats
from simulation.network import End, Host, Network
from simulation.plan import ALLOWED, PRIVATE, UNREAD_AFTER, ClientPlan, Plan, Step
from simulation.publisher import Message, Publisher
from simulation.receivers import ChannelReceiver, Receiver, StreamReceiver
from simulation.record import Record
from simulation.store_node import StoreNode
from simulation.surroundings import surroundings

PATIENCE = 60.0
"""Simulated seconds that what is still to come may take after all faults have ended."""

LOOK = 0.1
"""Seconds between two looks at what is still to come."""


@dataclass(frozen=True, slots=True)
class History:
    """What became of a plan. ``trace`` is a digest of everything that was delivered, in its order and at its time."""

    plan: Plan
    events: list[Event]
    trace: str
    seconds: float
    turns: int
    confirmed: frozenset[str] = frozenset()
    """The ids of the messages that the store has confirmed right before they were sent."""
    problems: tuple[str, ...] = ()
    """What no code caught, and faults of services."""


def run(plan: Plan) -> History:
    """Run a history."""
    loop = SimulatedLoop()
    problems: list[str] = []
    with surroundings(plan.seed):
        world = World(plan, loop)
        try:
            loop.run_until_complete(world.live())
        except Stuck as stuck:
            problems.append(str(stuck))
            loop.run_until_complete(loop.end_tasks())
        finally:
            loop.close()
    problems += loop.errors + world.problems
    confirmed = frozenset(world.database.outbox.confirmed)
    return History(plan, world.record.events, world.trace, loop.time(), loop.turns, confirmed, tuple(problems))


class World:
    """All that there is in a history."""

    def __init__(self, plan: Plan, loop: SimulatedLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.network = Network(loop, Random(f"network {plan.seed}"))
        self.record = Record(self.network, Random(f"clients {plan.seed}"))
        self.database = Database(self.network, Random(f"database {plan.seed}"))
        self.trace = ""
        self.problems: list[str] = []
        self._nodes: dict[str, GatewayNode | StoreNode | Nats] = {}
        self._generations: dict[str, int] = {}
        self._clients: dict[str, Receiver] = {}
        self._plans = {one.name: one for one in plan.clients}
        self._messages = 0
        self._faults = Faults(self.network, self.database, lambda name: self._nodes[name].host, self._start)
        self._mailer = Host(MAILER)
        self._mailer.accepts = {"send": self._accept_mails, "resolve": self._accept_mails}

    async def live(self) -> None:
        """Live from the beginning to the end."""
        try:
            await self._live()
        finally:
            self.trace = self.network.trace.hexdigest()
            self.network.quiet = True
            await self.loop.end_tasks()

    async def _live(self) -> None:
        loop, plan = self.loop, self.plan
        loop.create_connection = self._create_connection  # type: ignore[method-assign,assignment]
        self._create_tables()
        processes = plan.nats + plan.stores + plan.gateways
        for name in processes:
            self._start(name)
        for step in plan.steps:
            self.network.later(max(0.0, step.at), lambda step=step: self._carry_out(step))  # type: ignore[misc]
        await asyncio.sleep(plan.seconds + 0.001)
        self._faults.end_all()
        for name in processes:
            if not self._nodes[name].host.alive:
                self._start(name)
        self.record.add(Healed(at=loop.time()))
        until = loop.time() + PATIENCE
        looks = 0
        while looks < 2 and loop.time() < until:
            # A publish whose client has gone may still be on its way.
            left = still_to_come(self.database, self._clients.values())
            looks = 0 if left else looks + 1
            await asyncio.sleep(LOOK if looks < 2 else 0)
        await read_the_end(plan, self.record, self.database, lambda: self._find(plan.gateways[0]))
        self.record.add(Settled(at=loop.time(), waiting_for=tuple(left)))
        for node in self._nodes.values():
            if not isinstance(node, Nats):
                self.problems += [fault.sentence for fault in node.background.faults]

    # What there is

    def _create_tables(self) -> None:
        tables = self.database.tables
        subscriptions = []
        for topic in self.plan.topics:
            tables.create(topic.name, topic.max_count)
        for one in self.plan.subscriptions:
            topic_row = tables.topics[one.topic]
            topic_row.subscribe(one.user, one.email)
            delay = UNREAD_AFTER if one.email == "unread" else 0.0
            if one.email != "never":
                self.database.outbox.delays[topic_row.id, one.user] = delay
            subscriptions.append(SubscriptionFacts(user=one.user, topic=one.topic, email=one.email, delay=delay))
        topics = [TopicFacts(name=one.name, max_count=one.max_count) for one in self.plan.topics]
        self.record.add(Began(topics=tuple(topics), subscriptions=tuple(subscriptions)))

    def _find(self, name: str) -> Host | None:
        if name == MAILER:
            return self._mailer
        node = self._nodes.get(name)
        return node.host if node is not None and node.host.alive else None

    def _start(self, name: str) -> None:
        generation = self._generations[name] = self._generations.get(name, 0) + 1
        if name in self.plan.gateways:
            mails = bool(self.database.outbox.delays)
            self._nodes[name] = GatewayNode(name, generation, self.network, self.plan.stores, self._find, mails=mails)
        elif name in self.plan.nats:
            self._nodes[name] = Nats(generation, self.network, self.plan.seed, lambda: self.database.lose_wakeups)
        else:
            find_nats = partial(self._find, *self.plan.nats) if self.plan.nats else None
            self._nodes[name] = StoreNode(name, generation, self.network, self.database, find_nats)

    async def _create_connection(self, factory: Any, host: str, port: int, **_: Any) -> None:
        node = next(one for one in self._nodes.values() if one.host is self.loop.current_host())
        assert isinstance(node, GatewayNode)
        await node.connections.protocol(factory, host)

    def _connect(self, client: Callable[[], Host]) -> Any:
        chosen: list[str] = []

        async def connect(kind: str, hello: Any) -> End:
            if kind != "poll" or hello == "open" or not chosen:
                alive = [name for name in self.plan.gateways if self._find(name) is not None]
                chosen[:] = [self.record.random.choice(alive or self.plan.gateways)]
            return await self.network.connect(client(), lambda: self._find(chosen[0]), kind, hello)

        return connect

    def _make_client(self, plan: ClientPlan) -> Receiver:
        made: list[Receiver] = []
        connect = self._connect(lambda: made[0].host)
        name, user, topics = plan.name, plan.user, dict(plan.topics)
        client: Receiver
        if plan.kind == "stream":
            client = StreamReceiver(name, user, topics, self.record, connect)
        elif plan.kind == "library":
            client = LiveReceiver(name, user, topics, self.record, connect)
        elif plan.kind == "publisher":
            client = Publisher(name, user, topics, self.record, connect)
        elif plan.kind == "polling publisher":
            client = Publisher(name, user, topics, self.record, connect, via="longpoll")
        else:
            client = ChannelReceiver(name, user, topics, self.record, connect, via=plan.kind, own=True)
        made.append(client)
        return client

    def _accept_mails(self, end: End, _: Any) -> None:
        def received(content: bytes) -> None:
            for _id, message_id, to, context in orjson.loads(content) if content != b"-" else ():
                self.record.add(
                    Mail(
                        at=self.loop.time(),
                        user=to.partition("@")[0],
                        topic=context["topic"],
                        message=context["title"],
                        message_id=message_id,
                    )
                )
            end.send(b"ok")

        end.start(received, lambda: None)

    # Steps

    def _carry_out(self, step: Step) -> None:
        if self.network.quiet:
            return
        self.network.note("step", str(step))
        client = self._clients.get(step.who)
        match step.action:
            case "client":
                client = self._clients[step.who] = self._make_client(self._plans[step.who])
                client.begin()
            case "publish" if isinstance(client, Publisher):
                self._messages += 1
                keyed, long = "keyed" in step.what, "long" in step.what
                message = Message(f"{step.who}-{self._messages}", step.topic, keyed, long)
                client.publish(message)
            case "ack" if client is not None:
                if up_to := int((client.cursors.get(step.topic) or 0) * step.amount):
                    client.acknowledge(step.topic, up_to, ())
            case "ack_one" if client is not None:
                if seq := client.cursors.get(step.topic):
                    client.acknowledge(step.topic, None, (seq,))
            case "nap" if client is not None:
                client.nap(step.amount)
            case "restrict":
                self.database.restrict(PRIVATE, ALLOWED)
            case _:
                self._faults.begin(step)
