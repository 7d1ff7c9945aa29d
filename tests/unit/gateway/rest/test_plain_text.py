"""Text that is plain at its sender is shown as it was written, by the Markdown that emails use."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx_common.contracts.store.log import KeyedNotification
from notifyx_gateway.rest.hooks.kinds import kind_of
from notifyx_gateway.rest.hooks.plain_text import as_written
from notifyx_gateway.rest.hooks.publication import Delivery
from notifyx_mailer.markdown import parse

PIECES = (
    *"ab1 \n\t*_~`[]()<>#+-=|:.&!\\'\"/xw@é", "https://", "http://a.b/", "ftp://", "www.", "](", "]: ", "&amp;",
    "&#35;",
    "1. ", "---", "```", "~~~", "# ", "> ", "- ", "<b>", "</", "<!--", "__", "**", "\r", "\x01", "a@b.co",
    "    ", "\\\n",
)  # fmt: skip


def shown(markdown: str) -> str:
    """The text of Markdown that has nothing but paragraphs, lines and links in it."""
    lines: list[str] = []
    for token in parse(markdown):
        assert token.type in ("paragraph_open", "inline", "paragraph_close"), token.type
        inner = token.children or []
        assert {one.type for one in inner} <= {"text", "softbreak", "hardbreak", "link_open", "link_close"}, inner
        lines.append("".join("\n" if one.type.endswith("break") else one.content for one in inner))
    return "\n".join(lines)


def words(text: str) -> list[str]:
    """The lines of ``text``, without what no page shows: runs of spaces, empty lines, control characters."""
    unix = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    return [" ".join(line.split()) for line in unix.split("\n") if line.strip()]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_what_is_shown_is_what_was_written(text: str) -> None:
    assert words(shown(as_written(text))) == words(text)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("fix <b>*x*</b> [y](javascript:alert(1))", r"fix \<b>\*x\*\</b> \[y](javascript:alert(1))"),
        ("__name__ of snake_case", r"\_\_name\_\_ of snake_case"),
        ("# of pods: 5\n#7 - 2 * 3", "\\# of pods: 5\n#7 - 2 * 3"),
        (r"C:\Users\x [ERROR] a < b && c | d", r"C:\Users\x [ERROR] a < b && c | d"),
        ("1. a\n-5\n- 5", "1\\. a\n-5\n\\- 5"),
        ("at x\n  in y", "at x\n\u00a0\u00a0in y"),
    ],
)
def test_only_what_needs_it_is_escaped(text: str, markdown: str) -> None:
    assert as_written(text) == markdown


@pytest.mark.parametrize(
    "address", ["https://a.b/c-d", "https://a.b/__x__?y=1&copy=*2*z", "https://a.b/z_(a)", "http://[::1]:80/a_b"]
)
def test_addresses_stay_links(address: str) -> None:
    (inline,) = [token for token in parse(as_written(f"See {address}, *now*.")) if token.type == "inline"]
    links = [one.attrGet("href") for one in inline.children or [] if one.type == "link_open"]
    assert [str(link).replace("%5B", "[").replace("%5D", "]") for link in links] == [address]


def test_a_long_text_takes_no_long_time() -> None:
    for piece in ("www.", "http://a ", "[", "\\", "_a", "- ", "|-", "http://a_(", "<a"):
        began = time.process_time()
        as_written(piece * (400_000 // len(piece)))
        assert time.process_time() - began < 2, piece


COMMIT = "fix *x* <b>"
ESCAPED = r"fix \*x\* \<b>"


@pytest.mark.parametrize(
    ("kind", "event", "payload", "body"),
    [
        ("github", "push", {"commits": [{"id": "1", "message": COMMIT}]}, f"- 1 {ESCAPED}"),
        ("github", "workflow_run", {"workflow_run": {"display_title": COMMIT}}, ESCAPED),
        ("github", "status", {"description": COMMIT}, ESCAPED),
        ("github", "gollum", {"pages": [{"action": "edited", "title": COMMIT}]}, f"- edited {ESCAPED}"),
        ("github", "issues", {"issue": {"body": COMMIT}}, COMMIT),
        ("gitlab", "", {"object_kind": "push", "commits": [{"id": "1", "title": COMMIT}]}, f"- 1 {ESCAPED}"),
        ("gitlab", "", {"object_kind": "pipeline", "commit": {"title": COMMIT}}, ESCAPED),
        ("gitlab", "", {"object_kind": "deployment", "commit_title": COMMIT}, ESCAPED),
        ("gitlab", "", {"object_kind": "tag_push", "message": COMMIT}, ESCAPED),
        ("gitlab", "", {"object_kind": "note", "object_attributes": {"note": COMMIT}}, COMMIT),
        ("alertmanager", "", {"alerts": [{"annotations": {"summary": "s", "description": COMMIT}}]}, ESCAPED),
        ("grafana", "", {"alerts": [{"annotations": {"summary": "s", "message": COMMIT}}]}, ESCAPED),
        ("apprise", "", {"title": "t", "message": COMMIT}, ESCAPED),
        ("apprise", "", {"title": "t", "message": COMMIT, "format": "markdown"}, COMMIT),
    ],
)  # fmt: skip
def test_what_is_plain_at_its_sender_is_shown_so(kind: str, event: str, payload: dict[str, object], body: str) -> None:
    (told,) = kind_of(kind).read(Delivery({"sender": {"login": "ada"}, **payload}, {"x-github-event": event}))
    assert isinstance(told, KeyedNotification)
    assert told.body == body
