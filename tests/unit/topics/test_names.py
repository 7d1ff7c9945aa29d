"""One rule for a topic's name: whoever states it in another form says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.requests import RequestReader
from notifyx_common.contracts.store.topics import READ_TOPIC
from notifyx_common.errors import NotFound
from notifyx_gateway.rest.api.openapi import build_openapi
from notifyx_gateway.rest.api.operations import OPERATIONS
from notifyx_gateway.rest.parameters import topic_name as gateway_name
from notifyx_topics.names import MAX_NAME, NAME, RESERVED, AnyTopicName, TopicName, inbox_topic

ROOT = Path(__file__).parents[3]
CREATED: TypeAdapter[str] = TypeAdapter(TopicName)
ADDRESSED: TypeAdapter[str] = TypeAdapter(AnyTopicName)

GOOD = ["a", "0", "-", "_", ".a", "a.", "..a", "orders.eu-1", "x" * MAX_NAME]
BAD = ["", ".", "..", "...", "A", "a b", "a/b", "a\n", "ä", "a:b", "*", "x" * (MAX_NAME + 1), "x" * (MAX_NAME + 5)]
INBOXES = ["user:7", "user:system:probe", f"user:{'x' * MAX_NAME}"]
NO_INBOXES = ["user:", "user:a/b", "user:a b", "user:a\n", f"user:{'x' * (MAX_NAME + 1)}", "User:7", "users:7"]


def store_name(name: str) -> str:
    """Read a name as the store's routes do."""
    return RequestReader(READ_TOPIC).read({"name": name}, {}, None).name


def accepts(kind: TypeAdapter[str], name: str) -> bool:
    try:
        return kind.validate_python(name) == name
    except ValidationError:
        return False


def is_found(read: Any, name: str) -> bool:
    try:
        return bool(read(name) == name)
    except NotFound:
        return False


@pytest.mark.parametrize("name", [*GOOD, *BAD, *INBOXES, *NO_INBOXES])
def test_who_reads_names_agrees(name: str) -> None:
    assert accepts(CREATED, name) == (name in GOOD)
    addressed = name in GOOD or name in INBOXES
    assert accepts(ADDRESSED, name) == addressed
    assert is_found(gateway_name, name) == addressed
    assert is_found(store_name, name) == addressed


def test_an_inbox_is_named_after_its_user() -> None:
    assert inbox_topic("7") == "user:7"
    assert accepts(ADDRESSED, inbox_topic("7"))
    assert not accepts(CREATED, inbox_topic("7"))


def test_the_api_s_description_states_the_rule() -> None:
    document = build_openapi(OPERATIONS, "http://notifyx.example.com")
    parameters = document["paths"]["/api/v1/topics/{name}"]["get"]["parameters"]
    (stated,) = [one["schema"] for one in parameters if one["name"] == "name"]
    assert stated == {"type": "string", "pattern": f"^{NAME}$", "minLength": 1, "maxLength": MAX_NAME}


def test_the_web_client_states_the_rule() -> None:
    text = (ROOT / "services/web/src/features/topics/fields.ts").read_text()
    stated = re.findall(r"if \(/(\S+)/\.test\(name\) && name\.length <= (\d+)\)", text)
    assert stated == [(f"^{NAME}$", str(MAX_NAME))]


def test_the_resource_definition_bounds_the_length() -> None:
    """Everything else follows from what Kubernetes accepts as a name of an object."""
    (crd,) = yaml.safe_load((ROOT / "crds/notifyx.dev_notifyxtopics.yaml").read_text())["spec"]["versions"]
    rules = crd["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    (reserved,) = RESERVED
    assert [rule["rule"] for rule in rules] == [
        f"self.metadata.name.size() <= {MAX_NAME}",
        f"oldSelf.hasValue() || self.metadata.name != '{reserved}'",
    ]


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?){0,4}", fullmatch=True))
def test_what_kubernetes_accepts_as_a_name_is_one(name: str) -> None:
    assert accepts(CREATED, name)
