"""The feed's core: whatever is lost, doubled or out of order, each watcher gets one contiguous run, exactly once."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from notifyx_store.feed.core import Delivery, FeedCore, FeedRow
from notifyx_store.topics.permissions import SettingsVersion

TOPICS = [UUID(int=1), UUID(int=2)]
CONNECTIONS = ["a", "b", "c"]
ONE, TWO, THREE = (SettingsVersion(datetime.fromtimestamp(n, UTC), public=False) for n in (1, 2, 3))


class World:
    """A log, the core that feeds it, and what each watcher was sent."""

    def __init__(self) -> None:
        self.blocked: set[str] = set()
        self.core: FeedCore[str] = FeedCore(lambda connection: connection not in self.blocked)
        self.logs: dict[UUID, list[int]] = {topic: [] for topic in TOPICS}
        self.gone: dict[UUID, set[int]] = {topic: set() for topic in TOPICS}
        self.late: list[tuple[UUID, int, int]] = []
        self.reading: list[tuple[UUID, int, int, list[FeedRow], int]] = []
        self.cursors: dict[tuple[str, UUID], int] = {}
        self.began: dict[tuple[str, UUID], int] = {}
        self.got: dict[tuple[str, UUID], list[int]] = {}
        self.told: dict[tuple[str, UUID], SettingsVersion] = {}

    def version(self, seq: int) -> SettingsVersion:
        """The version of the settings by which ``seq`` was published: another one for each three."""
        return SettingsVersion(datetime.fromtimestamp(seq // 3, UTC), public=False)

    def item(self, seq: int) -> FeedRow:
        return FeedRow(seq, f'{{"seq":{seq}}}', seq)

    def take(self, deliveries: list[Delivery[str]]) -> None:
        for delivery in deliveries:
            for connection in delivery.connections:
                watch = (connection, delivery.topic)
                assert connection not in self.blocked
                assert delivery.first == self.cursors[watch] + 1, "contiguous, without overlap"
                assert delivery.last >= delivery.first
                if connection in (*delivery.news.first, *delivery.news.changed):
                    assert (connection in delivery.news.changed) == (watch in self.told)
                    self.told[watch] = delivery.version
                assert self.told[watch] == delivery.version, "told before the rows"
                assert delivery.version >= self.version(max(item.seq for item in delivery.items or [self.item(0)]))
                seqs = [item.seq for item in delivery.items]
                assert seqs == sorted(set(seqs))
                assert all(delivery.first <= seq <= delivery.last for seq in seqs)
                self.cursors[watch] = delivery.last
                self.got[watch] += seqs

    def commit(self, topic: UUID, count: int, expired: int, fate: str) -> None:
        log = self.logs[topic]
        first = len(log) + 1
        log.extend(range(first, first + count))
        if expired and count > 1:
            self.gone[topic].add(first)
        if fate == "now":
            self.offer(topic, first, first + count - 1)
        elif fate == "late":
            self.late.append((topic, first, first + count - 1))

    def offer(self, topic: UUID, first: int, last: int) -> None:
        items = [self.item(seq) for seq in range(first, last + 1)]
        self.take(self.core.offer(topic, first, last, items, self.version(last)))

    def begin_reads(self, limit: int, most: int) -> None:
        for topic, after in self.core.next_reads(limit):
            log = self.logs[topic]
            there = [seq for seq in log[after:] if seq not in self.gone[topic]]
            page = there[:most]
            upto = page[-1] if len(there) > most else max(len(log), after)
            self.reading.append((topic, after, upto, [self.item(seq) for seq in page], len(log)))

    def end_read(self, which: int, failed: bool) -> None:
        topic, after, upto, items, head = self.reading.pop(which % len(self.reading))
        if failed:
            self.core.on_read_failed([topic])
        else:
            self.take(self.core.on_read(topic, after, upto, items, head, self.version(head)))

    def watch(self, connection: str, topic: UUID, back: int) -> None:
        after = max(len(self.logs[topic]) - back, 0)
        watch = (connection, topic)
        self.core.watch(connection, str(topic), topic, after)
        self.cursors[watch] = self.began[watch] = after
        self.got[watch] = []
        self.told.pop(watch, None)

    def forget(self, watch: tuple[str, UUID]) -> None:
        self.cursors.pop(watch, None)
        self.got.pop(watch, None)
        self.began.pop(watch, None)

    def settle(self) -> None:
        """Everything calms down: the poll finds the heads, every connection takes rows."""
        for connection in list(self.blocked):
            self.blocked.discard(connection)
            self.core.resume(connection)
        for topic in TOPICS:
            self.core.on_wakeup(topic, len(self.logs[topic]))
        for _ in range(10_000):
            while self.reading:
                self.end_read(0, failed=False)
            self.begin_reads(5, 3)
            if not self.reading:
                return
        raise AssertionError("the core never has enough")


topics = st.sampled_from(TOPICS)
connections = st.sampled_from(CONNECTIONS)
steps = st.one_of(
    st.tuples(
        st.just("commit"), topics, st.integers(1, 5), st.integers(0, 1), st.sampled_from(["now", "now", "late", "lost"])
    ),
    st.tuples(st.just("late"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("wake"), topics, st.integers(0, 3)),
    st.tuples(st.just("watch"), connections, topics, st.integers(0, 8)),
    st.tuples(st.just("unwatch"), connections, topics),
    st.tuples(st.just("drop"), connections),
    st.tuples(st.just("block"), connections),
    st.tuples(st.just("unblock"), connections),
    st.tuples(st.just("reads"), st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.just("read"), st.integers(0, 3), st.booleans()),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=60))
def test_every_watcher_gets_each_notification_once_in_order(script: list[tuple[object, ...]]) -> None:
    world = World()
    for step in script:
        match step:
            case ("commit", UUID() as topic, int(count), int(expired), str(fate)):
                world.commit(topic, count, expired, fate)
            case ("late", int(which), bool(twice)) if world.late:
                offer = world.late.pop(which % len(world.late))
                for _ in range(2 if twice else 1):
                    world.offer(*offer)
            case ("wake", UUID() as topic, int(back)):
                world.core.on_wakeup(topic, max(len(world.logs[topic]) - back, 0))
            case ("watch", str(connection), UUID() as topic, int(back)):
                world.watch(connection, topic, back)
            case ("unwatch", str(connection), UUID() as topic):
                world.core.unwatch(connection, str(topic))
                world.forget((connection, topic))
            case ("drop", str(connection)):
                world.core.remove_connection(connection)
                for topic in TOPICS:
                    world.forget((connection, topic))
            case ("block", str(connection)):
                world.blocked.add(connection)
            case ("unblock", str(connection)):
                world.blocked.discard(connection)
                world.core.resume(connection)
            case ("reads", int(limit), int(most)):
                world.begin_reads(limit, most)
            case ("read", int(which), bool(failed)) if world.reading:
                world.end_read(which, failed)
    world.settle()
    for (connection, topic), after in world.began.items():
        log = world.logs[topic]
        got = world.got[connection, topic]
        assert world.cursors[connection, topic] == max(len(log), after)
        assert got == sorted(set(got))
        missing = set(log[after:]) - set(got)
        assert missing <= world.gone[topic], "only what expired may be missing"


def test_an_offer_goes_to_all_who_are_up_to_date_as_one_delivery() -> None:
    world = World()
    for connection in CONNECTIONS:
        world.watch(connection, TOPICS[0], 0)
    deliveries = world.core.offer(TOPICS[0], 1, 2, [world.item(1), world.item(2)], ONE)
    assert [(one.first, one.last, sorted(one.connections)) for one in deliveries] == [(1, 2, CONNECTIONS)]
    assert world.core.next_reads(10) == []


def test_an_offer_that_came_too_early_needs_no_read() -> None:
    world = World()
    world.watch("a", TOPICS[0], 0)
    assert world.core.offer(TOPICS[0], 2, 2, [world.item(2)], TWO) == []
    deliveries = world.core.offer(TOPICS[0], 1, 1, [world.item(1)], ONE)
    assert [(one.first, one.last, one.version, one.news) for one in deliveries] == [
        (1, 1, ONE, (["a"], [])),
        (2, 2, TWO, ([], ["a"])),
    ]
    assert world.core.next_reads(10) == []


def test_a_blocked_connection_does_not_hold_up_others_and_is_caught_up_later() -> None:
    world = World()
    world.watch("a", TOPICS[0], 0)
    world.watch("b", TOPICS[0], 0)
    world.blocked.add("a")
    world.commit(TOPICS[0], 3, 0, "now")
    assert world.cursors == {("a", TOPICS[0]): 0, ("b", TOPICS[0]): 3}
    assert world.core.next_reads(10) == []
    world.blocked.clear()
    world.core.resume("a")
    assert world.core.next_reads(10) == [(TOPICS[0], 0)]


def test_a_head_that_is_no_more_does_not_make_it_read_for_ever() -> None:
    world = World()
    world.watch("a", TOPICS[0], 0)
    world.core.on_wakeup(TOPICS[0], 7)
    assert world.core.next_reads(1) == [(TOPICS[0], 0)]
    assert world.core.on_read(TOPICS[0], 0, 0, [], 0, ONE) == []
    assert world.core.next_reads(1) == []


def test_a_topic_that_ends_is_watched_by_nobody() -> None:
    world = World()
    world.watch("a", TOPICS[0], 0)
    world.watch("b", TOPICS[0], 0)
    assert sorted(world.core.remove_topic(TOPICS[0])) == ["a", "b"]
    assert world.core.topics == []
    assert world.core.offer(TOPICS[0], 1, 1, [world.item(1)], ONE) == []


def test_each_watcher_is_told_the_version_first_and_each_other_one_once() -> None:
    core: FeedCore[str] = FeedCore(lambda connection: True)
    topic = TOPICS[0]
    assert core.on_version(topic, ONE) == ((), ())
    core.watch("a", "news", topic, 0)
    assert core.on_version(topic, ONE) == (["a"], [])
    core.watch("b", "news", topic, 0)
    assert core.on_version(topic, ONE) == (["b"], [])
    assert core.on_version(topic, TWO) == ([], ["a", "b"])
    assert core.on_version(topic, TWO) == ((), ())
    [delivery] = core.offer(topic, 1, 1, [], THREE)
    assert delivery.news == ([], ["a", "b"])
    assert core.on_version(topic, THREE) == ((), ())
    core.watch("a", "news", topic, 5)
    assert core.on_version(topic, THREE) == (["a"], [])
