"""Errors of the store, beside those that every service shares.

::

    Conflict
    ├── TopicExists              topic_exists
    ├── TooManyTopics            too_many_topics
    ├── TooManySubscriptions     too_many_subscriptions
    ├── TopicPaused              topic_paused
    ├── TopicOwnedByResource     topic_owned_by_resource
    ├── ClaimedByOtherResource   claimed_by_other_resource
    ├── InboxFull                inbox_full
    ├── AccountStorageFull       account_storage_full
    └── IdempotencyConflict      idempotency_conflict
"""

from __future__ import annotations

from notifyx_common.errors import Conflict, NotFound


class TopicExists(Conflict):
    """The name is in use, perhaps by a topic that the caller may not see."""

    code = "topic_exists"


class TooManyTopics(Conflict):
    """The user has created as many topics as this deployment allows."""

    code = "too_many_topics"


class TooManySubscriptions(Conflict):
    """The user has as many subscriptions as the deployment allows."""

    code = "too_many_subscriptions"


class TopicPaused(Conflict):
    """The topic accepts no publishes now."""

    code = "topic_paused"


class TopicOwnedByResource(Conflict):
    """The topic is declared by a NotifyxTopic resource and can only be changed there."""

    code = "topic_owned_by_resource"


class ClaimedByOtherResource(Conflict):
    """Another NotifyxTopic resource has declared this topic."""

    code = "claimed_by_other_resource"


class InboxFull(Conflict):
    """The inbox holds its maximum of unread notifications; it never removes one of them to accept another."""

    code = "inbox_full"


class AccountStorageFull(Conflict):
    """The account that created the topic has stored as much as one account may."""

    code = "account_storage_full"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before, for another notification."""

    code = "idempotency_conflict"


def user_not_found() -> NotFound:
    """Return the error for the inbox of a user who is not known to exist."""
    return NotFound("There is no such user.", code="user_not_found")


def topic_not_found(name: str) -> NotFound:
    """Return the error for a topic that does not exist, or whose existence the caller may not know."""
    return NotFound(f"There is no topic '{name}'.", code="topic_not_found")
