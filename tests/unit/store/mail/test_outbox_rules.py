"""What becomes of an email, decided without I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.outbox import OutboxResult
from notifyx_store.mail.outbox_rules import (
    DIGEST_BODY_CHARS,
    DIGEST_ITEMS,
    FINAL_STATES,
    UNVERIFIED,
    OutboxChange,
    OutboxRow,
    RetryPolicy,
    change_for,
    digest_mail,
    notification_mail,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = RetryPolicy()

states = st.sampled_from(["pending", "leased", "sent", "fenced", "dead"])
statuses = st.sampled_from(["sent", "failed", "refused", "unverified", "gone", "off"])
jitters = st.floats(0, 1, exclude_max=True)


def told(status: Any, **more: Any) -> OutboxResult:
    return OutboxResult(id="x", status=status, **more)


def decide(row: OutboxRow, result: OutboxResult, jitter: float = 0.5) -> OutboxChange | None:
    return change_for(row, result, owner="me", now=NOW, policy=POLICY, jitter=jitter)


@given(states, st.sampled_from(["me", "other", None]), st.integers(0, 20), statuses, st.booleans(), jitters)
def test_final_rows_never_change_and_strangers_only_say_sent(
    state: Any, owner: str | None, attempts: int, status: Any, refused: bool, jitter: float
) -> None:
    change = decide(OutboxRow(state, owner, attempts), told(status, address_refused=refused), jitter)
    if state in FINAL_STATES:
        assert change is None
    elif status == "sent":
        assert change == OutboxChange("sent", attempts, ends_wait=True)
    elif state != "leased" or owner != "me":
        assert change is None
    else:
        assert change is not None
        assert change.state in ("pending", "dead")
        assert change.address_refused == (status == "refused" and refused)
        assert change.unverified == (status == "unverified")
        assert change.ends_wait == (status in ("failed", "refused", "gone"))
        assert (change.due_at is not None) == (change.state == "pending")
        assert change.due_at is None or change.due_at > NOW
        assert change.reason is not None


def test_a_failure_is_retried_until_it_is_one_too_many() -> None:
    reasons = [decide(OutboxRow("leased", "me", n), told("failed", reason="451 busy")) for n in range(1, 9)]
    assert [change.state for change in reasons if change] == ["pending"] * 7 + ["dead"]
    assert reasons[-1] == OutboxChange("dead", 8, reason="451 busy", ends_wait=True)


def test_email_being_off_costs_no_attempt() -> None:
    change = decide(OutboxRow("leased", "me", 3), told("off"))
    assert change is not None
    assert (change.state, change.attempts, change.reason) == ("pending", 2, "email is off")


def test_waiting_for_a_verified_address_costs_no_attempt() -> None:
    due = NOW + POLICY.unverified.recheck
    change = decide(OutboxRow("leased", "me", 8), told("unverified", reason="any"))
    assert change == OutboxChange("pending", 7, due_at=due, reason=UNVERIFIED, unverified=True)


@pytest.mark.parametrize(("status", "reason"), [("refused", "refused"), ("gone", "no such user")])
def test_a_dead_mail_says_why(status: str, reason: str) -> None:
    change = decide(OutboxRow("leased", "me", 1), told(status))
    assert change == OutboxChange("dead", 1, reason=reason, ends_wait=True)


@given(st.text(max_size=500))
def test_whatever_a_server_says_becomes_a_line_of_text(said: str) -> None:
    change = decide(OutboxRow("leased", "me", 1), told("failed", reason=said))
    assert change is not None
    assert change.reason is not None
    assert change.reason == "" or change.reason.isprintable()


@given(st.integers(0, 10_000), jitters)
def test_delays_grow_are_bounded_and_never_nothing(attempt: int, jitter: float) -> None:
    delay = POLICY.delay(attempt, jitter)
    assert timedelta(seconds=2.5) <= delay <= timedelta(hours=4)
    assert POLICY.delay(attempt + 1, jitter) >= delay
    assert delay >= POLICY.delay(attempt, 0.0)


def notification(seq: int, body: str = "b") -> dict[str, Any]:
    return {
        "id": f"i-{seq}", "topic": "deploys", "seq": seq, "title": f"T{seq}", "body": body, "data": {"disk": 1},
        "priority": "high", "publisher": {"id": "u1", "name": "Ann"}, "published_at": "2026-01-02T03:04:05.000Z",
    }  # fmt: skip


def test_a_mail_carries_the_whole_body_and_the_data() -> None:
    context = notification_mail(notification(3, "x" * 32_768), "Deploys")
    assert context == {
        "topic": "deploys", "topic_title": "Deploys", "seq": 3, "title": "T3", "body": "x" * 32_768,
        "data": {"disk": 1}, "priority": "high", "publisher": "Ann", "published_at": "2026-01-02T03:04:05.000Z",
    }  # fmt: skip


def test_much_data_is_mailed_as_its_beginning() -> None:
    data = {"n" * 500: 1, "text": "x" * 9000, "list": [1] * 500, "none": None, **{str(key): key for key in range(50)}}
    context = notification_mail({**notification(1), "data": data}, "")
    assert context["data"] == {
        "n" * 200: 1, "text": "x" * 200, "list": ("[" + "1," * 500)[:200], "none": None, "0": 0, "1": 1, "2": 2, "3": 3,
    }  # fmt: skip


def test_a_publisher_without_a_name_is_shown_by_id() -> None:
    nameless = {**notification(1), "publisher": {"id": "system:x", "name": ""}}
    assert notification_mail(nameless, "")["publisher"] == "system:x"


@given(st.integers(1, DIGEST_ITEMS), st.integers(0, 1000))
def test_a_digest_accounts_for_every_notification(listed: int, beyond: int) -> None:
    items = [notification(seq, "y" * 2000) for seq in range(listed)]
    context = digest_mail(items, listed + beyond, "deploys", "Deploys")
    assert len(context["notifications"]) + context["more"] == context["count"] == listed + beyond
    assert all(len(item["body"]) == DIGEST_BODY_CHARS for item in context["notifications"])
