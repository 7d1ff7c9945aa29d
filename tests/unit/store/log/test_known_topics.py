"""What a replica knows of topics: only what nobody else publishes to, and nothing while it changes."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from notifyx_store.log.known_topics import Heads, KnownTopics
from notifyx_store.topics.permissions import TopicRow

NEWS = TopicRow(id=uuid4(), name="news", last_seq=3)
OPS = TopicRow(id=uuid4(), name="ops")


def heads(known: KnownTopics, *names: str) -> dict[UUID, int] | None:
    with known.publishing(names) as found:
        return None if found is None else dict(found.last_seqs)


def test_all_topics_of_a_batch_have_to_be_known() -> None:
    known = KnownTopics()
    assert heads(known, "news") is None
    known.learn([NEWS])
    assert heads(known, "news") == {NEWS.id: 3}
    assert heads(known, "news", "ops") is None
    assert heads(known) is None
    known.learn([OPS])
    known.published([(NEWS, 7), (OPS, 2)])
    assert heads(known, "news", "ops") == {NEWS.id: 7, OPS.id: 2}
    with known.publishing(["news"]) as found:
        assert found == Heads({"news": NEWS}, {NEWS.id: 7})


def test_inboxes_are_never_known() -> None:
    known = KnownTopics()
    known.learn([TopicRow(id=uuid4(), name="user:ann", kind="inbox")])
    assert heads(known, "user:ann") is None


def test_a_topic_that_is_being_published_to_is_not_known_until_all_of_that_has_ended() -> None:
    known = KnownTopics()
    known.learn([NEWS, OPS])
    with known.publishing(["news"]) as first:
        assert first is not None
        with known.publishing(["news", "ops"]) as second:
            assert second is None
        assert heads(known, "news") is None
        assert heads(known, "ops") == {OPS.id: 0}
    assert heads(known, "news") == {NEWS.id: 3}


def test_a_topic_of_several_replicas_is_known_once_it_is_found_as_it_was_left() -> None:
    known = KnownTopics()
    known.learn([NEWS])
    known.distrust(["news", "ops"])
    assert heads(known, "news") is None
    known.learn([replace(NEWS, last_seq=5)])
    assert heads(known, "news") is None, "another replica published two"
    known.published([(NEWS, 6)])
    known.learn([replace(NEWS, last_seq=6)])
    assert heads(known, "news") == {NEWS.id: 6}
    known.published([(NEWS, 5)])
    assert heads(known, "news") == {NEWS.id: 6}, "answers of two connections cross each other"


def test_a_topic_of_the_same_name_is_another_one() -> None:
    known = KnownTopics()
    known.learn([NEWS])
    other = replace(NEWS, id=uuid4(), last_seq=0)
    known.learn([other])
    known.published([(NEWS, 9)])
    assert heads(known, "news") == {other.id: 0}


def test_the_one_published_to_longest_ago_is_forgotten() -> None:
    known = KnownTopics(max_known=2)
    known.learn([NEWS, OPS])
    known.published([(NEWS, 4)])
    known.learn([TopicRow(id=uuid4(), name="dev")])
    assert heads(known, "ops") is None
    assert heads(known, "news") == {NEWS.id: 4}


def test_those_with_much_text_are_forgotten_before_there_are_many() -> None:
    known = KnownTopics(max_size=10)
    known.learn([replace(NEWS, state="123456"), replace(OPS, state="1234")])
    with known.publishing(["news", "ops"]) as heads:
        assert heads is not None
    known.learn([replace(OPS, state="12345")])
    with known.publishing(["news"]) as heads:
        assert heads is None
    with known.publishing(["ops"]) as heads:
        assert heads is not None


def test_a_topic_whose_lists_were_not_read_whole_is_not_known() -> None:
    known = KnownTopics()
    known.learn([NEWS])
    known.learn([replace(NEWS, whole=False)])
    with known.publishing(["news"]) as heads:
        assert heads is None


def test_a_round_of_ten_thousand_topics_finds_all_of_them_known_again() -> None:
    known = KnownTopics()
    topics = [TopicRow(id=uuid4(), name=f"topic.{number}", state="x" * 150) for number in range(10_000)]
    known.learn(topics)
    assert all(heads(known, topic.name) == {topic.id: 0} for topic in topics)
