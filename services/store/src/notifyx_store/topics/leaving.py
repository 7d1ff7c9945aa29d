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
    """A user who leaves: the entries of allow-lists that name them, and what they want for topics of theirs alone.

    ``followed`` are the topics to which the heir subscribes. Those alone are given: nobody gets what they have never
    chosen to see. The others stay without a creator.
    """

    grants: Collection[str]
    fate: TopicsFate
    heir: str = ""
    followed: Collection[str] = ()

    def settle(self, topic: TopicRow) -> Settlement:
        """Return what becomes of ``topic``.

        What a resource declares is changed there. A topic with other creators is theirs: the leaver is taken off its
        lists, and nothing else is decided for them. Who is given a topic did not create it: it does
        not count in what they may create.
        """
        if topic.is_inbox or topic.resource is not None:
            return Settlement()
        creators = self._without(topic.creators)
        alone = bool(topic.creators) and not creators
        if alone and self.fate == "delete":
            return Settlement(delete=True)
        if alone and self.fate == "give" and topic.name in self.followed:
            creators = [self.heir]
        after = {
            "creators": creators,
            "publishers": self._without(topic.publishers),
            "readers": self._without(topic.readers),
        }
        changes: dict[str, Any] = {name: value for name, value in after.items() if value != list(getattr(topic, name))}
        return Settlement(changes=changes)

    def _without(self, entries: Collection[str]) -> list[str]:
        return [entry for entry in entries if entry not in self.grants]
