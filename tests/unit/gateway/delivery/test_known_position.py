"""What a client is told of its position: nothing older than it knows, with all unread that it was sent."""

from __future__ import annotations

from typing import Any

from notifyx_common.contracts.store.feed import RECENT
from notifyx_common.contracts.store.joins import JoinResult
from notifyx_gateway.delivery.known_position import KnownPosition


def joined(acked: int, head: int, revision: int = 0) -> KnownPosition:
    """What a client knows at 100 s, to whose join was answered this."""
    fields: dict[str, Any] = dict.fromkeys(JoinResult.model_fields, 0)
    return KnownPosition(
        JoinResult.model_construct(**{**fields, "acked_up_to": acked, "last_seq": head, "revision": revision}), 100.0
    )


def position(up_to: int, unread: int, head: int, revision: int = 0) -> dict[str, Any]:
    return {"up_to": up_to, "seqs": [], "unread": unread, "head": head, "revision": revision}


def test_a_position_from_before_the_join_is_not_told() -> None:
    known = joined(acked=4, head=10)
    assert known.report(position(0, 9, 9), 0, 101.0) is None
    assert known.report(position(4, 6, 10), 0, 101.0) == position(4, 6, 10)
    assert known.report(position(7, 3, 10), 0, 101.0) == position(7, 3, 10)
    assert known.report(position(4, 6, 10), 0, 102.0) is None, "what was told counts as well"


def test_what_was_taken_back_is_newer() -> None:
    known = joined(acked=4, head=10)
    assert known.report(position(0, 10, 10, revision=1), 0, 101.0) is not None
    assert known.report(position(4, 6, 10), 0, 101.0) is None


def test_after_a_while_any_position_is_told() -> None:
    assert joined(acked=4, head=10).report(position(0, 10, 10), 0, 100.0 + RECENT) is not None


def test_what_a_position_does_not_count_is_unread() -> None:
    known = joined(acked=4, head=10)
    assert known.report(position(4, 5, 9), 0, 101.0) == position(4, 6, 9), "the join knew 10"
    assert known.report(position(4, 6, 10), 12, 101.0) == position(4, 8, 10), "12 was sent"
    assert known.report(position(4, 10, 14), 12, 101.0) == position(4, 10, 14)
    assert known.report(position(4, 9, 13), 12, 101.0) == position(4, 10, 13)
