"""What is shown to people has something that can be seen."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter

from notifyx_common.contracts.auth import Name
from notifyx_common.contracts.store.log import NewNotification, require_content
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_as, parse_model
from notifyx_topics.visible import is_visible

UNSEEN = [
    " ", "\t\n", "\u00a0\u2003", "\u200b", "\ufeff\u200d", "\u2028\u2029", "\u0301", "\ufe0f", "\u3164", "\u2800",
    "\u200b" * 5000, "\U000e0041", "\x1f", "\x7f",
]  # fmt: skip
SEEN = ["a", ".", "\u200ba", "e\u0301", "\u0645", "\u4e2d", "\u2600\ufe0f", " " * 5000 + "x", "\ue000", "0", "!", "~"]


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_a_text_of_unseen_characters_is_refused(text: str) -> None:
    assert not is_visible(text)
    for notification in (NewNotification(title=text[:200]), NewNotification(body=text), NewNotification()):
        with pytest.raises(InvalidRequest) as rejected:
            require_content(notification)
        assert rejected.value.code == "empty_notification"
    require_content(NewNotification(title=text[:200], data={"a": 1}))
    require_content(NewNotification(title=text[:200], body="seen"))


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_a_text_with_a_character_that_is_seen_is_accepted(text: str) -> None:
    assert is_visible(text)
    require_content(NewNotification(body=text))


@pytest.mark.parametrize(("kind", "more"), [(NewTopic, {"name": "t"}), (TopicPatch, {})])
def test_the_title_of_a_topic_is_empty_or_seen(kind: type[BaseModel], more: dict[str, str]) -> None:
    for title in ("", "Orders", "\u0645"):
        parse_model(kind, {**more, "title": title})
    with pytest.raises(InvalidRequest, match="title: This has only spaces and characters that cannot be seen"):
        parse_model(kind, {**more, "title": "\u200b"})


def test_the_name_of_a_person_is_empty_or_seen() -> None:
    names: TypeAdapter[str] = TypeAdapter(Name)
    assert [parse_as(names, name) for name in ("", " Ann ")] == ["", "Ann"]
    for unseen in ("  ", "\u200b\u2060"):
        with pytest.raises(InvalidRequest, match="cannot be seen"):
            parse_as(names, unseen)
