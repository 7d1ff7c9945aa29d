"""Wake-ups fit into NOTIFY and say what was put into them."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_store.base import wakeups


def test_many_entries_are_split_below_the_limit_and_all_arrive() -> None:
    heads = [(uuid4(), n) for n in range(1000)]
    payloads = wakeups.new_rows(heads, "origin")
    assert len(payloads) > 1
    assert all(len(payload.encode()) < 8000 for payload in payloads)
    parsed = [wakeups.parse(payload) for payload in payloads]
    assert [head for one in parsed if one is not None for head in one.rows] == heads
    assert all(one is not None and one.origin == "origin" for one in parsed)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=320), max_size=200))
def test_any_user_name_survives(users: list[str]) -> None:
    payloads = wakeups.subscriptions_changed(users)
    assert all(len(payload.encode()) < 8000 for payload in payloads)
    parsed = [wakeups.parse(payload) for payload in payloads]
    assert [user for one in parsed if one is not None for user in one.users] == users


def test_the_other_kinds() -> None:
    topic = UUID(int=5)
    assert wakeups.parse(wakeups.acknowledged([(topic, "u")])[0]) == wakeups.Wakeup(acked=[(topic, "u")])
    assert wakeups.parse(wakeups.topic_changed("t")[0]) == wakeups.Wakeup(changed=["t"])
    assert wakeups.parse(wakeups.topic_deleted(topic, "t")[0]) == wakeups.Wakeup(deleted=[(topic, "t")])
    assert wakeups.parse(wakeups.direct_messages([("u", "v")])[0]) == wakeups.Wakeup(direct=[("u", "v")])
    assert wakeups.new_rows([]) == []


@pytest.mark.parametrize("payload", ["", "3", "[]", "{", '{"t":[["x",1]]}', '{"t":5}', '{"a":[["x"]]}'])
def test_what_is_not_ours_is_ignored(payload: str) -> None:
    assert wakeups.parse(payload) is None
