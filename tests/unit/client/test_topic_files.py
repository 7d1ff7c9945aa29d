"""NotifyxTopic files for ``notifyx topics apply``: the same YAML as kubectl's, read as strictly."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from notifyx.cli.exits import UsageProblem
from notifyx.cli.topic_changes import changes, creation
from notifyx.cli.topic_files import read_topics
from notifyx.models import Topic, User
from notifyx_common.contracts.store.topics import NewTopic, TopicPatch
from notifyx_topics.resource import TopicSpec

ROOT = Path(__file__).parents[3]
HEAD = "apiVersion: notifyx.dev/v1alpha1\nkind: NotifyxTopic\n"
ADA = User(id="u-1", email="Ada@example.com", name="Ada", role="user", email_verified=True)


def read(text: str) -> dict[str, TopicSpec]:
    return read_topics(Path("-"), io.StringIO(text))


def topic(spec: TopicSpec, **fields: Any) -> Topic:
    """The topic that ``spec`` makes."""
    return Topic.model_validate(
        {
            "id": "t", "name": "t", "creators": ["u-1"], "resource": None, "last_seq": 0, "first_seq": 1,
            "paused": False, "created_at": "2026-01-01T00:00:00Z", "can_publish": True, "can_manage": True,
            **creation(spec), **fields,
        }
    )  # fmt: skip


def test_it_is_the_resource_with_its_defaults() -> None:
    (crd,) = yaml.safe_load((ROOT / "crds/notifyx.dev_notifyxtopics.yaml").read_text())["spec"]["versions"]
    fields = crd["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert {field.alias or name for name, field in TopicSpec.model_fields.items()} == set(fields)


def test_the_examples_are_read() -> None:
    found = read_topics(ROOT / "examples/topics", io.StringIO())
    assert set(found) == {"alerts", "billing", "deploys", "orders"}
    assert found["billing"].readers == ("finance@example.com", "admin@example.com")
    assert found["orders"].email.digest_every_seconds == 3600


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1,\n b: }", "standard input, line 2"),
        ("- 1", "document 1: a NotifyxTopic is a mapping"),
        ("kind: Deployment", "document 1 is a Deployment"),
        (
            f"{HEAD}metadata: {{name: a}}\n---\n{HEAD}metadata: {{name: a}}",
            "document 1 and in standard input, document 2",
        ),
        (f"{HEAD}metadata: {{name: A}}", "metadata.name: "),
        (f"{HEAD}metadata: {{name: a}}\nspec: {{tite: x}}", "spec.tite: there is no such field"),
        (f"{HEAD}metadata: {{name: a}}\nspec: {{title: 7}}", "spec.title: "),
        (f"{HEAD}metadata: {{name: a}}\nspec: {{retention: {{maxCount: '7'}}}}", "spec.retention.maxCount: "),
        (f"{HEAD}spec: {{}}", "metadata is missing"),
        (f"{HEAD}metadata: {{name: a}}\nspec: {{titel: x}}", "spec.titel: there is no such field (is it title?)"),
        ("", "There is no NotifyxTopic in -"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        read(text)
    assert sentence in raised.value.reason


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        read_topics(tmp_path / "nowhere.yaml", io.StringIO())
    with pytest.raises(UsageProblem, match="There is no NotifyxTopic"):
        read_topics(tmp_path, io.StringIO())


def test_what_is_asked_for_is_what_the_api_takes() -> None:
    spec = read_topics(ROOT / "examples/topics", io.StringIO())["billing"]
    NewTopic.model_validate({"name": "billing", **creation(spec)})
    TopicPatch.model_validate(changes(spec, topic(TopicSpec()), ADA))


def test_a_topic_as_it_should_be_needs_no_change() -> None:
    spec = TopicSpec(title="T", publishers=("Bob@Example.com", "*"), owners=("ada@example.com", "u-2"))
    kept = topic(spec, publishers=["*", "bob@example.com"], creators=["u-2", "ada@example.com"])
    assert changes(spec, kept, ADA) == {}
    assert changes(spec, kept.model_copy(update={"paused": True}), ADA) == {"paused": False}


def test_another_spelling_of_the_same_mailboxes_needs_no_change() -> None:
    spec = TopicSpec(readers=("X@ex\u00e4mple.com",), owners=("x@xn--exmple-cua.com",))
    kept = topic(spec, readers=["x@xn--exmple-cua.com"], creators=["x@ex\u00e4mple.com"])
    caller = ADA.model_copy(update={"email": "X@ex\u00e4mple.com"})
    assert changes(spec, kept, caller) == {}
    assert changes(spec, topic(spec, creators=["u-1"]), caller)["creators"] == list(spec.owners), "the caller is named"


def test_nobody_locks_themselves_out() -> None:
    spec = TopicSpec(owners=("bob@example.com",))
    assert changes(spec, topic(spec), ADA)["creators"] == ["bob@example.com", "u-1"]
    admin = ADA.model_copy(update={"role": "admin"})
    assert changes(spec, topic(spec), admin)["creators"] == ["bob@example.com"]
    unproven = ADA.model_copy(update={"email_verified": False})
    assert changes(TopicSpec(owners=("ada@example.com",)), topic(spec), unproven)["creators"] == [
        "ada@example.com",
        "u-1",
    ]
    assert "creators" not in changes(TopicSpec(), topic(spec), ADA), "owners that are not named stay"
