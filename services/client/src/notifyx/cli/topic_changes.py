"""The changes of a topic, through the public API, that make it match its file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from notifyx.models import Topic, User
from notifyx_topics.email_addresses import address_key, grant_key
from notifyx_topics.resource import TopicSpec

LISTS = ("creators", "publishers", "readers")
"""The fields of a topic that name users."""


def creation(spec: TopicSpec) -> dict[str, Any]:
    """Return the fields for the creation of the topic."""
    return {
        "title": spec.title,
        "visibility": spec.visibility,
        "publishers": list(spec.publishers),
        "readers": list(spec.readers),
        "retention": spec.retention.model_dump(),
        "email": spec.email.model_dump(),
    }


def changes(spec: TopicSpec, topic: Topic, caller: User) -> dict[str, Any]:
    """Return the fields in which ``topic`` differs from ``spec``, with their values in ``spec``.

    Without ``owners`` in the file, the creators stay as they are. With them, the caller is added, so as not to lose
    access (an administrator does not need that).
    """
    desired = {**creation(spec), "paused": spec.paused}
    if spec.owners:
        own = () if caller.role == "admin" or _names(caller) & _normalized(spec.owners) else (caller.id,)
        desired["creators"] = [*spec.owners, *own]
    current = topic.model_dump(mode="json")
    return {
        field: value
        for field, value in desired.items()
        if (_normalized(value) != _normalized(current[field]) if field in LISTS else value != current[field])
    }


def names_address(fields: Mapping[str, Any]) -> bool:
    """Return whether a list in what is written of a topic names an email address."""
    return any("@" in entry for name in LISTS for entry in fields.get(name, ()))


def _names(user: User) -> set[str]:
    return {user.id, address_key(user.email)} if user.email_verified else {user.id}


def _normalized(grants: Iterable[str]) -> set[str]:
    # The server stores emails in lower case and each entry once, in any order.
    return set(map(grant_key, grants))
