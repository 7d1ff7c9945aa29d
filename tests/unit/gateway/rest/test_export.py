"""Which topics are a person's own in the export of their data."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from notifyx_common.contracts.auth import User
from notifyx_common.contracts.store.topics import Topic, Topics
from notifyx_common.principal import Principal
from notifyx_gateway.rest.export import Exporter
from notifyx_topics.settings import EmailPolicy, Retention

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class OneTopic:
    """A store with one topic, that ``creator`` created."""

    def __init__(self, creator: str) -> None:
        self._topic = Topic(
            id="t", name="plans", title="", visibility="public", creators=[creator], publishers=[], readers=[],
            retention=Retention(), email=EmailPolicy(), paused=False, resource=None, last_seq=0, first_seq=1,
            created_at=NOW, can_publish=True, can_manage=True,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def page_turn(self, principal: Principal) -> AsyncIterator[None]:
        yield

    async def topics(self, principal: Principal, **page: Any) -> Topics:
        return Topics(items=[self._topic], next=None)


@pytest.mark.parametrize(
    ("creator", "verified", "own"),
    [
        ("x@xn--exmple-cua.com", True, True),
        ("x@ex\u00e4mple.com", True, True),
        ("x@ex\u00e4mple.com", False, False),
        ("u", False, True),
        ("x@example.com", True, False),
    ],
)
async def test_a_topic_is_ones_own_whose_creators_name_the_person(creator: str, *, verified: bool, own: bool) -> None:
    account = User(
        id="u", email="X@ex\u00c4mple.com", name="", role="user", email_verified=verified, created_at=NOW, time_zone=""
    )
    exporter = Exporter(cast(Any, None), cast(Any, OneTopic(creator)), Principal(id="u"), NOW)
    found = [topic["name"] async for page in exporter._topics(account) for topic in page]
    assert found == (["plans"] if own else [])
