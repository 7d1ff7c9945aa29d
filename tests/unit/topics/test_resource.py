"""NotifyxTopic documents: read strictly, refused in sentences."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_topics.resource import InvalidResource, parse

WHOLE: dict[str, Any] = {
    "apiVersion": "notifyx.dev/v1alpha1",
    "kind": "NotifyxTopic",
    "metadata": {
        "name": "orders",
        "namespace": "shop",
        "uid": "u-1",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"team": "shop"},
    },
    "spec": {
        "title": "Orders",
        "owners": ["ada@example.com"],
        "publishers": ["*", "system:serviceaccount:shop:cart"],
        "readers": ["bob@example.com"],
        "visibility": "private",
        "retention": {"maxAgeSeconds": 3600, "maxCount": 10},
        "email": {"default": "unread", "unreadAfterSeconds": 30, "digestEverySeconds": 60},
        "demand": {"connections": 5, "publishesPerSecond": 6, "emailsPerMinute": 7},
        "deletionPolicy": "Delete",
        "paused": True,
    },
}


def test_every_field_reaches_the_store() -> None:
    resource = parse(WHOLE)
    assert resource.reference == "shop/orders"
    assert resource.created is not None
    assert resource.spec.deletion_policy == "Delete"
    assert resource.spec.demand.emails_per_minute == 7
    wish = resource.to_store().model_dump()
    assert wish == {
        "resource": "shop/orders",
        "uid": "u-1",
        "title": "Orders",
        "visibility": "private",
        "owners": ["ada@example.com"],
        "publishers": ["*", "system:serviceaccount:shop:cart"],
        "readers": ["bob@example.com"],
        "retention": {"max_age_seconds": 3600, "max_count": 10},
        "email": {"default": "unread", "unread_after_seconds": 30, "digest_every_seconds": 60},
        "paused": True,
    }


def test_a_spec_that_is_null_is_as_absent_as_in_kubernetes() -> None:
    bare = {name: WHOLE[name] for name in ("apiVersion", "kind", "metadata")}
    assert parse({**bare, "spec": None}) == parse({**bare, "spec": {}}) == parse(bare)


def test_only_a_name_is_needed() -> None:
    resource = parse({**WHOLE, "metadata": {"name": "x"}, "spec": {}})
    assert resource.reference == "default/x"
    assert resource.spec.deletion_policy == "Retain"
    assert resource.spec.visibility == "public"


def _with(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(WHOLE)
    *parents, last = path.split(".")
    part = document
    for name in parents:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (_with("spec.publisher", ["*"]), "spec.publisher: there is no such field (is it publishers?)."),
        (_with("spec.retention.maxAge", 5), "spec.retention.maxAge: there is no such field (is it maxAgeSeconds?)."),
        (_with("spec.retention.max_count", 5), "spec.retention.max_count: there is no such field (is it maxCount?)."),
        (_with("spec.zzz", 5), "spec.zzz: there is no such field."),
        (_with("kind", "Topic"), "kind: this must be 'NotifyxTopic'."),
        (_with("apiVersion", "v1"), "apiVersion: this must be 'notifyx.dev/v1alpha1'."),
        (_with("metadata.name", None), "metadata.name is missing."),
        (_with("metadata", None), "metadata is missing."),
        (_with("spec.title", 5), "spec.title: this must be text."),
        (_with("spec.paused", "yes"), "spec.paused: this must be true or false."),
        (_with("spec.retention.maxCount", "5"), "spec.retention.maxCount: this must be a whole number."),
        (_with("spec.retention.maxCount", 0), "spec.retention.maxCount: this must be at least 1."),
        (_with("spec.visibility", "secret"), "spec.visibility: this must be 'public' or 'private'."),
        (_with("spec.deletionPolicy", "delete"), "spec.deletionPolicy: this must be 'Retain' or 'Delete'."),
        (_with("spec.owners", "ada@example.com"), "spec.owners: this must be a list."),
        (_with("spec.owners", ["two words"]), "spec.owners.0: this is a user's id, a verified email address"),
        (_with("spec.title", {1: 2}), "the document holds what JSON has no form for."),
    ],
)
def test_a_wrong_field_is_named(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        parse(document)
    assert sentence in caught.value.reason


@pytest.mark.parametrize("name", ["", "Upper", "a b", "user:ada", "..", "a/b", "x" * 129, "é"])
def test_a_name_no_topic_can_have(name: str) -> None:
    with pytest.raises(InvalidResource, match=r"metadata\.name"):
        parse(_with("metadata.name", name))


def test_many_wrong_fields_are_counted() -> None:
    document = copy.deepcopy(WHOLE)
    document["spec"] = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    with pytest.raises(InvalidResource, match="; and 2 more"):
        parse(document)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(st.sampled_from([*WHOLE, "other"]), _JSON))
def test_whatever_yaml_holds_is_read_or_refused(document: dict[str, Any]) -> None:
    sentence = "."
    try:
        parse(document)
    except InvalidResource as error:
        sentence = error.reason
    assert sentence.endswith(".")
