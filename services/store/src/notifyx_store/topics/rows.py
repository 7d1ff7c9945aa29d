"""Reads topics by name for permission checks, and creates inboxes of users who are known to exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import asyncpg

from notifyx_common.principal import Principal
from notifyx_store.base import bus, wakeups
from notifyx_store.base.errors import topic_not_found
from notifyx_store.topics.permissions import TopicRow, grants_of
from notifyx_topics.names import INBOX_PREFIX, inbox_topic

COLUMNS = (
    "id", "name", "kind", "visibility", "creators", "publishers", "readers", "paused", "resource", "last_seq",
    "pruned_seq", "email_default", "retention_max_count", "updated_at",
)  # fmt: skip
"""The columns of ``topics`` that :func:`topic_row` reads."""

LISTS = ("creators", "publishers", "readers")

FEW_GRANTS = 200
"""Entries of the lists of a topic that are read whole, to judge whoever publishes next. Three lists may have 2,100."""


def columns_for(user: str, emails: str) -> str:
    """Return the SQL of the columns of ``t``, whose lists hold what may match a caller, and nothing else.

    ``user`` is the SQL of the caller's id, ``emails`` that of :func:`~notifyx_store.topics.permissions.emails_of`. Who
    reads many topics would otherwise be handed megabytes of other people.
    """
    grants = f"ARRAY['*', {user}] || string_to_array({emails}, ' ')"
    return ", ".join(
        f"CASE WHEN t.{column} && ({grants}) THEN {grants} ELSE '{{}}' END AS {column}"
        if column in LISTS
        else f"t.{column}"
        for column in COLUMNS
    )


# All code that locks several topics locks them in the order of their ids.
_READ = f"SELECT {', '.join(COLUMNS)} FROM topics WHERE name = ANY($1::text[]) AND kind <> 'deleted'"  # noqa: S608 - constants

STATE = "ROW(name, kind, visibility, creators, publishers, readers, paused, updated_at)::text"
"""All that decides who may publish to a topic, and its version, as one value that can be compared."""

_FEW = f"{' + '.join(f'cardinality({one})' for one in LISTS)} <= {FEW_GRANTS}"
_LOCKED = ", ".join(
    f"CASE WHEN {_FEW} THEN {one} ELSE ARRAY(SELECT unnest({one}) INTERSECT SELECT unnest($2::text[])) END AS {one}"
    if one in LISTS
    else one
    for one in COLUMNS
)

# Of LIMIT PostgreSQL expects a tenth of the ten names that it takes an array for: so it keeps the plan, instead of
# planning each small batch anew.
LOCK_TOPICS = f"""
SELECT {_LOCKED}, created_by, {_FEW} AS whole, CASE WHEN {_FEW} THEN {STATE} ELSE '' END AS state
FROM (SELECT * FROM unnest($1::text[]) LIMIT cardinality($1::text[])) AS wanted(name) JOIN topics USING (name)
WHERE kind <> 'deleted' ORDER BY id FOR NO KEY UPDATE OF topics
"""  # noqa: S608 - constants of the code

_READ_FOR = f"SELECT {_LOCKED}, {_FEW} AS whole FROM topics WHERE name = ANY($1::text[]) AND kind <> 'deleted'"  # noqa: S608 - constants

_MAKE_INBOXES = """
WITH made AS (
    INSERT INTO topics (id, name, kind, visibility, email_default, created_at, updated_at)
    SELECT gen_random_uuid(), name, 'inbox', 'private', 'unread', $2, $2
    FROM unnest($1::text[]) AS wanted(name) ORDER BY name
    ON CONFLICT (name) DO NOTHING
    RETURNING id, substr(name, 6) AS owner, last_seq
), subscribed AS (
    INSERT INTO subscriptions (topic_id, user_id, lasting, email_mode, first_seq, acked_up_to, created_at)
    SELECT id, owner, true, 'unread', last_seq + 1, last_seq, $2 FROM made ORDER BY id
    RETURNING user_id
)
SELECT user_id FROM subscribed
"""


async def read_topics(connection: asyncpg.Connection, names: Iterable[str]) -> dict[str, TopicRow]:
    """Return the topics of these names that exist."""
    return {row["name"]: topic_row(row) for row in await connection.fetch(_READ, list(names))}


async def lock_topic_rows(
    connection: asyncpg.Connection, names: Iterable[str], principals: Iterable[Principal]
) -> dict[str, TopicRow]:
    """As :func:`read_topics`, and lock the rows (with ``last_seq``) until the transaction ends.

    Long lists are read as far as they name one of ``principals``.
    """
    rows = await connection.fetch(LOCK_TOPICS, list(names), _grants_of_all(principals))
    return {row["name"]: topic_row(row, row["state"], row["created_by"], whole=row["whole"]) for row in rows}


async def topics_for(
    connection: asyncpg.Connection, names: Iterable[str], principals: Iterable[Principal]
) -> dict[str, TopicRow]:
    """Return the topics of these names, with their lists as :func:`lock_topic_rows` does."""
    rows = await connection.fetch(_READ_FOR, list(names), _grants_of_all(principals))
    return {row["name"]: topic_row(row, whole=row["whole"]) for row in rows}


def _grants_of_all(principals: Iterable[Principal]) -> list[str]:
    return sorted({grant for principal in principals for grant in grants_of(principal)})


async def read_topic(connection: asyncpg.Connection, name: str) -> TopicRow:
    """Return one topic. Raises :class:`NotFound`."""
    topics = await read_topics(connection, [name])
    if name not in topics:
        raise topic_not_found(name)
    return topics[name]


async def existing_inboxes(
    connection: asyncpg.Connection, users: Iterable[str], now: datetime, *, create: bool
) -> list[str]:
    """Return those of ``users`` who have an inbox; with ``create`` that is each of them."""
    names = {inbox_topic(user): user for user in users}
    found = await read_topics(connection, names)
    if create and (missing := names.keys() - found.keys()):
        await create_inboxes(connection, missing, now)
        return list(names.values())
    return [names[name] for name in found]


async def create_inboxes(connection: asyncpg.Connection, names: Iterable[str], now: datetime) -> None:
    """Create the missing inbox topics, each with its owner's subscription. Do not call within a transaction."""
    rows = await connection.fetch(_MAKE_INBOXES, sorted(set(names)), now)
    if rows:
        await bus.send(connection, wakeups.subscriptions_changed([row["user_id"] for row in rows]))


async def read_or_create(
    connection: asyncpg.Connection, names: Iterable[str], callers: Collection[Principal], now: datetime
) -> dict[str, TopicRow]:
    """Return the topics of these names, as :func:`topics_for` does; create missing inboxes of ``callers``."""
    wanted = set(names)
    topics = await topics_for(connection, wanted, callers)
    own = {inbox_topic(caller.id) for caller in callers}
    if missing := {name for name in wanted if name.startswith(INBOX_PREFIX)} & own - topics.keys():
        await create_inboxes(connection, missing, now)
        topics |= await topics_for(connection, missing, callers)
    return topics


async def topic_for(connection: asyncpg.Connection, principal: Principal, name: str, now: datetime) -> TopicRow:
    """Return one topic to a caller whose credential reads it; the caller's own inbox is created where it is missing.

    The rights to the topic itself are not checked. Raises :class:`Forbidden` or :class:`NotFound`.
    """
    principal.require_scope("read", name)
    topics = await read_or_create(connection, [name], [principal], now)
    return topics.get(name) or await read_topic(connection, name)


def topic_row(row: asyncpg.Record, state: str = "", created_by: str | None = None, *, whole: bool = True) -> TopicRow:
    """Return the columns of ``row`` that permissions need; ``whole``: its lists are."""
    return TopicRow(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        visibility=row["visibility"],
        creators=tuple(row["creators"]),
        publishers=tuple(row["publishers"]),
        readers=tuple(row["readers"]),
        paused=row["paused"],
        resource=row["resource"],
        created_by=created_by,
        last_seq=row["last_seq"],
        pruned_seq=row["pruned_seq"],
        email_default=row["email_default"],
        max_count=row["retention_max_count"],
        state=state,
        whole=whole,
        updated_at=row["updated_at"],
    )
