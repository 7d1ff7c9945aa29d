"""All that the platform holds of one person, as one JSON document that is written while it is read.

Of what may be long, one page is read at a time, once the one before was written: memory stays bounded, and a store is
asked as by somebody who scrolls. The last field says that the document is whole; one that was cut off is no JSON.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from notifyx_common.clock import rfc3339
from notifyx_common.contracts.auth import User
from notifyx_common.contracts.store.inbox import InboxPage
from notifyx_common.contracts.store.people import PublishedPage
from notifyx_common.principal import Principal
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.store import Store
from notifyx_topics.email_addresses import address_spellings

PAGE = 200


class Exporter:
    """Reads the export of one person."""

    def __init__(self, auth: Auth, store: Store, principal: Principal, now: datetime) -> None:
        self._auth = auth
        self._store = store
        self._principal = principal
        self._now = now

    async def document(self) -> AsyncGenerator[bytes]:
        """Yield the parts of the document. Raises the errors of auth and store."""
        auth, principal = self._auth, self._principal
        account = await auth.me(principal)
        small: dict[str, Any] = {
            "exported_at": rfc3339(self._now),
            "account": _plain(account),
            "sessions": _plain(await auth.sessions(principal))["items"],
            "api_keys": _plain(await auth.api_keys(principal))["items"],
            "webhooks": _plain(await auth.list_hooks(principal))["items"],
            "subscriptions": [_plain(one) for one in await self._store.subscriptions(principal)],
        }
        yield orjson.dumps(small)[:-1]
        for name, pages in (
            ("topics", self._topics(account)),
            ("inbox", self._inbox()),
            ("published", self._published()),
        ):
            yield b',"%b":[' % name.encode()
            separator = b""
            async for items in pages:
                if items:
                    yield separator + b",".join(map(orjson.dumps, items))
                    separator = b","
            yield b"]"
        yield b',"complete":true}\n'

    async def _topics(self, account: User) -> AsyncIterator[list[dict[str, Any]]]:
        own = {account.id, *(address_spellings(account.email) if account.email_verified else ())}
        after: str | None = ""
        while after is not None:
            async with self._store.page_turn(self._principal):
                page = await self._store.topics(self._principal, limit=PAGE, after=after)
            yield [_plain(topic) for topic in page.items if own.intersection(topic.creators)]
            after = page.next

    async def _inbox(self) -> AsyncIterator[list[dict[str, Any]]]:
        after: str | None = None
        while True:
            async with self._store.page_turn(self._principal):
                raw = await self._store.inbox(self._principal, limit=PAGE, after=after)
            page = raw.read(InboxPage)
            yield page.items
            after = page.next
            if after is None:
                return

    async def _published(self) -> AsyncIterator[list[dict[str, Any]]]:
        after: str | None = ""
        while after is not None:
            async with self._store.page_turn(self._principal):
                raw = await self._store.published(self._principal, after)
            page = raw.read(PublishedPage)
            yield page.items
            after = page.next


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")
