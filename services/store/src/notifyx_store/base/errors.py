"""What the store refuses, beyond the errors every service shares.

::

    Conflict
    ├── TopicExists              topic_exists
    ├── TopicPaused              topic_paused
    ├── TopicOwnedByResource     topic_owned_by_resource
    ├── ClaimedByOtherResource   claimed_by_other_resource
    └── IdempotencyConflict      idempotency_conflict
"""

from __future__ import annotations

from notifyx_common.errors import Conflict, NotFound


class TopicExists(Conflict):
    """The name is taken (perhaps by a topic the caller may not see)."""

    code = "topic_exists"


class TopicPaused(Conflict):
    """The topic takes no publishes now."""

    code = "topic_paused"


class TopicOwnedByResource(Conflict):
    """The topic is declared by a NotifyxTopic resource and can only be changed there."""

    code = "topic_owned_by_resource"


class ClaimedByOtherResource(Conflict):
    """Another NotifyxTopic resource has declared this topic."""

    code = "claimed_by_other_resource"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before, for something else."""

    code = "idempotency_conflict"


def topic_not_found(name: str) -> NotFound:
    """What is said of a topic that is not there, and of one the caller may not know of."""
    return NotFound(f"There is no topic '{name}'.", code="topic_not_found")
