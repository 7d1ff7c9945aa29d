"""The accounts whose topics accept nothing new, because they have stored as much as one account may. Pure.

What each has stored is estimated in the background (``maintenance/stored.py``). A publish looks here, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from notifyx_store.base.errors import AccountStorageFull
from notifyx_store.topics.permissions import TopicRow


@dataclass(slots=True)
class FullAccounts:
    """What one replica knows of them; ``ids`` is replaced, never changed."""

    ids: frozenset[str] = frozenset()


def check_account(topic: TopicRow, full: frozenset[str]) -> None:
    """Raise :class:`AccountStorageFull` if the account that the topic is charged to is in ``full``.

    That is the one that created it, as long as no resource owns the topic.
    """
    if topic.created_by in full and topic.resource is None:
        raise AccountStorageFull(
            "The account that created this topic has stored as much as it may. Its owner can delete topics or shorten "
            "their retention; publishes are accepted again about a minute after that."
        )
