"""Notifications to publish, and their division into batches. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifyx.errors import InvalidRequest
from notifyx.models import Priority

MAX_ITEMS = 200
MAX_BYTES = 512 << 10
"""Maximum items and bytes of a batch: half of a deployment's default limits."""


def new_key() -> str:
    """Return a new idempotency key."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Message:
    """One notification to publish to ``topic``. ``key`` is the idempotency key."""

    topic: str
    body: str = ""
    title: str = ""
    data: dict[str, Any] | None = None
    priority: Priority = "normal"
    expires_at: datetime | None = None
    key: str = field(default_factory=new_key)

    def fields(self) -> dict[str, Any]:
        """Return the request's body. Raises :class:`InvalidRequest` for a time without a zone."""
        fields: dict[str, Any] = {}
        if self.title:
            fields["title"] = self.title
        if self.body:
            fields["body"] = self.body
        if self.data is not None:
            fields["data"] = self.data
        if self.priority != "normal":
            fields["priority"] = self.priority
        if self.expires_at is not None:
            if self.expires_at.tzinfo is None:
                raise InvalidRequest("expires_at needs a time zone.")
            fields["expires_at"] = self.expires_at.isoformat()
        return fields

    def item(self) -> dict[str, Any]:
        """Return the item of a batch request."""
        return {"topic": self.topic, "key": self.key, **self.fields()}


def batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Divide the messages, in their order, into batches as large as one request may be."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        weight = len(json.dumps(message.item()))
        if batch and (len(batch) >= MAX_ITEMS or size + weight > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch
