"""What is published, and how many of it go together. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifyx.errors import InvalidRequest
from notifyx.shapes import Priority

MOST_ITEMS = 200
MOST_BYTES = 512 << 10
"""Size of a batch: half of what a deployment takes unless it is told otherwise."""


def new_key() -> str:
    """A fresh idempotency key."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Message:
    """One notification to be published to ``topic``. With the same ``key`` it is published once."""

    topic: str
    body: str = ""
    title: str = ""
    data: dict[str, Any] | None = None
    priority: Priority = "normal"
    expires_at: datetime | None = None
    key: str = field(default_factory=new_key)

    def fields(self) -> dict[str, Any]:
        """The request's body. Raises :class:`InvalidRequest` for a time without a zone."""
        told: dict[str, Any] = {}
        if self.title:
            told["title"] = self.title
        if self.body:
            told["body"] = self.body
        if self.data is not None:
            told["data"] = self.data
        if self.priority != "normal":
            told["priority"] = self.priority
        if self.expires_at is not None:
            if self.expires_at.tzinfo is None:
                raise InvalidRequest("expires_at needs a time zone.")
            told["expires_at"] = self.expires_at.isoformat()
        return told

    def item(self) -> dict[str, Any]:
        """The item of a batch."""
        return {"topic": self.topic, "key": self.key, **self.fields()}


def batches(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """The messages in their order, as many together as one request may carry."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        weight = len(json.dumps(message.item()))
        if batch and (len(batch) >= MOST_ITEMS or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += weight
    if batch:
        yield batch
