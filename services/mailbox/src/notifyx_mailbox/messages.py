"""Stores messages on disk, one ``.eml`` file each; beyond a limit the oldest are removed."""

from __future__ import annotations

import email
import email.policy
import itertools
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from notifyx_common.clock import rfc3339

MAX_MESSAGES = 2000


@dataclass(frozen=True, slots=True)
class Summary:
    """The fields of a message that a list shows; ``id`` sorts by arrival."""

    id: str
    received_at: str
    sender: str
    recipients: str
    subject: str
    message_id: str

    @property
    def searched(self) -> str:
        """What a search looks at, in lower case."""
        return f"{self.subject}\n{self.recipients}\n{self.sender}".lower()


@dataclass(frozen=True, slots=True)
class Content:
    """A whole message; ``headers`` as received, ``text`` and ``html`` ``None`` where it has no such part."""

    summary: Summary
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: ``first`` is the place of its first message among the ``found`` ones, of ``total`` in all.

    ``newest`` is the id of the newest message of all; empty if there is none.
    """

    items: list[Summary]
    first: int
    number: int
    pages: int
    found: int
    total: int
    newest: str


class Mailbox:
    """The messages of one folder; beyond ``limit`` the oldest are removed."""

    def __init__(self, folder: Path, *, limit: int = MAX_MESSAGES) -> None:
        self._folder = folder
        self.limit = limit
        self._numbers = itertools.count()
        self._summaries: dict[str, Summary] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Mail contains links that give access like passwords.
        folder.chmod(0o700)

    def add(self, raw: bytes) -> str:
        """Store a message on disk; return its id."""
        name = f"{time.time_ns():020d}-{next(self._numbers) % 10_000:04d}"
        partial = self._folder / f"{name}.partial"
        with partial.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path(name))
        for old in self._ids()[self.limit :]:
            self._remove(old)
        return name

    def newest(self, limit: int = 200) -> list[Summary]:
        """Return up to ``limit`` messages, the newest first."""
        return [summary for name in self._ids()[:limit] if (summary := self._summary(name)) is not None]

    def page(self, words: str, number: int, size: int) -> Page:
        """Return a page of the messages with each of ``words`` in their subject, sender or recipients, newest first.

        The first page has number 1; past the last one, the last is returned.
        """
        names = self._ids()
        total, parts = len(names), words.lower().split()
        newest = names[0] if names and self._summary(names[0]) is not None else ""
        if parts:
            summaries = [summary for name in names if (summary := self._summary(name)) is not None]
            names = [one.id for one in summaries if all(part in one.searched for part in parts)]
        pages = max(1, -(-len(names) // size))
        number = max(1, min(number, pages))
        first = (number - 1) * size
        items = [one for name in names[first : first + size] if (one := self._summary(name)) is not None]
        return Page(items, first=first + 1, number=number, pages=pages, found=len(names), total=total, newest=newest)

    def get(self, name: str) -> Content | None:
        """Return one message, or ``None`` for an unknown id."""
        raw = self._read(name)
        if raw is None:
            return None
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return Content(
            summary=_summarise(name, parsed),
            headers=[(_printable(key), _header(parsed, key, nth)) for key, nth in _with_occurrence(parsed.keys())],
            text=_part(parsed, "plain"),
            html=_part(parsed, "html"),
        )

    def clear(self) -> None:
        """Remove every message."""
        for name in self._ids():
            self._remove(name)

    def _ids(self) -> list[str]:
        return sorted((path.stem for path in self._folder.glob("*.eml")), reverse=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.eml"

    def _remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        self._summaries.pop(name, None)

    def _summary(self, name: str) -> Summary | None:
        # A received message never changes, and the page fetches the list every two seconds.
        if (known := self._summaries.get(name)) is not None:
            return known
        raw = self._read(name)
        if raw is None:
            return None
        parsed = BytesHeaderParser(policy=email.policy.default).parsebytes(raw)
        self._summaries[name] = made = _summarise(name, parsed)
        return made

    def _read(self, name: str) -> bytes | None:
        if not name.isascii() or not name.replace("-", "").isdigit():
            return None
        try:
            return self._path(name).read_bytes()
        except OSError:
            return None


def _summarise(name: str, message: Message[Any, Any]) -> Summary:
    received = datetime.fromtimestamp(int(name.partition("-")[0]) / 1e9, UTC)
    return Summary(
        id=name,
        received_at=rfc3339(received),
        sender=_header(message, "From"),
        recipients=_header(message, "To"),
        subject=_header(message, "Subject"),
        message_id=_header(message, "Message-ID"),
    )


def _with_occurrence(keys: Iterable[str]) -> list[tuple[str, int]]:
    seen: Counter[str] = Counter()
    numbered = []
    for key in keys:
        numbered.append((key, seen[key.lower()]))
        seen[key.lower()] += 1
    return numbered


def _header(message: Message[Any, Any], key: str, nth: int = 0) -> str:
    """Return a header's value as one line; one that cannot be parsed is returned as received.

    A decoded value may contain line ends; shown as such, the rest of it would look like further headers.
    """
    try:
        values = message.get_all(key, [])
        return _one_line(str(values[nth])) if len(values) > nth else ""
    except Exception:  # noqa: BLE001 - the standard library's parser fails on some malformed headers
        raw = [value for name, value in message.raw_items() if name.lower() == key.lower()]
        return _one_line(str(raw[nth]))


def _part(message: EmailMessage, kind: str) -> str | None:
    """Return the text of the part of this kind; one in an unknown encoding is decoded as far as possible."""
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        return _printable(str(part.get_content()))
    except (LookupError, ValueError):
        payload = part.get_payload(decode=True)
        return payload.decode("latin-1") if isinstance(payload, bytes) else _printable(str(part.get_payload()))


def _one_line(text: str) -> str:
    """Replace line ends and other control characters of ``text`` by spaces."""
    return "".join(" " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char for char in _printable(text))


def _printable(text: str) -> str:
    """Replace the surrogates in ``text`` that stand for bytes that are not UTF-8."""
    return text.encode("utf-8", "replace").decode()
