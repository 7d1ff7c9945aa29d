"""Publishes and a feed that go on while a store's database is lost."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import aiohttp
import orjson

from notifyx_common.principal import Principal
from support.store import StoreClient

RETRY = 0.05
"""Seconds after which a batch that got no answer is sent again."""


async def publish_each(
    store: StoreClient, who: Principal, number: int, count: int, answered: dict[str, int], statuses: set[int]
) -> None:
    """Publish ``count`` messages to ``news`` one by one, with titles that begin with ``number``.

    A batch that got no answer is sent again, as the gateway does. ``answered`` gets the seq of each title.
    """
    for turn in range(count):
        title = f"{number}-{turn}"
        body: dict[str, Any] = {
            "batch_id": uuid.uuid4().hex,
            "principals": [who.model_dump(mode="json")],
            "items": [{"p": 0, "topic": "news", "title": title}],
        }
        while True:
            status, answer = await store.call("POST", "/publish", None, body)
            statuses.add(status)
            if status == 200:
                answered[title] = answer["results"][0]["seq"]
                break
            assert status in (503, 504), answer
            await asyncio.sleep(RETRY)


async def follow(store: StoreClient, topic: str, received: list[int]) -> None:
    """Add the seqs of ``news``, whose id is ``topic``, to ``received`` as the feed delivers them."""
    async with store.feed() as socket:
        await socket.send_json({"op": "watch", "topics": {"news": {"id": topic, "after": 0}}})
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.TEXT
            _, *lines = message.data.split("\n")
            received.extend(orjson.loads(line)["seq"] for line in lines)
