"""Who may do what with a topic, decided from the topic's row and the proven principal alone.

A private topic does not exist for those who may do nothing with it: they get 404. Those who may do something else
with it get 403. A credential's scopes and topic patterns narrow what its owner may do, never widen it. They are checked
before the topic is looked up, so that a credential for other topics does not learn whether it exists.

An inbox (``user:<id>``) is read by its owner only, admins not excepted; anyone signed in publishes to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self
from uuid import UUID

from notifyx_common.errors import Forbidden
from notifyx_common.principal import Principal
from notifyx_store.base.errors import topic_not_found
from notifyx_topics.email_addresses import address_spellings, grant_key
from notifyx_topics.names import INBOX_PREFIX

ANYONE = "*"
SERVICE_PREFIX = "system:"
"""Begins the ids of ServiceAccounts and parts of the platform."""


class SettingsVersion(NamedTuple):
    """The version of a topic's settings, and whether by these everyone who is signed in may read it.

    It is compared for equality only: clocks of several nodes make no order.
    """

    updated_at: datetime | None
    """When they last changed; ``None`` for no topic."""

    public: bool

    @property
    def id(self) -> str:
        """Return the version as gateways are told it; empty for no topic."""
        return "" if self.updated_at is None else self.updated_at.isoformat()

    @classmethod
    def of(cls, updated_at: datetime | None, visibility: str | None) -> Self:
        """Return the version of a topic whose settings last changed at ``updated_at``."""
        return cls(updated_at, visibility == "public")


@dataclass(frozen=True, slots=True)
class TopicRow:
    """The columns of a topic that permissions and the log depend on.

    ``state`` is the text of :data:`~notifyx_store.topics.rows.STATE`, and ``created_by`` the user who created it; both
    only where they were read. ``whole``: the lists have all of their entries, and not those alone that may match a
    caller.
    """

    id: UUID
    name: str
    kind: str = "topic"
    visibility: str = "public"
    creators: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    paused: bool = False
    resource: str | None = None
    created_by: str | None = None
    last_seq: int = 0
    pruned_seq: int = 0
    email_default: str = "never"
    max_count: int = 100_000
    state: str = ""
    whole: bool = True
    updated_at: datetime | None = None

    @property
    def version(self) -> SettingsVersion:
        """Return the version of the topic's settings."""
        return SettingsVersion.of(self.updated_at, self.visibility)

    @property
    def is_inbox(self) -> bool:
        """Return whether this is a user's own inbox."""
        return self.kind == "inbox"

    @property
    def owner(self) -> str:
        """Return the user whose inbox this is."""
        return self.name.removeprefix(INBOX_PREFIX)


def may_manage(principal: Principal, topic: TopicRow) -> bool:
    """Return whether the caller is one of the topic's creators, or an admin. Nobody manages an inbox."""
    return not topic.is_inbox and (principal.is_admin or is_granted(principal, topic.creators))


def may_publish(principal: Principal, topic: TopicRow) -> bool:
    """Return whether the caller may publish to the topic, scopes aside."""
    return topic.is_inbox or may_manage(principal, topic) or is_granted(principal, topic.publishers)


def may_read(principal: Principal, topic: TopicRow) -> bool:
    """Return whether the caller may read the topic, scopes aside."""
    if topic.is_inbox:
        return principal.id == topic.owner
    return topic.visibility == "public" or may_manage(principal, topic) or is_granted(principal, topic.readers)


def may_see(principal: Principal, topic: TopicRow) -> bool:
    """Return whether the caller may know that the topic exists."""
    if topic.is_inbox:
        return principal.id == topic.owner
    return may_read(principal, topic) or may_publish(principal, topic)


def check_read(principal: Principal, topic: TopicRow) -> None:
    """Raise :class:`NotFound` or :class:`Forbidden` unless the caller may read the topic."""
    if not may_see(principal, topic):
        raise topic_not_found(topic.name)
    principal.require_scope("read", topic.name)
    if not may_read(principal, topic):
        raise Forbidden(f"You may publish to '{topic.name}', but not read it.", code="not_a_reader")


def check_log(principal: Principal, topic: TopicRow) -> None:
    """Raise as :func:`check_read` does. The platform may always read: for consumers whose join was checked."""
    if principal.kind != "system":
        check_read(principal, topic)


def check_publish(principal: Principal, topic: TopicRow) -> None:
    """Raise :class:`NotFound` or :class:`Forbidden` unless the caller may publish to the topic."""
    if not topic.is_inbox and not may_see(principal, topic):
        raise topic_not_found(topic.name)
    principal.require_scope("publish", topic.name)
    if not may_publish(principal, topic):
        raise Forbidden(f"You may not publish to '{topic.name}'.", code="not_a_publisher")


def check_manage(principal: Principal, topic: TopicRow) -> None:
    """Raise :class:`NotFound` or :class:`Forbidden` unless the caller may change the topic and see who uses it."""
    if not may_see(principal, topic):
        raise topic_not_found(topic.name)
    principal.require_scope("manage", topic.name)
    if topic.is_inbox:
        raise Forbidden("An inbox cannot be changed or deleted.", code="inbox_is_fixed")
    if not may_manage(principal, topic):
        raise Forbidden(f"You are not one of the creators of '{topic.name}'.", code="not_a_creator")


def is_granted(principal: Principal, grants: Iterable[str]) -> bool:
    """Return whether an allow-list has an entry that matches the caller."""
    own = grants_of(principal)
    return any(entry in own for entry in grants)


def grants_of(principal: Principal) -> list[str]:
    """Return the allow-list entries that match the caller, as :func:`normalise` writes them."""
    return [ANYONE, principal.id, *principal.verified_emails]


def emails_of(principal: Principal) -> str:
    """Return the caller's verified email in all spellings, for :func:`~notifyx_store.topics.rows.columns_for`."""
    return " ".join(principal.verified_emails)


def email_identity(principal: Principal) -> str:
    """Return the hash of the caller's verified email, else ``""``: allow-lists that name it are applied later, too."""
    return next(map(_email_hash, principal.verified_emails), "")


def email_identities(entry: str) -> list[str]:
    """Return what :func:`email_identity` may have been for a caller whom an entry of an allow-list names by email."""
    return [_email_hash(email) for email in address_spellings(entry)] if "@" in entry else []


def normalise(grants: Iterable[str]) -> list[str]:
    """Return allow-list entries as they are stored: each once, in the given order, emails in lower case."""
    once = {grant_key(entry): entry for entry in reversed(list(grants))}
    return [address_spellings(entry)[0] if "@" in entry else entry for entry in reversed(once.values())]


def _email_hash(email: str) -> str:
    return hashlib.blake2b(email.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
