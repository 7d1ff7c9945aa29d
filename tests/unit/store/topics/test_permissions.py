"""Who may do what, as a table."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from notifyx_common.errors import NotifyxError
from notifyx_common.principal import Principal, system_principal
from notifyx_store.topics.permissions import (
    TopicRow,
    check_log,
    check_manage,
    check_publish,
    check_read,
    email_identities,
    email_identity,
    grants_of,
    normalise,
)

CHECKS: dict[str, Callable[[Principal, TopicRow], None]] = {
    "read": check_read,
    "publish": check_publish,
    "manage": check_manage,
}
PEOPLE = {
    "creator": Principal(id="creator"),
    "publisher": Principal(id="publisher"),
    "reader": Principal(id="reader", email="Reader@Example.com", email_verified=True),
    "unproven": Principal(id="unproven", email="reader@example.com", email_verified=False),
    "stranger": Principal(id="stranger"),
    "admin": Principal(id="admin", role="admin"),
    "admin's key": Principal(id="admin", role="admin", kind="api_key"),
    "system": system_principal("prober"),
    "read-only key": Principal(id="creator", kind="api_key", scopes=frozenset({"read"})),
    "other key": Principal(id="creator", kind="api_key", topics=("alerts.*",)),
}
PUBLIC = TopicRow(UUID(int=1), "news", creators=("creator",), publishers=("publisher",))
PRIVATE = TopicRow(
    UUID(int=2),
    "plans",
    visibility="private",
    creators=("creator",),
    publishers=("publisher",),
    readers=("reader@example.com",),
)
OPEN = TopicRow(UUID(int=3), "wall", visibility="private", publishers=("*",), readers=("*",))
INBOX = TopicRow(UUID(int=4), "user:creator", kind="inbox", visibility="private")

# person: (read, publish, manage) as the status of the refusal, 0 where allowed
MATRIX: dict[str, tuple[TopicRow, dict[str, tuple[int, int, int]]]] = {
    "public": (
        PUBLIC,
        {
            "creator": (0, 0, 0),
            "publisher": (0, 0, 403),
            "reader": (0, 403, 403),
            "stranger": (0, 403, 403),
            "admin": (0, 0, 0),
            "admin's key": (0, 403, 403),
            "system": (0, 0, 0),
            "read-only key": (0, 403, 403),
            "other key": (403, 403, 403),
        },
    ),
    "private": (
        PRIVATE,
        {
            "creator": (0, 0, 0),
            "publisher": (403, 0, 403),
            "reader": (0, 403, 403),
            "unproven": (404, 404, 404),
            "stranger": (404, 404, 404),
            "admin": (0, 0, 0),
            "admin's key": (404, 404, 404),
            "system": (0, 0, 0),
            "read-only key": (0, 403, 403),
            "other key": (403, 403, 403),
        },
    ),
    "open": (OPEN, {"stranger": (0, 0, 403), "system": (0, 0, 0)}),
    "inbox": (
        INBOX,
        {
            "creator": (0, 0, 403),
            "stranger": (404, 0, 404),
            "admin": (404, 0, 404),
            "system": (404, 0, 404),
            "read-only key": (0, 403, 403),
            "other key": (403, 403, 403),
        },
    ),
}


@pytest.mark.parametrize(
    ("topic", "person", "action", "status"),
    [
        (topic, person, action, status)
        for topic, (_, rows) in MATRIX.items()
        for person, row in rows.items()
        for action, status in zip(CHECKS, row, strict=True)
    ],
)
def test_the_matrix(topic: str, person: str, action: str, status: int) -> None:
    try:
        CHECKS[action](PEOPLE[person], MATRIX[topic][0])
        refused = 0
    except NotifyxError as error:
        refused = error.http_status
    assert refused == status


def test_an_invisible_topic_and_a_missing_one_cannot_be_told_apart() -> None:
    with pytest.raises(NotifyxError) as refusal:
        check_publish(PEOPLE["stranger"], PRIVATE)
    assert refusal.value.to_problem() == {
        "type": "https://notifyx.dev/errors/topic_not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no topic 'plans'.",
        "code": "topic_not_found",
    }


def test_only_a_verified_email_identifies() -> None:
    assert "reader@example.com" in grants_of(PEOPLE["reader"])
    assert grants_of(PEOPLE["unproven"]) == ["*", "unproven"]
    assert email_identities("reader@EXAMPLE.com") == [email_identity(PEOPLE["reader"])]
    assert email_identities("reader") == []
    assert email_identity(PEOPLE["unproven"]) == ""


def test_allow_lists_keep_their_order_and_lower_emails_only() -> None:
    assert normalise(["B@x.org", "User-A", "b@X.org", "User-A"]) == ["b@x.org", "User-A"]


def test_a_log_is_read_by_who_may_and_by_the_platform_for_them() -> None:
    check_log(PEOPLE["system"], INBOX)
    check_log(PEOPLE["creator"], INBOX)
    for name in ("stranger", "admin"):
        with pytest.raises(NotifyxError) as raised:
            check_log(PEOPLE[name], INBOX)
        assert raised.value.http_status == 404
