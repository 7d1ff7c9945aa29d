"""The end of a history: what is still to come, and what is read once it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import orjson

from chaos.histories.events import LogRead, UnreadRead
from simulation.database import Database
from simulation.network import Host
from simulation.plan import ALLOWED, Plan
from simulation.publisher import Publisher
from simulation.receivers import ChannelReceiver, Receiver
from simulation.record import Record


def still_to_come(database: Database, clients: Iterable[Receiver]) -> list[str]:
    """Return what is still to come."""
    tables, left = database.tables, []
    database.outbox.fill(database.now())
    for client in clients:
        if isinstance(client, Publisher) and client.left:
            left.append(f"{client.name} to publish")
        if client.acks_open:
            left.append(f"{client.name} to be answered")
        for topic in client.wants():
            row = tables.topics[topic]
            if row.visibility == "private" and client.user not in ALLOWED:
                left.append(f"{client.name} to be turned away from {topic}")
            elif topic not in client.joined:
                left.append(f"{client.name} to join {topic}")
            elif (client.cursors[topic] or 0) < row.last_seq:
                left.append(f"{client.name} to receive {topic}")
            elif client.told and client.told[topic] != row.acked.get(client.user, 0):
                left.append(f"{client.name} to be told of {topic}")
        if isinstance(client, ChannelReceiver) and client.own:
            for topic, row in tables.topics.items():
                if client.user in row.subscribers and client.unread.get(topic) != (
                    row.unread(client.user), row.told(client.user),
                ):  # fmt: skip
                    left.append(f"{client.name} to be told what is unread in {topic}")
    if database.outbox.open():
        left.append("email to be sent")
    return left


async def read_the_end(plan: Plan, record: Record, database: Database, gateway: Callable[[], Host | None]) -> None:
    """Record the logs, and the positions of all subscribers as they read them."""
    network = record.network
    now, tables = record.now(), database.tables
    for name, topic in ((one.name, tables.topics[one.name]) for one in plan.topics):
        items = tuple((seq, orjson.loads(row)["title"]) for seq, row in topic.log.items())
        record.add(LogRead(at=now, topic=name, last_seq=topic.last_seq, items=items))
    for one in plan.subscriptions:
        answered: asyncio.Future[bytes | None] = network.loop.create_future()
        started = record.now()
        end = await network.connect(Host("reader", "clients"), gateway, "read", (one.user, one.topic))
        end.start(answered.set_result, lambda answered=answered: answered.done() or answered.set_result(None))  # type: ignore[misc]
        if (content := await answered) is not None:
            read = orjson.loads(content)
            record.add(
                UnreadRead(
                    started=started,
                    at=record.now(),
                    user=one.user,
                    topic=one.topic,
                    acked_up_to=read["acked_up_to"],
                    unread=read["unread"],
                    expired=read["expired"],
                )
            )
