"""What has to change so that a topic is what its file says, through the public API. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from notifyx.shapes import Topic, User
from notifyx_topics.resource import TopicSpec


def creation(spec: TopicSpec) -> dict[str, Any]:
    """The fields to make the topic with."""
    return {
        "title": spec.title,
        "visibility": spec.visibility,
        "publishers": list(spec.publishers),
        "readers": list(spec.readers),
        "retention": spec.retention.model_dump(),
        "email": spec.email.model_dump(),
    }


def changes(spec: TopicSpec, topic: Topic, caller: User) -> dict[str, Any]:
    """The fields in which ``topic`` is not what ``spec`` says, with what they should be.

    Owners that are not named stay as they are; where some are, the caller stays one too, and does not lock themselves
    out (an administrator needs no place in the list).
    """
    wanted = {**creation(spec), "paused": spec.paused}
    if spec.owners:
        own = () if caller.role == "admin" or _names(caller) & _kept(spec.owners) else (caller.id,)
        wanted["creators"] = [*spec.owners, *own]
    has = topic.model_dump(mode="json")
    lists = ("creators", "publishers", "readers")
    return {
        field: value
        for field, value in wanted.items()
        if (_kept(value) != _kept(has[field]) if field in lists else value != has[field])
    }


def _names(user: User) -> set[str]:
    return {user.id, user.email.lower()} if user.email_verified else {user.id}


def _kept(grants: Iterable[str]) -> set[str]:
    # The server keeps emails in lower case and each entry once; their order means nothing.
    return {entry.lower() if "@" in entry else entry for entry in grants}
