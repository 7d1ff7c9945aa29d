"""Names of topics in paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from notifyx_common.errors import NotFound
from notifyx_gateway.rest.parameters import topic_name
from notifyx_topics.names import TopicName


class Named(BaseModel):
    name: TopicName


@given(st.text(st.characters(codec="ascii"), max_size=140) | st.from_regex(r"[a-z0-9._-]{0,130}", fullmatch=True))
def test_a_path_takes_exactly_the_names_a_topic_can_have(name: str) -> None:
    try:
        Named(name=name)
    except ValidationError:
        with pytest.raises(NotFound):
            topic_name(name if not name.startswith("user:") else "")
    else:
        assert topic_name(name) == name
        assert name.strip(".")


def test_ones_own_inbox_has_a_short_name() -> None:
    assert topic_name("user:me", inbox_of="7") == "user:7"
    assert topic_name("user:8") == "user:8"
    for wrong in ("user:", "user:a/b", "user:" + "x" * 129, "..", "", "a\n"):
        with pytest.raises(NotFound):
            topic_name(wrong)
