"""The checker of histories: a history that keeps the promise, and one for each way to break it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaos.histories.checker import check
from chaos.histories.events import (
    Ack,
    AckPush,
    Began,
    Event,
    FaultSpan,
    Healed,
    Intrusion,
    Join,
    Leave,
    LedgerRead,
    LogRead,
    Mail,
    Missed,
    Publish,
    Receive,
    Settled,
    SignedOut,
    SubscriptionFacts,
    TopicFacts,
    TopicLedger,
    UnreadRead,
    from_lines,
    to_lines,
)

History = list[Event]
PUBLISHED = ["a", "b", "c", "d"]


def publish(message: str, seq: int | None, started: float, **fields: Any) -> Publish:
    values: dict[str, Any] = {"at": started + 0.1, "publisher": "p", "topic": "news", "via": "socket", "outcome": "ok"}
    return Publish(message=message, seq=seq, started=started, **{**values, **fields})


def join(client: str, since: int | None, last_seq: int, at: float, **fields: Any) -> Join:
    values: dict[str, Any] = {"user": client.split("-", maxsplit=1)[0], "topic": "news", "via": "sse", "first_seq": 1}
    return Join(client=client, since=since, last_seq=last_seq, started=at - 0.05, at=at, **{**values, **fields})


def receive(client: str, seq: int, at: float, message: str = "", topic: str = "news") -> Receive:
    return Receive(client=client, topic=topic, seq=seq, message=message or PUBLISHED[seq - 1], at=at)


def ack(up_to: int | None, at: float, **fields: Any) -> Ack:
    values: dict[str, Any] = {
        "user": "ada",
        "device": "phone",
        "topic": "news",
        "outcome": "ok",
        "acked_up_to": up_to or 0,
    }
    return Ack(up_to=up_to, started=at - 0.05, at=at, **{**values, **fields})


def mail(message: str, message_id: str, at: float, **fields: Any) -> Mail:
    values: dict[str, Any] = {"user": "bob", "topic": "news"}
    return Mail(message=message, message_id=message_id, at=at, **{**values, **fields})


def kept() -> History:
    """Four messages, one of them by a retry; two clients, of which one resumes; a reader; emails after 2 seconds."""
    return [
        Began(
            topics=(TopicFacts(name="news", readers=("p", "ada", "bob")), TopicFacts(name="short", max_count=2)),
            subscriptions=(
                SubscriptionFacts(user="ada", topic="news"),
                SubscriptionFacts(user="bob", topic="news", email="unread", delay=2.0),
            ),
            mails_sent=5,
        ),
        join("ada-1", None, 0, 0.2, unread=0),
        join("bob-1", 0, 0, 0.3),
        publish("a", 1, 1.0, connection="c1"),
        receive("ada-1", 1, 1.1),
        receive("bob-1", 1, 1.12),
        FaultSpan(started=1.2, at=2.2, fault="kill", target="store-1"),
        publish("b", None, 1.2, outcome="unknown", at=2.2, connection="c1"),
        Leave(client="bob-1", topic="news", at=1.3),
        publish("b", 2, 2.3, connection="c2"),
        publish("c", 3, 2.5, connection="c2"),
        publish("d", 4, 2.7, connection="c2"),
        publish("never", None, 2.7, outcome="refused"),
        receive("ada-1", 2, 2.4),
        receive("ada-1", 3, 2.6),
        ack(2, 2.45, user="bob"),
        join("bob-1", 1, 3, 2.66, acked_up_to=2, unread=1),
        receive("bob-1", 2, 2.67),
        receive("bob-1", 3, 2.68),
        receive("ada-1", 4, 2.8),
        receive("bob-1", 4, 2.81),
        ack(3, 3.0, unread=1),
        AckPush(client="ada-1", user="ada", topic="news", up_to=3, unread=1, at=3.01),
        ack(None, 3.2, seqs=(4,), outcome="unknown"),
        AckPush(client="ada-1", user="ada", topic="news", up_to=4, unread=0, at=3.3),
        Healed(at=4.0),
        mail("c", "<3@n>", 4.7),
        mail("d", "<4@n>", 4.9),
        mail("d", "<4@n>", 5.9),
        UnreadRead(started=6.0, at=6.1, user="ada", topic="news", acked_up_to=4, unread=0),
        UnreadRead(started=6.0, at=6.1, user="bob", topic="news", acked_up_to=2, unread=2),
        LogRead(at=6.2, topic="news", last_seq=4, items=tuple(enumerate(PUBLISHED, 1))),
        LogRead(at=6.2, topic="short", last_seq=0, items=()),
        LedgerRead(
            at=6.3,
            balanced=True,
            topics=(TopicLedger(topic="news", due=8, acked=6, pending=2, expired=0, withdrawn=0),),
            sent=7,
        ),
        Settled(at=6.4),
    ]


def replaced(history: History, old: Event | Callable[[Event], bool], **fields: Any) -> History:
    """The history with ``fields`` set in the first event that is, or fits, ``old``."""
    fits = old if callable(old) else lambda event: event == old
    place = next(number for number, event in enumerate(history) if fits(event))
    return [*history[:place], history[place].model_copy(update=fields), *history[place + 1 :]]


def replaced_by(history: History, fits: Callable[[Event], bool], other: Event) -> History:
    """The history with ``other`` in the place of what fits."""
    return [other if fits(event) else event for event in history]


def without(history: History, fits: Callable[[Event], bool]) -> History:
    """The history without what fits."""
    return [event for event in history if not fits(event)]


def is_log(event: Event) -> bool:
    return isinstance(event, LogRead) and event.topic == "news"


def received(client: str, seq: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Receive) and event.client == client and event.seq == seq


def read_by(user: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, UnreadRead) and event.user == user


def ledger_row(**numbers: int) -> dict[str, Any]:
    row = {"due": 8, "acked": 6, "pending": 2, "expired": 0, "withdrawn": 0, **numbers}
    return {"topics": (TopicLedger(topic="news", **row),)}


def is_ledger(event: Event) -> bool:
    return isinstance(event, LedgerRead)


def before_end(history: History, *events: Event) -> History:
    """The history with ``events`` before its reads at the end."""
    place = next(number for number, event in enumerate(history) if isinstance(event, UnreadRead))
    return [*history[:place], *events, *history[place:]]


def test_a_history_that_keeps_the_promise_has_no_violation() -> None:
    assert check(kept()) == []


def test_a_history_is_the_same_after_it_was_written() -> None:
    assert from_lines(to_lines(kept())) == kept()


def test_what_has_no_begin_is_no_history() -> None:
    with pytest.raises(ValueError, match="began"):
        check(kept()[1:])


LOG = tuple(enumerate(PUBLISHED, 1))

BROKEN: dict[str, tuple[Callable[[History], History], str]] = {
    "a retry that became a second message": (
        lambda h: [*h, publish("d", 5, 3.0)],
        "doubled",
    ),
    "one message twice in the log": (
        lambda h: replaced(h, is_log, last_seq=5, items=(*LOG, (5, "d"))),
        "doubled",
    ),
    "two messages with one seq": (
        lambda h: [*h, publish("e", 4, 3.0)],
        "two messages with one seq",
    ),
    "an acknowledged message that the log lacks": (
        lambda h: replaced(h, is_log, last_seq=3, items=LOG[:3]),
        "lost",
    ),
    "another message in the place of an acknowledged one": (
        lambda h: replaced(h, is_log, items=(*LOG[:3], (4, "c"))),
        "lost",
    ),
    "a hole in the log": (
        lambda h: replaced(h, is_log, items=(*LOG[:1], *LOG[2:])),
        "log with holes",
    ),
    "a log that lost its begin without retention": (
        lambda h: replaced(h, is_log, items=LOG[1:]),
        "removed without a reason",
    ),
    "retention that removes what may stay": (
        lambda h: replaced(
            [*h, publish("s", 1, 3.0, topic="short")],
            lambda e: isinstance(e, LogRead) and e.topic == "short",
            last_seq=1,
        ),
        "removed without a reason",
    ),
    "a message in the log that nobody published": (
        lambda h: replaced(h, is_log, last_seq=5, items=(*LOG, (5, "x"))),
        "never published",
    ),
    "a message of another topic": (
        lambda h: replaced(h, lambda e: isinstance(e, LogRead) and e.topic == "short", last_seq=1, items=((1, "a"),)),
        "never published",
    ),
    "a refused message in the log": (
        lambda h: replaced(h, is_log, last_seq=5, items=(*LOG, (5, "never"))),
        "refused and kept",
    ),
    "a message before one that was acknowledged before it": (
        lambda h: replaced(
            replaced(h, lambda e: isinstance(e, Publish) and e.message == "c", seq=4),
            lambda e: isinstance(e, Publish) and e.message == "d",
            seq=3,
        ),
        "out of order",
    ),
    "messages of a connection that changed places while they were under way": (
        lambda h: [*h, publish("e", 6, 3.0, at=3.5, connection="c"), publish("f", 5, 3.1, at=3.4, connection="c")],
        "out of order",
    ),
    "a publish that was not answered because memcached was away": (
        lambda h: replaced(h, lambda e: isinstance(e, FaultSpan), target="memcached"),
        "publish was held up",
    ),
    "a publish that was refused when a clock jumped": (
        lambda h: replaced(
            replaced(h, lambda e: isinstance(e, FaultSpan), fault="clock", target="gateway-1"),
            lambda e: isinstance(e, Publish) and e.outcome == "unknown",
            outcome="refused",
            code="503 unavailable",
        ),
        "publish was held up",
    ),
    "a message that a client never received": (
        lambda h: without(h, received("ada-1", 4)),
        "not delivered",
    ),
    "a gap that was not told": (
        lambda h: without(h, received("ada-1", 3)),
        "gap that was not told",
    ),
    "a message that was delivered twice": (
        lambda h: before_end(h, receive("ada-1", 4, 5.0)),
        "delivered twice",
    ),
    "something called missing that the log has": (
        lambda h: replaced_by(
            h, received("ada-1", 3), Missed(client="ada-1", topic="news", missing=1, up_to=3, at=2.6)
        ),
        "not delivered",
    ),
    "messages that were delivered in the wrong order": (
        lambda h: replaced(replaced(h, received("ada-1", 3), seq=4), lambda e: e == receive("ada-1", 4, 2.8), seq=3),
        "gap that was not told",
    ),
    "a resume that went on at the head": (
        lambda h: without(h, lambda e: received("bob-1", 2)(e) or received("bob-1", 3)(e)),
        "gap that was not told",
    ),
    "a delivery without a join": (
        lambda h: before_end(h, receive("ada-2", 1, 5.0)),
        "received before a join",
    ),
    "a gap that was told too small": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, first_seq=4, missing=1, truncated=True),
        "gap told wrongly",
    ),
    "a gap that was counted and not called one": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, first_seq=4, missing=2),
        "gap told wrongly",
    ),
    "a log that is shorter than what a client has": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, last_seq=0),
        "log went back",
    ),
    "a join that does not see what was acknowledged": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, last_seq=2),
        "old answer",
    ),
    "a delivery that nobody published": (
        lambda h: before_end(h, receive("ada-1", 5, 5.0, "x")),
        "never published",
    ),
    "a delivery of a refused message": (
        lambda h: before_end(h, receive("ada-1", 5, 5.0, "never")),
        "refused and delivered",
    ),
    "a delivery before the publish": (
        lambda h: replaced(h, received("ada-1", 4), at=2.65),
        "received before it was published",
    ),
    "another content than the log's": (
        lambda h: replaced(h, received("ada-1", 4), message="c"),
        "another message",
    ),
    "a join by who may not read": (
        lambda h: before_end(h, join("eve-1", None, 4, 5.0)),
        "not entitled",
    ),
    "a delivery to who may not read": (
        lambda h: before_end(h, receive("eve-1", 4, 5.0)),
        "not entitled",
    ),
    "a position that went back": (
        lambda h: replaced(h, read_by("ada"), acked_up_to=2),
        "acknowledgement went back",
    ),
    "an answered acknowledgement that a later join does not know": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, acked_up_to=1),
        "acknowledgement went back",
    ),
    "a push that went back": (
        lambda h: before_end(h, AckPush(client="ada-1", user="ada", topic="news", up_to=2, unread=1, at=5.0)),
        "acknowledgement went back",
    ),
    "a device that was never told": (
        lambda h: without(h, lambda e: isinstance(e, AckPush) and e.up_to == 4),
        "device was not told",
    ),
    "a device whose join was out of date": (
        lambda h: before_end(h, join("bob-2", 4, 4, 5.0, acked_up_to=1, unread=2)),
        "device was not told",
    ),
    "a session that ended by itself": (
        lambda h: before_end(h, SignedOut(at=5.0, user="ada", code="invalid_grant")),
        "signed out",
    ),
    "a page of somebody who may not read": (
        lambda h: before_end(h, Intrusion(at=5.0, user="eve", topic="private")),
        "not entitled",
    ),
    "an unread count that is too small": (
        lambda h: replaced(h, read_by("bob"), unread=1),
        "unread is wrong",
    ),
    "an unread count that is too large": (
        lambda h: replaced(h, read_by("ada"), unread=2),
        "unread is wrong",
    ),
    "an answer to an acknowledgement with a wrong count": (
        lambda h: replaced(h, lambda e: isinstance(e, Ack) and e.at == 3.0, unread=0),
        "unread is wrong",
    ),
    "a push with a count of long ago": (
        lambda h: replaced(h, lambda e: isinstance(e, AckPush) and e.up_to == 3, unread=0),
        "unread is wrong",
    ),
    "a join whose count is of another time than its head": (
        lambda h: replaced(h, lambda e: isinstance(e, Join) and e.since == 1, unread=2),
        "unread is wrong",
    ),
    "a cursor beyond all that was acknowledged": (
        lambda h: replaced(h, read_by("bob"), acked_up_to=3, unread=1),
        "unread is wrong",
    ),
    "an acknowledgement that was answered and not made": (
        lambda h: replaced(h, lambda e: isinstance(e, Ack) and e.at == 3.0, acked_up_to=0, unread=4),
        "unread is wrong",
    ),
    "a position that nobody read": (
        lambda h: without(h, read_by("bob")),
        "unread was not read",
    ),
    "a position after the end": (
        lambda h: replaced(h, read_by("ada"), acked_up_to=9),
        "acknowledged what does not exist",
    ),
    "an email that did not come": (
        lambda h: without(h, lambda e: isinstance(e, Mail) and e.message == "c"),
        "email is missing",
    ),
    "an email about what was acknowledged before it was due": (
        lambda h: before_end(h, mail("a", "<1@n>", 4.0)),
        "mailed what was acknowledged",
    ),
    "an email long after the acknowledgement": (
        lambda h: before_end(
            replaced(h, lambda e: isinstance(e, Ack) and e.user == "bob", started=3.6, at=3.65),
            mail("a", "<1@n>", 40.0),
        ),
        "mailed what was acknowledged",
    ),
    "an email to who did not subscribe to them": (
        lambda h: before_end(h, mail("c", "<9@n>", 5.0, user="ada")),
        "mailed without a subscription",
    ),
    "an email about nothing": (
        lambda h: before_end(h, mail("x", "<9@n>", 5.0)),
        "never published",
    ),
    "an email about what was refused": (
        lambda h: before_end(h, mail("never", "<9@n>", 5.0)),
        "refused and mailed",
    ),
    "an email with two ids": (
        lambda h: before_end(h, mail("c", "<9@n>", 5.0)),
        "two ids",
    ),
    "two emails with one id": (
        lambda h: replaced(h, lambda e: isinstance(e, Mail) and e.message == "c", message_id="<4@n>"),
        "one id for two emails",
    ),
    "an email that was recorded as sent and did not arrive": (
        lambda h: replaced(h, is_ledger, sent=9),
        "sent and not arrived",
    ),
    "a ledger that does not balance": (
        lambda h: replaced(h, is_ledger, balanced=False),
        "ledger does not balance",
    ),
    "a row that does not balance": (
        lambda h: replaced(h, is_ledger, **ledger_row(acked=5)),
        "ledger does not balance",
    ),
    "a ledger that owes another number": (
        lambda h: replaced(h, is_ledger, **ledger_row(due=7, acked=5)),
        "ledger has another number",
    ),
    "a ledger with another number of unread ones": (
        lambda h: replaced(h, is_ledger, **ledger_row(acked=5, pending=3)),
        "ledger has another number",
    ),
    "a ledger without the topic": (
        lambda h: replaced(h, is_ledger, topics=()),
        "ledger has another number",
    ),
    "emails that are left": (
        lambda h: replaced(h, is_ledger, mails_pending=1),
        "emails are left",
    ),
    "a platform that did not recover": (
        lambda h: replaced(h, lambda e: isinstance(e, Settled), waiting_for=("the email of bob",)),
        "did not recover",
    ),
    "a history without an end": (
        lambda h: without(h, lambda e: isinstance(e, Settled)),
        "not recorded",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_kind_of_violation_is_found(name: str) -> None:
    broken, rule = BROKEN[name]
    assert rule in {violation.rule for violation in check(broken(kept()))}


def gap() -> History:
    """A client that slept while retention removed the first of three."""
    began = Began(
        topics=(TopicFacts(name="short", max_count=2),), subscriptions=(SubscriptionFacts(user="ada", topic="short"),)
    )
    return [
        began,
        join("ada-1", 0, 0, 0.1, topic="short"),
        *(publish(name, seq, float(seq), topic="short") for seq, name in LOG[:3]),
        join("ada-1", 0, 3, 4.0, topic="short", first_seq=2, missing=1, truncated=True, unread=2, expired=1),
        receive("ada-1", 2, 4.1, topic="short"),
        receive("ada-1", 3, 4.2, topic="short"),
        UnreadRead(started=5.0, at=5.1, user="ada", topic="short", acked_up_to=0, unread=2, expired=1),
        LogRead(at=5.2, topic="short", last_seq=3, items=LOG[1:3]),
        Settled(at=6.0),
    ]


def test_a_gap_that_was_told_is_none() -> None:
    assert check(gap()) == []


def told_live(missing: int, up_to: int, *, late: bool = False) -> History:
    """The same gap, of which a client that stayed joined was told, before what follows or after it."""
    told = Missed(client="ada-1", topic="short", missing=missing, up_to=up_to, at=4.1)
    history = without(gap(), lambda event: isinstance(event, Join) and event.at == 4.0)
    place = next(number for number, event in enumerate(history) if isinstance(event, Receive)) + late
    return [*history[:place], told, *history[place:]]


@pytest.mark.parametrize(
    ("told", "rules"),
    [
        (told_live(1, 1), []),
        (told_live(1, 0), []),  # among what comes next
        (told_live(2, 2), ["delivered twice", "not delivered"]),
        (told_live(1, 2), ["gap told wrongly", "delivered twice", "not delivered"]),
        (told_live(0, 0), ["gap told wrongly", "gap that was not told"]),
        (told_live(1, 1, late=True), ["gap that was not told", "gap told wrongly"]),
    ],
    ids=["exactly", "later", "too many", "too few", "none", "after it"],
)
def test_a_gap_is_told_to_who_is_joined_before_what_follows_it(told: History, rules: list[str]) -> None:
    assert [violation.rule for violation in check(told)] == rules


def test_a_position_may_be_pushed_before_anything_was_acknowledged() -> None:
    """A gateway tells positions anew when its feed was interrupted."""
    early = AckPush(client="ada-1", user="ada", topic="news", up_to=0, unread=0, at=0.4)
    assert check([*kept()[:3], early, *kept()[3:]]) == []


def test_a_position_that_was_under_way_counts_what_its_device_received_meanwhile() -> None:
    """A device acknowledges the first before the second is published, and another learns of that last."""
    early = AckPush(client="ada-2", user="ada", topic="news", up_to=0, unread=2, at=2.4)
    history: History = [
        Began(topics=(TopicFacts(name="news"),), subscriptions=(SubscriptionFacts(user="ada", topic="news"),)),
        join("ada-1", 0, 0, 0.1),
        join("ada-2", 0, 0, 0.2),
        publish("n1", 1, 0.5),
        *(receive(client, 1, 1.0, "n1") for client in ("ada-1", "ada-2")),
        ack(1, 1.5, acked_up_to=1, unread=0),
        publish("n2", 2, 1.8),
        *(receive(client, 2, 2.3, "n2") for client in ("ada-1", "ada-2")),
        early,
        *(AckPush(client=client, user="ada", topic="news", up_to=1, unread=1, at=2.5) for client in ("ada-1", "ada-2")),
        UnreadRead(started=5.0, at=5.1, user="ada", topic="news", acked_up_to=1, unread=1, expired=0),
        LogRead(at=5.2, topic="news", last_seq=2, items=((1, "n1"), (2, "n2"))),
        Settled(at=6.0),
    ]
    assert check(history) == []
    assert [one.rule for one in check(replaced(history, early, unread=3))] == ["unread is wrong"]
    assert "unread is wrong" in {one.rule for one in check(without(history, received("ada-2", 2)))}, "it has one only"


def test_what_expired_has_to_be_told() -> None:
    untold = replaced(gap(), read_by("ada"), expired=0)
    assert [violation.rule for violation in check(untold)] == ["unread is wrong"]


def test_a_join_tells_what_expired_too() -> None:
    untold = replaced(gap(), lambda e: isinstance(e, Join) and e.since == 0 and e.last_seq == 3, expired=0)
    assert [violation.rule for violation in check(untold)] == ["unread is wrong"]


def given_up(*others: Event) -> History:
    """The gap, whose first message was not answered, not tried again, and removed before the log was read."""
    lost = FaultSpan(started=0.5, at=2.0, fault="kill", target="gateway-1")
    history = [*gap(), lost, *others]
    return replaced(history, lambda e: isinstance(e, Publish) and e.message == "a", seq=None, outcome="unknown")


@pytest.mark.parametrize("seen", [[], [receive("bob-1", 1, 1.5, topic="short")]], ids=["by nobody", "by a client"])
def test_what_was_given_up_and_removed_counts_if_it_existed(seen: History) -> None:
    history = given_up(join("bob-1", 0, 0, 0.2, topic="short"), *seen)
    history.sort(key=lambda event: event.at)
    assert [one for one in check(history) if one.rule != "not delivered"] == []


def test_what_was_given_up_does_not_count_before_it_was_tried() -> None:
    early = UnreadRead(started=0.8, at=0.9, user="ada", topic="short", acked_up_to=0, unread=1)
    assert [violation.rule for violation in check(given_up(early))] == ["unread is wrong"]


def test_what_was_removed_was_published_once() -> None:
    invented = without(gap(), lambda e: isinstance(e, Publish) and e.message == "a")
    assert "never published" in {violation.rule for violation in check(invented)}
    twice = [*gap(), receive("ada-1", 1, 4.3, "b", topic="short")]
    assert "doubled" in {violation.rule for violation in check(twice)}


def test_a_clock_that_jumped_changes_what_is_due() -> None:
    """The store's clock says when an email is due; the history has another."""
    mailed = before_end(kept(), mail("a", "<1@n>", 4.0))
    assert check(mailed) != []
    assert check([*mailed, FaultSpan(started=1.0, at=2.0, fault="clock", target="store-1")]) == []
