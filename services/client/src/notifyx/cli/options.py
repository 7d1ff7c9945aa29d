"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from notifyx.client import DEFAULT_URL

__all__ = ["DEFAULT_URL", "EmailChoice", "Format", "Output", "PriorityChoice", "Url"]


class Format(StrEnum):
    """How results are written."""

    text = "text"
    json = "json"


class PriorityChoice(StrEnum):
    """How urgent a notification is."""

    low = "low"
    normal = "normal"
    high = "high"
    urgent = "urgent"


class EmailChoice(StrEnum):
    """When a subscriber is mailed."""

    never = "never"
    every = "every"
    unread = "unread"
    digest = "digest"


Url = Annotated[str, typer.Option("--url", envvar="NOTIFYX_URL", help="Base URL of the deployment.", metavar="URL")]
Output = Annotated[
    Format, typer.Option("--output", "-o", envvar="NOTIFYX_OUTPUT", help="For people, or JSON for programs.")
]
