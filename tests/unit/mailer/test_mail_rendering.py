"""Templates and messages: whatever a publisher writes, the email is well formed and nobody's headers are added."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail, MailBatch, UnreadableContext
from notifyx_mailer.errors import MailRejected
from notifyx_mailer.message import compose, parse_recipient
from notifyx_mailer.render import Rendered, Renderer, one_line

RENDERER = Renderer()
SENDER = Address("Notifyx", addr_spec="notifyx@example.org")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEADERS = {
    "from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type",
    "list-unsubscribe", "list-unsubscribe-post",
}  # fmt: skip


def mail(template: str = "notification", **context: Any) -> Mail:
    return Mail(
        id="m1",
        message_id="<m1@notifyx.test>",
        to="ann@example.org",
        context=MAIL_CONTEXT.validate_python({"template": template, **context}),
        unsubscribe_url="https://notifyx.test/unsubscribe?token=abc",
    )


def parsed(one: Mail, rendered: Rendered | None = None) -> EmailMessage:
    raw = compose(one, rendered or RENDERER.render(one), SENDER, NOW).message
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    return email.message_from_bytes(raw, policy=email.policy.default)


@settings(max_examples=150, deadline=None)
@given(title=st.text(max_size=300), body=st.text(max_size=300), publisher=st.text(max_size=60), topic=st.text())
def test_no_text_breaks_out_of_its_place(title: str, body: str, publisher: str, topic: str) -> None:
    one = mail(title=title, body=body, publisher=publisher, topic=topic, topic_title="\r\nBcc: a@b")
    message = parsed(one)
    assert {name.lower() for name in message} == HEADERS
    assert not message.defects
    assert [str(to) for to in message["To"].addresses] == ["ann@example.org"]
    html = message.get_body(("html",))
    assert html is not None
    assert html.get_content().count("<h1") == 1


def test_markup_is_shown_and_not_obeyed() -> None:
    rendered = RENDERER.render(
        mail(title="<script>x</script>", body="a <b>&\nnext", topic='"><img src=x>', link="javascript:alert(1)")
    )
    assert "<script>" not in rendered.html
    assert "&lt;script&gt;" in rendered.html
    assert "a &lt;b&gt;&amp;<br>\nnext" in rendered.html
    assert "<img" not in rendered.html
    assert "javascript:" not in rendered.html + rendered.text
    assert "a <b>&\nnext" in rendered.text


def test_a_title_cannot_add_a_header() -> None:
    message = parsed(mail(title="Hello\r\nBcc: everyone@example.org\u2028X: y", topic="ops"))
    assert message["Bcc"] is None
    assert message["Subject"] == "[ops] Hello Bcc: everyone@example.org X: y"


def test_a_notification_says_what_where_who_and_when() -> None:
    rendered = RENDERER.render(
        mail(
            topic="ops.disk",
            topic_title="Disks",
            title="Disk full",
            body="92 % on node-7",
            priority="urgent",
            publisher="Prometheus",
            published_at="2026-01-02T03:04:05.678Z",
            link="https://notifyx.test/t/ops.disk",
        )
    )
    assert rendered.subject == "Urgent: [Disks] Disk full"
    for part in (rendered.text, rendered.html):
        for wanted in ("Disk full", "92 % on node-7", "Disks", "Prometheus", "02 Jan 2026, 03:04 UTC",
                       "https://notifyx.test/t/ops.disk", "https://notifyx.test/unsubscribe?token=abc"):  # fmt: skip
            assert wanted in part
    assert "prefers-color-scheme: dark" in rendered.html
    assert 'name="viewport"' in rendered.html


def test_what_is_missing_is_left_out() -> None:
    rendered = RENDERER.render(mail(body="only a body\nof two lines", topic="user:4711"))
    assert rendered.subject == "[Direct messages] only a body"
    assert "4711" not in rendered.html + rendered.text + rendered.subject
    assert RENDERER.render(mail()).subject == "[Notifyx] New notification"


def test_a_digest_lists_and_counts() -> None:
    items = [{"title": f"Number {number}", "body": "x" * 2000, "publisher": "Ann"} for number in range(50)]
    rendered = RENDERER.render(mail("digest", topic="ops", notifications=items, more=7, count=57))
    assert rendered.subject == "[ops] 57 unread notifications"
    assert all(f"Number {number}" in rendered.text and f"Number {number}" in rendered.html for number in range(50))
    assert "7 more" in rendered.text
    assert "x" * 601 not in rendered.html + rendered.text, "a digest shortens what is long"
    assert (
        RENDERER.render(mail("digest", topic="ops", notifications=[{"title": "a"}])).subject
        == "[ops] 1 unread notification"
    )


def test_a_link_mail_needs_its_link() -> None:
    rendered = RENDERER.render(
        mail("verify_email", name="Bo", link="https://n.test/v?token=1", expires_at="2026-01-02T00:00Z")
    )
    assert "https://n.test/v?token=1" in rendered.text
    assert 'href="https://n.test/v?token=1"' in rendered.html
    assert "Bo" not in rendered.text + rendered.html, "an unverified user wrote it"
    for wrong in ({}, {"link": ""}, {"link": "javascript:alert(1)"}, {"link": "https://x y"}):
        with pytest.raises(MailRejected):
            RENDERER.render(mail("verify_email", **wrong))


MISFITS: list[dict[str, Any]] = [
    {"template": "digest", "notifications": 3},
    {"template": "digest", "notifications": ["x"]},
    {"template": "digest", "more": -1},
    {"template": "digest", "topic": {"a": 1}},
    {"template": "notification", "title": None},
    {"template": "notification", "publisher": {"id": "u1", "name": "Ann"}},
    {"template": "notification", "published_at": "yesterday"},
    {"template": "verify_email"},
    {"template": "reset_password", "link": "https://n.test/"},
    {},
]


@pytest.mark.parametrize("context", MISFITS)
def test_a_context_that_does_not_fit_is_refused_in_words(context: dict[str, Any]) -> None:
    with pytest.raises(MailRejected, match="does not fit the template"):
        RENDERER.render(mail().model_copy(update={"context": MAIL_CONTEXT.validate_python(context)}))


@pytest.mark.parametrize("context", [*MISFITS, 3, None, "x", []])
def test_a_context_that_does_not_fit_leaves_the_others_of_its_batch_alone(context: object) -> None:
    good = mail(title="Good", published_at="2026-01-02T03:04:05Z")
    one = good.model_dump(mode="json")
    batch = MailBatch.model_validate({"mails": [one, {**one, "id": "bad", "context": context}, one]})
    assert [batch.mails[0], batch.mails[2]] == [good, good]
    assert isinstance(batch.mails[1].context, UnreadableContext)
    shared = MailBatch.model_validate(batch.model_dump(mode="json"))
    assert shared.mails == batch.mails, "the reason is kept on the way to a peer"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@b",
        "a@",
        "a b@c",
        "a@b@c d",
        "a@b\r\nBcc: x@y",
        "a@b, c@d",
        "<a@b>",
        "a@" + "x" * 250,
        "a@-..",
        "a@b\x00",
        "a@\N{ACUTE ACCENT}",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(MailRejected) as caught:
        compose(mail().model_copy(update={"to": address}), Rendered("s", "t", "h"), SENDER, NOW)
    assert caught.value.cause == "address"


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.emails(), st.text(max_size=60), st.text(max_size=30).map(lambda name: f"{name}@example.org")))
def test_an_address_is_one_recipient_or_refused(address: str) -> None:
    try:
        recipient = parse_recipient(address)
    except MailRejected:
        return
    assert "@" in recipient.addr_spec
    assert not set(recipient.addr_spec) & set("\r\n <>")
    envelope = compose(mail().model_copy(update={"to": address}), Rendered("s", "t", "h"), SENDER, NOW)
    message = email.message_from_bytes(envelope.message, policy=email.policy.default.clone(utf8=True))
    assert len(message["To"].addresses) == 1


def test_long_ids_and_links_stay_one_word() -> None:
    url = "https://notifyx.test/unsubscribe?token=" + "t" * 500
    one = mail().model_copy(update={"unsubscribe_url": url, "message_id": f"<{'i' * 200}@notifyx.test>"})
    raw = compose(one, Rendered("s", "t", "h"), SENDER, NOW).message.decode()
    assert f"List-Unsubscribe: <{url}>\r\n" in raw
    assert f"Message-ID: <{'i' * 200}@notifyx.test>\r\n" in raw


@pytest.mark.parametrize(
    "url", ["javascript:x", "https://a b", "https://a\r\nBcc: x@y", "https://" + "a" * 1000, "https://ü"]
)
def test_a_link_no_header_can_carry_is_refused(url: str) -> None:
    with pytest.raises(MailRejected):
        compose(mail().model_copy(update={"unsubscribe_url": url}), Rendered("s", "t", "h"), SENDER, NOW)


@given(st.text(max_size=400), st.integers(1, 100))
def test_one_line_is_one_bounded_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
