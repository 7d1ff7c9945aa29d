"""Targets of what is written from others' texts: emails, and the topics of resources."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from html.parser import HTMLParser

import orjson
from pydantic import ValidationError

from fuzz.target import Target
from notifyx_common.contracts.mailer import Mail, NotificationContext
from notifyx_common.contracts.store.topics import Topic
from notifyx_common.errors import NotifyxError
from notifyx_mailer.headers import printable_line
from notifyx_mailer.markdown import parse as parse_markdown
from notifyx_mailer.markdown import to_html
from notifyx_mailer.message import compose
from notifyx_mailer.plain_text import first_line, to_text
from notifyx_mailer.render import Rendered, Renderer, one_line
from notifyx_topics.files import InvalidFile, read_documents
from notifyx_topics.plan import Put, Reject, plan_topics
from notifyx_topics.resource import InvalidResource, Resource, parse

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RENDERER = Renderer()

HEADERS = [
    "Auto-Submitted", "Content-Type", "Date", "From", "List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version",
    "Message-ID", "Subject", "To",
]  # fmt: skip

ELEMENTS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {("a", "href"), ("a", "rel"), ("a", "title"), ("ol", "start"), ("td", "style"), ("th", "style")} | {
    (tag, "dir") for tag in ("blockquote", "h3", "h4", "h5", "h6", "li", "ol", "p", "table", "td", "th", "ul")
}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class _Markup(HTMLParser):
    """Requires of each element what a mail program may meet."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert (tag, name) in ATTRIBUTES, (tag, name)
            if name == "href":
                assert (value or "").lower().startswith(("http://", "https://", "mailto:")), value
            if name == "dir":
                assert value in ("auto", "ltr", "rtl"), value
            if name == "style":
                assert re.fullmatch(r"text-align: ?(left|right|center);?", value or ""), value

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data!r}")


def mail_headers(data: bytes) -> None:
    """The message of an email whose texts are the lines: recipient, sender's name, subject, message id."""
    lines = data.decode("utf-8", "surrogateescape").split("\n", 3)
    to, name, message_id, subject = (*lines, "", "", "", "")[:4]
    sender = Address(one_line(name, 200), addr_spec="notifyx@example.org")
    mail = Mail(
        id="m1",
        message_id=message_id,
        to=to,
        context=NotificationContext(),
        unsubscribe_url=f"https://notifyx.test/u?{message_id}" if name else None,
    )
    envelope = compose(mail, Rendered(subject, "Text.\n", "<p>Html</p>\n"), sender, NOW)
    head = envelope.message.partition(b"\r\n\r\n")[0]
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert b"\n" not in head.replace(b"\r\n", b"")
    policy = email.policy.default.clone(utf8=True)
    message = email.message_from_string(envelope.message.decode(), policy=policy)
    assert sorted(message.keys()) == [one for one in HEADERS if name or not one.startswith("List-")]
    assert not message.defects
    assert str(message["Subject"]) == printable_line(subject)
    assert [one.addr_spec for one in message["To"].addresses] == [envelope.recipient]
    assert [one.addr_spec for one in message["From"].addresses] == [sender.addr_spec]


def markdown(data: bytes) -> None:
    """A body as HTML and as text."""
    source = data.decode("utf-8", "replace")
    tokens = parse_markdown(source)
    html = str(to_html(tokens))
    assert not _CONTROL.search(html)
    reader = _Markup()
    reader.feed(html)
    reader.close()
    to_text(tokens)
    assert "\n" not in first_line(tokens)


def email_of_notification(data: bytes) -> None:
    """A whole email of a notification: title in the first line, data as JSON in the second, then the body."""
    title, raw, source = (*data.decode("utf-8", "replace").split("\n", 2), "", "")[:3]
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        found = None
    context = NotificationContext(
        title=title, body=source, data=found if isinstance(found, dict) else None, topic=title[:50], publisher=title
    )
    mail = Mail(id="m1", message_id="<m1@notifyx.test>", to="ann@example.org", context=context)
    rendered = RENDERER.render(mail)
    assert rendered.html.count("<h1") <= 1
    assert not _CONTROL.search(rendered.text + rendered.html + rendered.subject)
    assert "\n" not in rendered.subject
    compose(mail, rendered, Address("Notifyx", addr_spec="notifyx@example.org"), NOW)


def topic_resource(data: bytes) -> None:
    """A NotifyxTopic in JSON, as the API server sends it."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if isinstance(document, dict):
        _check_plan(parse(document))


def topic_file(data: bytes) -> None:
    """A file of NotifyxTopics in YAML."""
    for _, resource in read_documents("topics.yaml", data.decode("utf-8", "surrogateescape")):
        _check_plan(resource)


def _check_plan(resource: Resource) -> None:
    """Require a topic for the resource, and nothing left to do after it was made."""
    (action,) = plan_topics([resource], [])
    assert isinstance(action, Put)
    wish = action.desired
    topic = Topic.model_construct(
        **{
            **{name: getattr(wish, name) for name in ("title", "visibility", "publishers", "readers", "paused")},
            **{"name": action.topic, "resource": wish.resource, "creators": wish.owners},
            **{"retention": wish.retention, "email": wish.email},
        }
    )
    assert plan_topics([resource], [topic]) == []
    twice = plan_topics([resource, replace(resource, namespace="zz-other")], [])
    assert sorted(type(one).__name__ for one in twice) == [Put.__name__, Reject.__name__]


TARGETS = (
    Target("mail_headers", mail_headers, (NotifyxError, ValidationError)),
    Target("markdown", markdown, (), calls_per_byte=400),
    Target("email", email_of_notification, (NotifyxError,), calls_per_byte=800),
    Target("topic_resource", topic_resource, (InvalidResource,)),
    Target("topic_file", topic_file, (InvalidFile,), calls_per_byte=400),
)
