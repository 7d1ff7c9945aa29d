"""What becomes of a topic when a user's account is deleted. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from notifyx_common.contracts.departures import TopicsFate
from notifyx_store.topics.permissions import TopicRow


@dataclass(frozen=True, slots=True)
class Settlement:
    """``delete``, or the settings that change; neither: the topic stays as it is."""

    delete: bool = False
    changes: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Leaver:
    """A user who leaves: the entries of allow-lists that name them, and what they want for topics of theirs alone."""

    grants: Collection[str]
    fate: TopicsFate
    heir: str = ""

    def settle(self, topic: TopicRow) -> Settlement:
        """Return what becomes of ``topic``.

        What a resource declares is changed there. A topic with other creators is theirs: the leaver is taken off its
        lists, and nothing else is decided for them.
        """
        if topic.is_inbox or topic.resource is not None:
            return Settlement()
        creators = self._without(topic.creators)
        alone = bool(topic.creators) and not creators
        if alone and self.fate == "delete":
            return Settlement(delete=True)
        if alone and self.fate == "give":
            creators = [self.heir]
        after = {
            "creators": creators,
            "publishers": self._without(topic.publishers),
            "readers": self._without(topic.readers),
        }
        changes: dict[str, Any] = {name: value for name, value in after.items() if value != list(getattr(topic, name))}
        if alone and self.fate == "give":
            changes["created_by"] = self.heir
        return Settlement(changes=changes)

    def _without(self, entries: Collection[str]) -> list[str]:
        return [entry for entry in entries if entry not in self.grants]
