"""Creates, changes and deletes topics, for people through the API and for NotifyxTopic resources.

A topic has one owner at a time: its creators, or a resource. Ownership moves both ways (a resource claims a topic
and releases it) without any change to notifications, subscriptions or acknowledgements. What a resource owns is
read-only through the API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from notifyx_common.clock import Clock
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.database import CONNECTION
from notifyx_common.errors import Conflict, Forbidden, InvalidRequest
from notifyx_common.principal import Principal
from notifyx_store.base import bus, wakeups
from notifyx_store.base.errors import (
    ClaimedByOtherResource,
    TooManyTopics,
    TopicExists,
    TopicOwnedByResource,
    topic_not_found,
)
from notifyx_store.base.locking import LOCK_EXCLUSIVE, LOCK_SHARED
from notifyx_store.readers.subscriptions import DELETE_ACK_EXCEPTIONS, END_SUBSCRIPTIONS
from notifyx_store.topics.leaving import Settlement
from notifyx_store.topics.models import Topic
from notifyx_store.topics.permissions import (
    ANYONE,
    SERVICE_PREFIX,
    TopicRow,
    check_manage,
    email_identities,
    grants_of,
    normalise,
)
from notifyx_topics.email_addresses import grant_key
from notifyx_topics.settings import EmailPolicy, ResourceTopic, Retention

_LOST_READERS = """
SELECT id FROM subscriptions
WHERE topic_id = $1 AND ended_at IS NULL AND user_id <> ALL($2::text[]) AND identity <> ALL($3::text[])
ORDER BY id FOR UPDATE
"""

_SUBSCRIBING = """
SELECT user_id, identity FROM subscriptions
WHERE topic_id = $1 AND lasting AND ended_at IS NULL AND (user_id = ANY($2::text[]) OR identity = ANY($3::text[]))
"""

# The name is free at once, the subscriptions leave the ledger; the purge removes the data later (see purge.py).
_MARK_DELETED = """
UPDATE topics SET name = 'deleted:' || id, kind = 'deleted', visibility = 'private', creators = '{}', publishers = '{}',
                  readers = '{}', paused = true, resource = NULL, resource_uid = NULL, released_by = NULL,
                  email_seq = last_seq, updated_at = $2
WHERE id = $1
"""
_END_SUBSCRIPTIONS = """
WITH ended AS (
    UPDATE subscriptions SET lasting = false, ended_at = coalesce(ended_at, $2) WHERE topic_id = $1 RETURNING user_id
)
SELECT user_id FROM ended
"""


async def create_topic(principal: Principal, spec: NewTopic, clock: Clock, *, limit: int) -> None:
    """Create a topic whose creator is the caller, who may have created ``limit`` that still exist.

    Raises :class:`TopicExists`, :class:`TooManyTopics` or :class:`Forbidden`.
    """
    principal.require_scope("manage", spec.name)
    now = clock.now()
    user = None if principal.is_service else principal.id
    if user is not None and await Topic.filter(created_by=user, kind="topic").count() >= limit:
        raise TooManyTopics(f"You have created {limit} topics, the most that this deployment allows. Delete one first.")
    try:
        await Topic.create(
            name=spec.name,
            title=spec.title,
            visibility=spec.visibility,
            creators=[principal.id],
            created_by=user,
            publishers=normalise(spec.publishers),
            readers=normalise(spec.readers),
            created_at=now,
            updated_at=now,
            **_policies(spec.retention, spec.email),
        )
    except IntegrityError:
        raise TopicExists(f"The topic name '{spec.name}' is taken.") from None


async def change_topic(principal: Principal, name: str, patch: TopicPatch, clock: Clock) -> None:
    """Change the settings that ``patch`` contains.

    Raises :class:`NotFound`, :class:`Forbidden`, :class:`TopicOwnedByResource`, or :class:`InvalidRequest` for a new
    creator who does not subscribe.
    """
    changes: dict[str, Any] = patch.model_dump(exclude_none=True, exclude={"retention", "email"})
    for grants in ("creators", "publishers", "readers"):
        if grants in changes:
            changes[grants] = normalise(changes[grants])
    if "creators" in changes:
        changes["released_by"] = None
    changes |= _policies(patch.retention, patch.email)
    principal.require_scope("manage", name)
    async with in_transaction(CONNECTION) as client:
        topic = await _lock_topic(client, name)
        _check_change(principal, topic)
        await _check_new_creators(client, principal, topic, changes.get("creators", ()))
        await _apply(client, topic, changes, clock.now())


async def delete_topic(principal: Principal, name: str, clock: Clock) -> None:
    """Delete a topic with all its notifications.

    Raises :class:`NotFound`, :class:`Forbidden`, or :class:`TopicOwnedByResource`.
    """
    principal.require_scope("manage", name)
    async with in_transaction(CONNECTION) as client:
        topic = await _lock_topic(client, name, exclusive=True)
        _check_change(principal, topic)
        await _mark_deleted(client, topic, clock.now())


async def claim_topic(principal: Principal, name: str, spec: ResourceTopic, clock: Clock, *, adopt: bool) -> None:
    """Bring a topic to the state that a resource declares; create it where needed.

    A topic that no resource owns is acquired only with ``adopt``. A resource that was deleted and created again has
    another UID but the same name, and keeps its topic.
    Raises :class:`ClaimedByOtherResource`, :class:`TopicExists` or :class:`Forbidden`.
    """
    _check_system(principal)
    wanted: dict[str, Any] = {
        "title": spec.title,
        "visibility": spec.visibility,
        "creators": normalise(spec.owners),
        "publishers": normalise(spec.publishers),
        "readers": normalise(spec.readers),
        "paused": spec.paused,
        "resource": spec.resource,
        "resource_uid": spec.uid,
        "released_by": None,
        **_policies(spec.retention, spec.email),
    }
    for _ in range(3):
        now = clock.now()
        async with in_transaction(CONNECTION) as client:
            topic = await _lock_topic_or_none(client, name)
            if topic is not None:
                if topic.resource is not None and topic.resource_uid != spec.uid and topic.resource != spec.resource:
                    raise ClaimedByOtherResource(f"The topic '{name}' is declared by the resource {topic.resource}.")
                if topic.resource is None and not adopt:
                    raise TopicExists(f"The topic name '{name}' was taken through the API at the same time.")
                await _apply(client, topic, wanted, now)
                return
        try:
            await Topic.create(name=name, created_at=now, updated_at=now, **wanted)
        except IntegrityError:
            continue  # created at the same time: claim that one
        return
    raise Conflict(f"The topic '{name}' is being created and deleted by somebody else at the same time.")


async def release_topic(
    principal: Principal, name: str, policy: Literal["retain", "delete"], uid: str | None, clock: Clock
) -> None:
    """Release a topic that a resource owns: its creators own it again, or (policy delete) it is deleted.

    Do nothing for a topic that does not exist or that no resource owns. Raises :class:`ClaimedByOtherResource` where
    ``uid`` is given and another resource owns it, and :class:`Forbidden`.
    """
    _check_system(principal)
    async with in_transaction(CONNECTION) as client:
        topic = await _lock_topic_or_none(client, name, exclusive=policy == "delete")
        if topic is None or topic.resource is None:
            return
        if uid is not None and topic.resource_uid != uid:
            raise ClaimedByOtherResource(f"The topic '{name}' is declared by the resource {topic.resource}.")
        if policy == "delete":
            await _mark_deleted(client, topic, clock.now())
        else:
            released = {"resource": None, "resource_uid": None, "released_by": topic.resource}
            await _apply(client, topic, released, clock.now())


async def settle_topic(name: str, settle: Callable[[TopicRow], Settlement] | None, clock: Clock) -> bool:
    """Delete or change a topic as ``settle`` decides under its lock; ``None``: delete it, also an inbox.

    Return whether it was deleted.
    """
    async with in_transaction(CONNECTION) as client:
        topic = await _lock_topic_or_none(client, name, exclusive=True)
        if topic is None:
            return False
        wanted = Settlement(delete=True) if settle is None else settle(_row_of(topic))
        if wanted.delete:
            await _mark_deleted(client, topic, clock.now())
        elif wanted.changes:
            await _apply(client, topic, wanted.changes, clock.now())
        return wanted.delete


def _row_of(topic: Topic) -> TopicRow:
    """Return the columns of ``topic`` that permissions need."""
    return TopicRow(
        id=topic.id,
        name=topic.name,
        kind=topic.kind,
        visibility=topic.visibility,
        creators=tuple(topic.creators),
        publishers=tuple(topic.publishers),
        readers=tuple(topic.readers),
        paused=topic.paused,
        resource=topic.resource,
        last_seq=topic.last_seq,
        pruned_seq=topic.pruned_seq,
        email_default=topic.email_default,
        max_count=topic.retention_max_count,
    )


def restricted_readers(before: TopicRow, changes: Mapping[str, Any]) -> list[str] | None:
    """Return the allow-list that subscribers must be on after ``changes``; ``None`` if nobody lost access."""
    after = {
        "visibility": before.visibility,
        "creators": before.creators,
        "readers": before.readers,
        **{name: value for name, value in changes.items() if name in ("visibility", "creators", "readers")},
    }
    allowed = [*after["creators"], *after["readers"]]
    if after["visibility"] == "public" or "*" in allowed:
        return None
    was_open = before.visibility == "public" or "*" in (*before.creators, *before.readers)
    lost = set(map(grant_key, (*before.creators, *before.readers))).difference(map(grant_key, allowed))
    return allowed if was_open or lost else None


async def _check_new_creators(
    client: BaseDBAsyncClient, principal: Principal, topic: Topic, creators: Iterable[str]
) -> None:
    """Check that every person who becomes a creator subscribes. Nobody is made to manage what they never chose.

    An administrator may appoint anybody; a service is no person.
    """
    own = {grant_key(entry) for entry in (*topic.creators, *grants_of(principal))}
    added = [
        entry
        for entry in creators
        if grant_key(entry) not in own and entry != ANYONE and not entry.startswith(SERVICE_PREFIX)
    ]
    if principal.is_admin or not added:
        return
    names = {entry: {entry, *email_identities(entry)} for entry in added}
    _, found = await client.execute_query(_SUBSCRIBING, [topic.id, added, [*chain.from_iterable(names.values())]])
    subscribing = {name for row in found for name in (row["user_id"], row["identity"])}
    for entry in added:
        if subscribing.isdisjoint(names[entry]):
            reason = f"'{entry}' does not subscribe to this topic. Who subscribes can be made a creator; ask them to."
            raise InvalidRequest.of_field("creators", reason)


async def _apply(client: BaseDBAsyncClient, topic: Topic, changes: Mapping[str, Any], now: datetime) -> None:
    """Write what differs, notify the feeds, and end the subscriptions of users who may no longer read."""
    before = _row_of(topic)
    different = {name: value for name, value in changes.items() if getattr(topic, name) != value}
    if not different:
        return
    topic.update_from_dict({**different, "updated_at": now})
    await topic.save(using_db=client, update_fields=[*different, "updated_at"])
    await _notify(client, wakeups.topic_changed(topic.name))
    if (allowed := restricted_readers(before, different)) is not None:
        hashes = [identity for entry in allowed for identity in email_identities(entry)]
        _, gone = await client.execute_query(_LOST_READERS, [topic.id, allowed, hashes])
        if ids := [row["id"] for row in gone]:
            _, ended = await client.execute_query(END_SUBSCRIPTIONS, [ids, now])
            await client.execute_query(DELETE_ACK_EXCEPTIONS, [ids])
            await _notify(client, wakeups.subscriptions_changed([row["user_id"] for row in ended]))


async def _mark_deleted(client: BaseDBAsyncClient, topic: Topic, now: datetime) -> None:
    await client.execute_query(_MARK_DELETED, [topic.id, now])
    _, ended = await client.execute_query(_END_SUBSCRIPTIONS, [topic.id, now])
    users = sorted({row["user_id"] for row in ended})
    payloads = [*wakeups.topic_deleted(topic.id, topic.name), *wakeups.subscriptions_changed(users)]
    await _notify(client, payloads)


async def _notify(client: BaseDBAsyncClient, payloads: list[str]) -> None:
    async with client.acquire_connection() as connection:
        await bus.send(connection, payloads)


async def _lock_topic(client: BaseDBAsyncClient, name: str, *, exclusive: bool = False) -> Topic:
    topic = await _lock_topic_or_none(client, name, exclusive=exclusive)
    if topic is None:
        raise topic_not_found(name)
    return topic


async def _lock_topic_or_none(client: BaseDBAsyncClient, name: str, *, exclusive: bool = False) -> Topic | None:
    """Lock and return the topic's row, after its advisory lock (shared unless ``exclusive``), the order of all code."""
    found = await Topic.filter(name=name).using_db(client).only("id").get_or_none()
    if found is None:
        return None
    await client.execute_query(LOCK_EXCLUSIVE if exclusive else LOCK_SHARED, [[found.id]])
    rows = Topic.filter(id=found.id, name=name).using_db(client)
    return await rows.select_for_update(no_key=not exclusive).get_or_none()


def _check_change(principal: Principal, topic: Topic) -> None:
    check_manage(principal, _row_of(topic))
    if topic.resource is not None:
        raise TopicOwnedByResource(
            f"The topic '{topic.name}' is declared by the NotifyxTopic resource {topic.resource}; change it there."
        )


def _check_system(principal: Principal) -> None:
    if principal.kind != "system":
        raise Forbidden("Only the platform itself acts for resources.")


def _policies(retention: Retention | None, email: EmailPolicy | None) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if retention is not None:
        columns |= {
            "retention_max_age": retention.max_age_seconds,
            "retention_max_count": retention.max_count,
        }
    if email is not None:
        columns |= {
            "email_default": email.default,
            "email_unread_after": email.unread_after_seconds,
            "email_digest_every": email.digest_every_seconds,
        }
    return columns
