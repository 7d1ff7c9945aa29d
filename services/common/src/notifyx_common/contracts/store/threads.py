"""Direct messages as threads: whom a user exchanged them with, and both sides of one exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from notifyx_common.contracts.call import MAX_ITEM_BYTES, MAX_PAGE_BYTES, V1, Call, Model, Number, Raw
from notifyx_common.patterns import VISIBLE
from notifyx_topics.names import MAX_NAME

MAX_LINE = 300
"""Characters of a thread's latest message that a list shows."""

DELETED = "deleted"
"""The person of the thread that holds what deleted users have sent. It is nobody's id."""

DELETED_NAME = "Deleted user"
"""The display name of any author whose account is deleted."""

Person = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=VISIBLE)]


class Latest(Model):
    """The newest message of a thread. ``text``: the beginning of its body. ``sent``: it is the caller's own."""

    topic: str
    seq: int
    title: str
    text: str
    sent: bool
    published_at: str


class Thread(Model):
    """A person (or a ServiceAccount) whom the caller exchanged direct messages with.

    ``user``: an id, or :data:`DELETED`. ``name``: as the newest message says it, if it is theirs. ``unread``: what the
    caller has not acknowledged of them.
    """

    user: str
    name: str | None
    unread: int
    latest: Latest


class ThreadsPage(Model):
    """Threads, the one with the newest message first. ``next`` is the ``after`` of the following page."""

    items: list[Thread]
    next: str | None


class ThreadPage(Model):
    """Messages of both, ascending by time, with ``sent`` and ``acked`` (``null`` in what the caller sent to another).

    The first page is the newest; ``next`` is the ``after`` of the page that is older.
    """

    items: list[dict[str, Any]]
    next: str | None


@dataclass(frozen=True)
class ThreadsQuery:
    """A page of the caller's threads."""

    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    after: str | None = None


@dataclass(frozen=True)
class ThreadQuery:
    """A page of the caller's thread with ``user``."""

    user: Person
    limit: Annotated[Number, Field(ge=1, le=200)] = 50
    after: str | None = None


THREADS = Call("GET", f"{V1}/threads", ThreadsQuery, ThreadsPage, caller="principal")
THREAD = Call(
    "GET",
    f"{V1}/threads/{{user}}",
    ThreadQuery,
    Raw[ThreadPage],
    caller="principal",
    large=MAX_PAGE_BYTES + MAX_ITEM_BYTES,
)
