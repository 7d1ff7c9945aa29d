"""What becomes of a digest of what was over a person's number of emails an hour, decided without I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.outbox import OutboxResult
from notifyx_store.mail.bundle_rules import BUNDLE_ITEMS, ITEM_CHARS, Bundle, bundle_change, bundle_mail
from notifyx_store.mail.outbox_rules import TOO_OLD, RetryPolicy

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = RetryPolicy()
statuses = st.sampled_from(["sent", "failed", "refused", "unverified", "gone", "off"])


@given(st.sampled_from(["me", "other", None]), st.integers(1, 9), st.booleans(), st.booleans(), statuses, st.booleans())
def test_it_is_never_dissolved_once_it_may_have_been_sent(
    owner: str | None, attempts: int, confirmed: bool, maybe_sent: bool, status: Any, refused: bool
) -> None:
    bundle = Bundle(owner, attempts, confirmed, maybe_sent, NOW)
    result = OutboxResult(id="x", status=status, address_refused=refused)
    decided = bundle_change(bundle, result, owner="me", now=NOW, policy=POLICY, jitter=0.5)
    if status != "sent" and owner != "me":
        assert decided is None
        return
    assert decided is not None
    assert (decided.items == "final") == (decided.change.state in ("sent", "dead"))
    if maybe_sent or (confirmed and status == "failed"):
        assert decided.items in ("final", "kept")
    elif decided.items != "final":
        assert decided.items == ("single" if status in ("unverified", "refused") else "waiting")


def test_one_that_stays_does_not_wait_for_an_address_for_ever() -> None:
    bundle = Bundle("me", 2, True, True, NOW)
    result = OutboxResult(id="x", status="unverified")
    for age, items in ((POLICY.unverified.age - timedelta(seconds=1), "kept"), (POLICY.unverified.age, "final")):
        decided = bundle_change(bundle, result, owner="me", now=NOW + age, policy=POLICY, jitter=0.5)
        assert decided is not None
        assert decided.items == items
        assert (decided.change.reason == TOO_OLD) == (items == "final")


def notification(topic: str, seq: int, **fields: Any) -> tuple[dict[str, Any], str]:
    body = {"topic": topic, "seq": seq, "title": "", "body": "", "published_at": "2026-03-04T05:06:07.000Z", **fields}
    return body, f"Title of {topic}"


def test_its_mail_is_bounded_and_by_topic() -> None:
    items = [notification(f"t{seq % 3}", seq, body="x" * 9_000, data={"long": "y" * 9_000}) for seq in range(99)]
    mail = bundle_mail(items, 1_000, 60)
    listed = mail["notifications"]
    assert (mail["topic"], len(listed), mail["count"], mail["more"]) == ("", BUNDLE_ITEMS, 1_000, 950)
    assert [item["topic"] for item in listed] == sorted(item["topic"] for item in listed)
    assert {len(item["body"]) for item in listed} == {ITEM_CHARS + 1}
    assert {item["data"] for item in listed} == {None}


def test_of_one_topic_it_has_the_name_and_what_has_only_data_shows_that() -> None:
    mail = bundle_mail([notification("ops", 2, title="b"), notification("ops", 1, data={"disk": 97})], 2, 60)
    assert (mail["topic"], mail["topic_title"], mail["more"]) == ("ops", "Title of ops", 0)
    assert [(item["seq"], item["data"]) for item in mail["notifications"]] == [(1, {"disk": 97}), (2, None)]
