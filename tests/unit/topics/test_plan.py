"""The plan: what it does, and that applying it leaves nothing to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.topics import Topic
from notifyx_topics.consent import Consent, NameRules
from notifyx_topics.plan import Action, Delete, Put, Reject, Rejection, Release, plan_topics
from notifyx_topics.resource import InvalidResource, Resource, TopicSpec, parse
from notifyx_topics.settings import EmailPolicy, Retention

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def resource(name: str = "deploys", namespace: str = "a", age: int = 0, **spec: Any) -> Resource:
    made = TopicSpec.model_validate(spec)
    return Resource(namespace, name, f"uid-{namespace}-{name}", made, EPOCH + timedelta(seconds=age))


def topic_of(owner: Resource | None, name: str = "deploys", **changes: Any) -> Topic:
    wish = (owner or resource(name)).to_store()
    fields: dict[str, Any] = {
        "id": "t",
        "name": name,
        "title": wish.title,
        "visibility": wish.visibility,
        "creators": wish.owners,
        "publishers": wish.publishers,
        "readers": wish.readers,
        "retention": wish.retention,
        "email": wish.email,
        "paused": wish.paused,
        "resource": owner.reference if owner else None,
        "last_seq": 0,
        "first_seq": 1,
        "created_at": EPOCH,
        "can_publish": True,
        "can_manage": True,
    }
    return Topic(**{**fields, **changes})


def test_a_new_resource_makes_its_topic() -> None:
    (action,) = plan_topics([resource(title="Deployments")], [])
    assert isinstance(action, Put)
    assert action.desired.title == "Deployments"
    assert action.desired.resource == "a/deploys"


def causes(actions: list[Action]) -> list[str]:
    """The actions in short: the cause of a Put or a Reject, or the name of the action."""
    return [one.cause if isinstance(one, Put | Reject) else type(one).__name__ for one in actions]


BOUND = NameRules({"a": ["dep*"], "b": ["other-*"]})


@pytest.mark.parametrize(
    ("creators", "consent"),
    [
        (["system:serviceaccount:a:ci"], Consent()),
        (["ann"], Consent(BOUND)),
        (["ann"], Consent(origins={"deploys": "a/deploys"})),
        (["ann"], Consent(everyone=True)),
    ],
)
def test_a_topic_of_the_api_is_taken_over_by_consent(creators: list[str], consent: Consent) -> None:
    (action,) = plan_topics([resource()], [topic_of(None, creators=creators)], consent=consent)
    assert isinstance(action, Put)
    assert (action.cause, action.reason) == (
        "adopted",
        "The topic 'deploys', made through the API, was taken over with its data.",
    )


@pytest.mark.parametrize(
    ("creators", "consent"),
    [
        ([], Consent()),
        (["ann"], Consent()),
        (["system:serviceaccount:ab:ci", "system:serviceaccount:b:a"], Consent()),
        (["ann"], Consent(NameRules({"b": ["dep*"], "*": ["*"]}))),
        (["ann"], Consent(origins={"deploys": "b/deploys", "a": "a/deploys"})),
    ],
)
def test_a_topic_of_the_api_without_consent_stays(creators: list[str], consent: Consent) -> None:
    (action,) = plan_topics([resource(owners=["ann"])], [topic_of(None, creators=creators)], consent=consent)
    assert isinstance(action, Reject)
    assert action.cause == "NotConsented"
    assert "ServiceAccount of the namespace a" in action.reason


def test_who_has_consent_comes_before_who_is_older() -> None:
    old, young = resource(namespace="tenant", age=0), resource(namespace="shop", age=9)
    consent = Consent(origins={"deploys": "shop/deploys"})
    reject, put = plan_topics([old, young], [topic_of(None)], consent=consent)
    assert isinstance(put, Put)
    assert isinstance(reject, Reject)
    assert (put.desired.resource, reject.resource) == ("shop/deploys", old)


def test_a_resource_keeps_its_topic_from_an_older_one() -> None:
    has_it, older = resource(namespace="shop", age=9), resource(namespace="tenant", age=0)
    (action,) = plan_topics([has_it, older], [topic_of(has_it)])
    assert isinstance(action, Reject)
    assert (action.resource, action.reason) == (older, "The topic 'deploys' is claimed by shop/deploys, which has it.")


def test_a_topic_passes_on_where_the_leaving_resource_says_so() -> None:
    waiting = resource(namespace="tenant", age=5)
    for policy in ("Retain", "Delete"):
        leaving = resource(namespace="shop", successors=["other", "tenant"], deletionPolicy=policy)
        actions = plan_topics([waiting], [topic_of(leaving)], ended=[leaving])
        assert causes(actions) == ["Release", "handover"]


def test_a_topic_does_not_pass_on_unasked() -> None:
    waiting = resource(namespace="tenant", age=5)
    for successors in ([], ["other"]):
        leaving = resource(namespace="shop", owners=["ann"], successors=successors)
        actions = plan_topics([waiting], [topic_of(leaving)], ended=[leaving])
        assert causes(actions) == ["Release", "NotConsented"]
        gone = plan_topics([waiting], [topic_of(leaving)])
        assert causes(gone) == ["Release", "NotConsented"], "nor where the resource went without a word"


def test_a_resource_that_comes_back_has_its_topic_again() -> None:
    again = resource(namespace="shop")
    assert causes(plan_topics([again], [topic_of(resource(namespace="shop"))])) == []


def test_names_that_are_bound_pass_to_their_namespace() -> None:
    rules = NameRules({"shop": ["dep*"]})
    taken = resource(namespace="tenant", age=0)
    rejection = {taken.reference: Rejection("NameNotAllowed", "No.")}
    kept = plan_topics([taken], [topic_of(taken)], rejected=rejection, consent=Consent(rules))
    assert causes(kept) == ["NameNotAllowed"], "nobody else wants it: it stays as it is"
    entitled = resource(namespace="shop", age=9)
    moved = plan_topics([taken, entitled], [topic_of(taken)], rejected=rejection, consent=Consent(rules))
    assert causes(moved) == ["NameNotAllowed", "Release", "handover"]


def test_a_refused_resource_keeps_its_topic_as_it_is() -> None:
    wanted = resource(title="New")
    rejection = {"a/deploys": Rejection("QuotaExceeded", "Too many.")}
    (action,) = plan_topics([wanted], [topic_of(wanted, title="Old")], rejected=rejection)
    assert isinstance(action, Reject)
    assert (action.cause, action.reason) == ("QuotaExceeded", "Too many.")
    assert causes(plan_topics([wanted], [], rejected=rejection)) == ["QuotaExceeded"]


def test_a_topic_of_the_platform_is_nobody_elses() -> None:
    own = resource("notifyx-probe", "notifyx", visibility="private", owners=["system:serviceaccount:notifyx:operator"])
    thief = resource("notifyx-probe", "tenant")
    assert causes(plan_topics([], [], own=[own])) == ["missing"]
    assert causes(plan_topics([thief], [], own=[own])) == ["NameNotAllowed", "missing"]
    stolen = topic_of(thief, "notifyx-probe")
    assert causes(plan_topics([thief], [stolen], own=[own])) == ["NameNotAllowed", "Release", "handover"]
    for namespaces in (None, {"ours"}):
        assert causes(plan_topics([], [stolen], ended=[thief], own=[own], namespaces=namespaces)) == [
            "Release",
            "handover",
        ]
    left = topic_of(None, "notifyx-probe", creators=[], publishers=[])
    assert causes(plan_topics([], [left], own=[own])) == ["adopted"], "what somebody left is repaired"
    assert causes(plan_topics([], [topic_of(own, "notifyx-probe")], own=[own])) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "other"),
        ("visibility", "private"),
        ("publishers", ["*"]),
        ("creators", ["x"]),
        ("paused", True),
        ("retention", Retention(max_count=7)),
        ("email", EmailPolicy(default="every")),
    ],
)
def test_drift_is_repaired(field: str, value: Any) -> None:
    wanted = resource()
    assert plan_topics([wanted], [topic_of(wanted)]) == []
    (action,) = plan_topics([wanted], [topic_of(wanted, **{field: value})])
    assert isinstance(action, Put)
    assert ("owners" if field == "creators" else field) in action.reason


def test_another_spelling_of_the_same_mailboxes_is_no_drift() -> None:
    in_letters = resource(owners=["x@ex\u00e4mple.com"], readers=["ADA@example.com", "x@ex\u00e4mple.com"])
    in_ascii: dict[str, Any] = {
        "creators": ["x@xn--exmple-cua.com"],
        "readers": ["x@xn--exmple-cua.com", "ada@example.com"],
    }
    assert plan_topics([in_letters], [topic_of(in_letters, **in_ascii)]) == []
    assert plan_topics([in_letters], [topic_of(in_letters, **{**in_ascii, "readers": ["x@example.com"]})]) != []


def test_of_two_that_claim_a_topic_the_older_wins() -> None:
    old, young = resource(namespace="z", age=0), resource(namespace="a", age=5)
    refuse, put = sorted(plan_topics([young, old], []), key=lambda action: type(action).__name__, reverse=True)
    assert isinstance(refuse, Reject)
    assert isinstance(put, Put)
    assert refuse.resource is young
    assert "z/deploys" in refuse.reason
    assert put.desired.resource == "z/deploys"


def test_a_deleted_resource_does_what_its_policy_says() -> None:
    keep, drop = resource("keep"), resource("drop", deletionPolicy="Delete")
    observed = [topic_of(keep, "keep"), topic_of(drop, "drop")]
    actions = plan_topics([], observed, ended=[keep, drop])
    assert [type(action) for action in actions] == [Delete, Release]
    assert [action.topic for action in actions] == ["drop", "keep"]


def test_what_ends_is_settled_for_that_resource_alone() -> None:
    keep, drop = resource("keep"), resource("drop", deletionPolicy="Delete")
    actions = plan_topics([], [topic_of(keep, "keep"), topic_of(drop, "drop")], ended=[keep, drop])
    assert [action.uid for action in actions if isinstance(action, Delete | Release)] == ["uid-a-drop", "uid-a-keep"]


def test_of_a_topic_that_is_deleted_another_resource_gets_the_name_alone() -> None:
    ending, waiting = resource(namespace="old", deletionPolicy="Delete"), resource(namespace="new", age=5)
    actions = plan_topics([waiting], [topic_of(ending)], ended=[ending])
    assert causes(actions) == ["Delete", "missing"]


def test_a_resource_that_cannot_be_understood_keeps_its_topic() -> None:
    broken, other = resource(namespace="broken"), resource(namespace="other")
    observed = [topic_of(broken)]
    assert plan_topics([], observed, held=["broken/deploys"]) == []
    (action,) = plan_topics([other], observed, held=["broken/deploys"])
    assert isinstance(action, Reject)
    assert "broken/deploys" in action.reason


def test_data_of_a_resource_that_just_vanished_is_never_deleted() -> None:
    gone = resource("gone", deletionPolicy="Delete")
    (action,) = plan_topics([], [topic_of(gone, "gone")])
    assert isinstance(action, Release)


def test_only_own_namespaces_are_tidied() -> None:
    other = resource("theirs", namespace="theirs")
    assert plan_topics([], [topic_of(other, "theirs")], namespaces={"ours"}) == []


def test_topics_of_people_are_left_alone() -> None:
    assert plan_topics([], [topic_of(None, "mine")]) == []


resources = st.lists(
    st.builds(
        resource,
        name=st.sampled_from(["a", "b", "c"]),
        namespace=st.sampled_from(["x", "y"]),
        age=st.integers(0, 5),
        title=st.sampled_from(["", "one"]),
        paused=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda item: item.reference,
)
topics = st.lists(
    st.builds(
        lambda name, owner, title: topic_of(resource(name, owner) if owner else None, name, title=title),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([None, "x", "y"]),
        st.sampled_from(["", "two"]),
    ),
    max_size=4,
    unique_by=lambda topic: topic.name,
)


@given(resources, topics)
def test_after_a_plan_there_is_nothing_left_to_do(desired: list[Resource], observed: list[Topic]) -> None:
    after = carry_out(plan_topics(desired, observed), observed)
    assert [action for action in plan_topics(desired, after) if not isinstance(action, Reject)] == []
    assert {topic.name for topic in observed} <= {topic.name for topic in after}, "nothing was deleted"


@given(resources, topics, st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_listed_does_not_matter(
    desired: list[Resource], observed: list[Topic], random: Any
) -> None:
    expected = plan_topics(desired, observed)
    random.shuffle(desired)
    random.shuffle(observed)
    assert plan_topics(desired, observed) == expected


def carry_out(actions: list[Action], observed: list[Topic]) -> list[Topic]:
    """What the store holds after the actions, by the contract's words."""
    by_name = {topic.name: topic for topic in observed}
    for action in actions:
        if isinstance(action, Put):
            wish = action.desired
            by_name[action.topic] = topic_of(
                None,
                action.topic,
                title=wish.title,
                creators=wish.owners,
                publishers=wish.publishers,
                readers=wish.readers,
                visibility=wish.visibility,
                retention=wish.retention,
                email=wish.email,
                paused=wish.paused,
                resource=wish.resource,
            )
        elif isinstance(action, Release):
            by_name[action.topic] = by_name[action.topic].model_copy(update={"resource": None})
        elif isinstance(action, Delete):
            del by_name[action.topic]
    return list(by_name.values())


def document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "notifyx.dev/v1alpha1",
        "kind": "NotifyxTopic",
        "metadata": {"name": "deploys", "namespace": "platform", "labels": {"team": "x"}},
        "spec": spec,
    }


def test_a_document_is_read() -> None:
    read = parse(document(title="T", retention={"maxAgeSeconds": 60}, email={"default": "digest"}))
    assert read.reference == "platform/deploys"
    assert read.spec.retention.max_age_seconds == 60
    assert read.to_store().email.default == "digest"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": {"titel": "x"}}, "spec.titel"),
        ({"spec": {"retention": {"maxAgeSeconds": "soon"}}}, "spec.retention.maxAgeSeconds"),
        ({"spec": {"max_count": 1}}, "spec.max_count"),
        ({"metadata": {"name": "Not A Name"}}, "metadata.name"),
        ({"metadata": {}}, "metadata.name"),
        ({"kind": "Deployment"}, "kind"),
        ({"apiVersion": "v1"}, "apiVersion"),
    ],
)
def test_a_wrong_document_is_refused_by_its_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidResource, match=words.replace(".", r"\.")):
        parse({**document(), **change})


def test_a_resource_without_a_time_is_the_youngest() -> None:
    timeless = replace(resource(namespace="a"), created=None)
    (rejected,) = [a for a in plan_topics([timeless, resource(namespace="z", age=9)], []) if isinstance(a, Reject)]
    assert rejected.resource is timeless
