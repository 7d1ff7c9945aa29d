"""What a webhook of a forge says of an event. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notifyx_common.contracts.store.names import Priority


@dataclass(frozen=True, slots=True)
class EventText:
    """A sentence about the event, the text that people wrote, a link, and what else is known of it."""

    words: str
    body: str = ""
    link: str = ""
    priority: Priority = "normal"
    data: Mapping[str, Any] = field(default_factory=dict)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, which takes an s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def labelled(words: str, label: str) -> str:
    """Return ``words``, with the label of what they are about, if it has one."""
    return f"{words}: {label}" if label else words
