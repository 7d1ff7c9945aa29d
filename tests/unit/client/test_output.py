"""Output: no characters that a terminal interprets, nothing cut off, and JSON in lines."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime

import pytest

from notifyx.cli.history import absent, whole
from notifyx.cli.options import Format
from notifyx.cli.output import Writer, duration, visible
from notifyx.cli.prompts import optional
from notifyx.cli.rows import gist, show_acked, show_log
from notifyx.errors import FieldError, InvalidRequest
from notifyx.models import HistoryPage, InboxNotification, Notification, Publisher

EVIL = "\x1b[2J\x1b]0;owned\x07 \u202etxt.exe \x9b31m"
NOTE = Notification(
    id="1",
    topic="t",
    seq=7,
    title=f"Title {EVIL}",
    body=f"one {EVIL}\ntwo",
    published_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    assert visible("a\x1b[31mb\nc") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c"
    assert visible("a\nb\tc", lines=True) == "a\nb\tc"
    assert visible("naïve 日本 👩\u200d🚀") == "naïve 日本 👩\u200d🚀"


def test_a_notification_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    Writer(Format.text).notification(NOTE)
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\u202e")
    assert [line.split()[0] for line in out.splitlines()] == ["7", "one", "two"]


def test_a_notification_says_how_urgent_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for priority in ("urgent", "high", "normal", "low"):
        Writer(Format.text).notification(NOTE.model_copy(update={"title": "T", "body": "", "priority": priority}))
    assert [line.split()[3:] for line in capsys.readouterr().out.splitlines()] == [
        ["urgent", "T"],
        ["high", "T"],
        ["T"],
        ["low", "T"],
    ]


def test_a_notification_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Writer(Format.json).notification(NOTE)
    (line,) = capsys.readouterr().out.splitlines()
    assert Notification.model_validate_json(line) == NOTE


def test_tables_are_not_cut_where_there_is_no_screen(capsys: pytest.CaptureFixture[str]) -> None:
    Writer(Format.text).table(("A", "B"), [("x" * 300, "[bold]not markup[/bold]\nline")])
    out = capsys.readouterr().out
    assert "x" * 300 in out
    assert "[bold]not markup[/bold]\N{REPLACEMENT CHARACTER}line" in out


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidRequest(f"Wrong {EVIL}", code="validation_failed", fields=(FieldError("name", "Too long."),))
    Writer(Format.text).problem(error)
    Writer(Format.json).problem(error)
    text, data = capsys.readouterr().err.splitlines()
    assert text.startswith("notifyx: Wrong ")
    assert "\x1b" not in text + data
    assert json.loads(data)["error"] == {
        "code": "validation_failed",
        "reason": f"Wrong {EVIL}",
        "http_status": 400,
        "fields": [{"field": "name", "reason": "Too long."}],
    }


def test_durations_are_whole_numbers_of_a_unit_that_people_use() -> None:
    seconds = (1, 10, 60, 900, 5_400, 86_400, 2_592_000, 100_001)
    assert [duration(one) for one in seconds] == [
        "1 second", "10 seconds", "1 minute", "15 minutes", "90 minutes", "1 day", "30 days", "100001 seconds",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "body", "line"),
    [
        ("cart", "Version 1.42\n is live", "cart: Version 1.42 is live"),
        ("cart", "", "cart"),
        ("cart_1", r"\# \*so\* it \_was\_", "cart_1: # *so* it _was_"),
        ("", "\nfirst\nsecond", "first second"),
        ("cart", "x" * 200, f"cart: {'x' * 160}…"),
        ("", "", '{"n": 1}'),
    ],
)
def test_a_row_has_the_title_and_the_beginning_of_the_body(title: str, body: str, line: str) -> None:
    assert gist(NOTE.model_copy(update={"title": title, "body": body, "data": {"n": 1}})) == line


def test_a_body_is_shown_without_backslashes_of_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    note = NOTE.model_copy(update={"title": "T", "body": r"\*plain\* `C:\*`"})
    Writer(Format.text).notification(note)
    assert capsys.readouterr().out.splitlines()[1].strip() == r"*plain* `C:\*`"
    assert whole("t", note).endswith("\n\nT\n\n" + r"*plain* `C:\*`")
    Writer(Format.json).notification(note)
    assert json.loads(capsys.readouterr().out)["body"] == note.body, "programs have it as it is"


@pytest.mark.parametrize(("name", "shown"), [("Ada", "from Ada\n"), ("", "from u-1\n")])
def test_a_publisher_without_a_name_is_shown_by_id(name: str, shown: str) -> None:
    assert shown in whole("t", NOTE.model_copy(update={"publisher": Publisher(id="u-1", name=name)}))


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (1, 0, "There is no notification 3 in user:me: it has nothing yet."),
        (1, 2, "There is no notification 3 in user:me: it ends at 2."),
        (4, 3, "Notification 3 of user:me was removed: it holds none any more."),
        (4, 9, "Notification 3 of user:me was removed: it holds 4 to 9."),
        (2, 9, "Notification 3 of user:me was removed: it holds 2 to 9."),
    ],
)
def test_what_was_removed_is_told_from_what_never_was(first: int, last: int, told: str) -> None:
    assert absent("user:me", 3, HistoryPage(items=(), first_seq=first, last_seq=last, next=None)) == told


def test_a_direct_message_says_whom_it_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    ada = Publisher(id="u-1", name=f"Ada {EVIL}")
    direct = NOTE.model_copy(update={"topic": "user:u-2", "title": "T", "publisher": ada})
    writer = Writer(Format.text)
    show_log(writer, [direct], empty="")
    head, row = capsys.readouterr().out.splitlines()
    assert (head.split(), "  Ada " in row) == (["SEQ", "WHEN", "FROM", "PRIORITY", "WHAT"], True)
    mixed = [InboxNotification(**one.model_dump(), acked=True) for one in (NOTE, direct)]
    show_acked(writer, mixed, empty="")
    head, other, row = capsys.readouterr().out.splitlines()
    assert ("FROM" in head, " Ada " in other, "  Ada " in row) == (True, False, True)
    show_acked(writer, mixed[:1], empty="")
    assert "FROM" not in capsys.readouterr().out, "topics alone need no column for it"
    writer.notification(direct)
    followed = capsys.readouterr().out
    assert "  from Ada " in followed.splitlines()[0]
    assert "\x1b" not in followed
    writer.notification(NOTE)
    assert "from" not in capsys.readouterr().out


class Terminal(io.StringIO):
    """Standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_a_name_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdin, name in ((Terminal("Ada \n"), "Ada"), (Terminal("\n"), ""), (io.StringIO("a password\n"), "")):
        monkeypatch.setattr(sys, "stdin", stdin)
        assert optional("Name") == name
    assert sys.stdin.readline() == "a password\n", "without a terminal nothing is read"
