"""Writes results as text or JSON. Published text is escaped, so that it cannot control the terminal."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from notifyx.cli.body_text import shown_body
from notifyx.cli.options import Format
from notifyx.errors import NotifyxError
from notifyx.models import Notification

NOT_A_TERMINAL = 10_000
"""Width if the output is no terminal: nothing is cut off."""

ACTIVE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal interprets: controls, direction marks, private-use characters, surrogates."""

JOINER = "\N{ZERO WIDTH JOINER}"  # holds emoji together
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def visible(text: str, *, lines: bool = False) -> str:
    """Replace characters that a terminal would interpret; ``lines``: line breaks and tabs stay."""
    allowed = f"{JOINER}\n\t" if lines else JOINER
    return "".join(one if one in allowed or unicodedata.category(one) not in ACTIVE else REPLACEMENT for one in text)


class _Console(Console):
    """A console that leaves a closed pipe to the command: Rich would end the process, as if it had failed."""

    def on_broken_pipe(self) -> None:
        """Raise the :class:`BrokenPipeError` that is being handled."""
        raise  # noqa: PLE0704 - Rich calls this where it has caught the error


class Writer:
    """Writes to standard output in one format, and remarks to standard error."""

    def __init__(self, output: Format) -> None:
        self.is_json = output is Format.json
        self._console = _console(stderr=False)
        self._remarks = _console(stderr=True)

    def result(self, data: BaseModel | dict[str, Any], text: str) -> None:
        """Write one result: ``data`` as JSON, or ``text``."""
        if self.is_json:
            self.line(data)
        else:
            self.text(text)

    def line(self, data: BaseModel | dict[str, Any]) -> None:
        """Write ``data`` as one line of JSON, and flush."""
        sys.stdout.write(f"{to_json(data)}\n")
        sys.stdout.flush()

    def text(self, text: str) -> None:
        """Write lines for people."""
        self._console.print(Text(visible(text, lines=True)), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table for people."""
        table = Table(*columns, box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        for row in rows:
            table.add_row(*(Text(visible(str(cell))) for cell in row))
        self._console.print(table)

    def notification(self, notification: Notification) -> None:
        """Write one notification, and flush."""
        if self.is_json:
            self.line(notification)
            return
        head = Text(f"{notification.seq:>6}  {moment(notification.published_at)}  ", style="dim")
        if is_direct(notification):
            head.append(Text(f"from {visible(publisher(notification))}  ", style="dim"))
        style = {"urgent": "bold red", "high": "bold"}.get(notification.priority, "")
        if notification.priority != "normal":
            head.append(Text(f"{visible(notification.priority)}  ", style=style))
        first, _, rest = visible(shown_body(notification.body), lines=True).partition("\n")
        title = visible(notification.title)
        head.append(Text(title or first or json.dumps(notification.data), style=style))
        self._console.print(head, soft_wrap=True)
        for line in ([first] if title and first else []) + rest.splitlines():
            self._console.print(Text(f"        {line}"), soft_wrap=True)
        sys.stdout.flush()

    def remark(self, sentence: str) -> None:
        """A sentence beside the result, on standard error."""
        self._remarks.print(Text(visible(sentence), style="dim"), soft_wrap=True)

    def problem(self, error: NotifyxError) -> None:
        """Write an error to standard error."""
        if self.is_json:
            sys.stderr.write(f"{json.dumps({'error': error.to_dict()})}\n")
        else:
            self._remarks.print(Text(f"notifyx: {visible(error.reason)}"), soft_wrap=True)


def is_direct(notification: Notification) -> bool:
    """Return whether this is a direct message: it is in the log of an inbox."""
    return notification.topic.startswith("user:")


def publisher(notification: Notification) -> str:
    """Return who published a notification, as other clients show them: by name, else by id."""
    return notification.publisher.name or notification.publisher.id or "someone"


def to_json(data: BaseModel | dict[str, Any]) -> str:
    """Return one line of JSON."""
    if isinstance(data, BaseModel):
        return data.model_dump_json()
    return json.dumps(data, default=_plain, ensure_ascii=False, separators=(",", ":"))


def moment(at: datetime) -> str:
    """Format a time for people, in the local zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: int) -> str:
    """Format a duration for people, in the largest unit of which it is a whole number."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds > 0 and seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def lost(count: int) -> str:
    """Return the words for ``count`` notifications that were removed before the caller acknowledged them."""
    return f"{count} notification{'' if count == 1 else 's'} removed before you read {'it' if count == 1 else 'them'}"


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else NOT_A_TERMINAL
    return _Console(file=stream, highlight=False, markup=False, emoji=False, width=width)
