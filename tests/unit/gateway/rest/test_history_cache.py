"""Pages of the history that never change again."""

from __future__ import annotations

from notifyx_common.contracts.store.log import HistoryPage
from notifyx_gateway.rest.history_cache import is_immutable


def page(*seqs: int, expires: str | None = None) -> HistoryPage:
    items = [{"seq": seq, "expires_at": expires} for seq in seqs]
    return HistoryPage(items=items, first_seq=1, last_seq=100, next=None)


def test_only_full_pages_without_holes_or_expiry_are_final() -> None:
    assert is_immutable(page(3, 4, 5), 2, 3)
    assert not is_immutable(page(3, 4), 2, 3)
    assert not is_immutable(page(3, 5, 6), 2, 3)
    assert not is_immutable(page(4, 5, 6), 2, 3)
    assert not is_immutable(page(3, 4, 5, expires="2030-01-01T00:00:00Z"), 2, 3)
