"""Templates and messages: whatever a publisher writes, the email is well formed and nobody's headers are added."""

from __future__ import annotations

import email
import email.policy
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from types import FrameType
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.rules_inline import linkify

from notifyx_common.contracts.mailer import MAIL_CONTEXT, AccountMailKind, Mail, MailBatch, UnreadableContext
from notifyx_mailer import markdown
from notifyx_mailer.account_words import WORDS
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
    assert html.get_content().count("<h1") <= 1


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


ELEMENTS = {
    "a", "blockquote", "body", "br", "code", "div", "em", "h1", "h3", "h4", "h5", "h6", "head", "hr", "html", "li",
    "meta", "ol", "p", "pre", "s", "span", "strong", "style", "table", "tbody", "td", "th", "thead", "title", "tr",
    "ul",
}  # fmt: skip
ATTRIBUTES = {
    "align", "border", "cellpadding", "cellspacing", "charset", "class", "content", "dir", "href", "lang", "name",
    "rel", "role", "scope", "start", "style", "title", "width",
}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![](https://tracker.test/pixel.gif)",
    "![x](javascript:alert(1))",
    "[x](javascript:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.test)",
    "[x](/relative)",
    "<javascript:alert(1)>",
    '[x](https://a.test "onmouseover=alert(1)")',
    '[x](https://a.test/"onmouseover="alert(1))',
    '[x](https://a.test/ "title")',
    "[x]: javascript:alert(1)\n\n[x]",
    "`<svg onload=alert(1)>`",
    "```html\n</pre></td></table><script>alert(1)</script>\n```",
    "<style>*{display:none}</style>",
    "</td></tr></table><h1>not mine</h1>",
    "<!-- x --> <![CDATA[ x ]]> <?php x ?>",
    "| a |\n|:-:|\n| <iframe src=https://a.test> |",
    "- [ ] <input autofocus onfocus=alert(1)>",
    "\ud800 \x00 \x1b[31m",
    "> " * 500 + "deep",
    "*a " * 2000 + "a*" * 2000,
    "[" * 5000,
    "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n" + "a\n" * 3000,
]


class _Markup(HTMLParser):
    """Collects what a mail program would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.titles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.titles += tag == "h1"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("template", ["notification", "digest"])
def test_nothing_in_a_body_becomes_more_than_the_dialect(template: str, text: str) -> None:
    item = {"title": "Title", "body": text, "data": {text[:500]: {text[:500]: [text[:500]]}}, "publisher": text[:500]}
    rendered = RENDERER.render(mail(template, notifications=[item], **(item if template == "notification" else {})))
    found = _Markup()
    found.feed(rendered.html)
    assert found.elements <= ELEMENTS
    assert found.attributes <= ATTRIBUTES
    assert all(link.startswith(("https://", "http://", "mailto:")) for link in found.links), found.links
    assert found.titles == 1


@pytest.mark.parametrize("text", ["[here]()", "![here]()", "[ ![here]() ]()"])
def test_a_link_without_an_address_is_its_text(text: str) -> None:
    html = markdown.to_html(markdown.parse(text))
    assert "here" in html
    assert "<a" not in html


def test_the_dialect_is_that_of_the_web_client() -> None:
    body = """# Heading

**Disk** on `node-7` is *nearly* full, see [the runbook](https://runbooks.test/disk).
Second ~~row~~ line; backup.py is a file, www.example.com a page.

1. look
   - [x] rotated
   - [ ] deleted

| node | used |
|:-|-:|
| n7 | 92 % |

> said

```
$ df  -h
```

![chart](https://example.com/chart.png)
"""
    rendered = RENDERER.render(mail(title="Disk", body=body))
    for wanted in (
        '<h3 dir="auto">Heading</h3>',
        "<strong>Disk</strong> on <code>node-7</code> is <em>nearly</em> full",
        '<a href="https://runbooks.test/disk" rel="noopener noreferrer">the runbook</a>.<br>',
        "<s>row</s>",
        '<a href="http://www.example.com" rel="noopener noreferrer">www.example.com</a>',
        "\N{BALLOT BOX WITH CHECK} rotated",
        '<td style="text-align:right" dir="auto">92 %</td>',
        '<blockquote dir="ltr">',
        "<pre><code>$ df  -h\n</code></pre>",
        '<a href="https://example.com/chart.png" rel="noopener noreferrer">chart</a>',
    ):
        assert wanted in rendered.html
    assert ">backup.py<" not in rendered.html
    text = rendered.text.partition("--\nNotifyx")[0]
    assert (
        text
        == """Disk
====

Heading
-------

*Disk* on node-7 is nearly full, see the runbook (https://runbooks.test/disk).
Second row line; backup.py is a file, www.example.com a page.

1. look
   \N{BULLET} \N{BALLOT BOX WITH CHECK} rotated
   \N{BULLET} \N{BALLOT BOX} deleted

node | used
-----+-----
n7   | 92 %

> said

    $ df  -h

chart (https://example.com/chart.png)

"""
    )


@pytest.mark.parametrize(
    ("head", "part", "few", "many"), [("[a]: http://b\n\n", "![a]", 200, 2000), ("", "- [x] a\n", 200, 2000)]
)
def test_pictures_and_tasks_cost_each_the_same(head: str, part: str, few: int, many: int) -> None:
    def steps(number: int) -> int:
        counted = 0

        def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
            nonlocal counted
            counted += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            markdown.to_html(markdown.parse(head + part * number))
        finally:
            sys.settrace(before)
        return counted

    assert steps(many) < 2 * many / few * steps(few)


def test_no_text_is_read_again_for_each_of_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []

    class Scheme:
        def search(self, text: str) -> None:
            searched.append(text)

    monkeypatch.setitem(linkify.__globals__, "SCHEME_RE", Scheme())
    html = markdown.to_html(markdown.parse("ftp://" * 2000 + " https://notifyx.test/a_b"))
    assert not searched
    assert '<a href="https://notifyx.test/a_b"' in html
    markdown.parse("ftp://" * markdown.ADDRESSES)
    assert len(searched) == markdown.ADDRESSES


def test_a_wide_table_is_text_row_by_row() -> None:
    rows = f"|name|{'n' * 60}|value|\n|-|-|-|\n|a|b|c|\n|d||f|"
    assert f"name: a\n{'n' * 60}: b\nvalue: c\n\nname: d\nvalue: f\n" in RENDERER.render(mail(body=rows)).text


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"summary": "Backup done", "size": 3}, "[ops] Backup done"),
        ({"disk": 92, "note": None, "host": "n7", "tags": ["a"]}, "[ops] disk: 92, host: n7"),
        ({"points": [{"a": 1}]}, "[ops] Data: points"),
        ({"message": "x" * 5000}, f"[ops] {'x' * 193}\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_data_alone_has_a_subject(data: dict[str, Any], subject: str) -> None:
    assert RENDERER.render(mail(topic="ops", data=data)).subject == subject


def test_data_is_a_table() -> None:
    data = {
        "host": "n7", "disk": {"used": 0.5, "more": {"deep": {"x": "<b>"}}}, "tags": ["prod", 1], "none": None,
        "list": [{"a": 1, "b": {"c": 2}}, {"a": 3}], "odd": [{"a": 1}, {}], "long": "y" * 5000,
        **{f"k{number}": number for number in range(60)},
    }  # fmt: skip
    rendered = RENDERER.render(mail(topic="ops", title="T", data=data))
    shown = ["host: n7", "disk.used: 0.5", 'disk.more.deep: {"x": "<b>"}', "tags: prod, 1", "none: null",
             "list 1.a: 1", "list 1.b.c: 2", "list 2.a: 3", 'odd: [{"a": 1}, {}]', "k29: 29",
             "... and 30 more values."]  # fmt: skip
    assert all(f"{row}\n" in rendered.text for row in shown), rendered.text
    assert "k30" not in rendered.text
    assert "y" * 1001 not in rendered.text
    assert "{&#34;x&#34;: &#34;&lt;b&gt;&#34;}</code>" in rendered.html
    assert 'scope="row" dir="auto">disk.used</th><td class="rule text" dir="auto">0.5</td>' in rendered.html


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("", "2 Jan 2026, 03:04 UTC"),
        ("Europe/Berlin", "2 Jan 2026, 04:04 CET"),
        ("Asia/Kathmandu", "2 Jan 2026, 08:49 +0545"),
        ("America/Los_Angeles", "1 Jan 2026, 19:04 PST"),
        ("Europe", "2 Jan 2026, 03:04 UTC"),
        ("No/Where", "2 Jan 2026, 03:04 UTC"),
        ("../../etc/passwd", "2 Jan 2026, 03:04 UTC"),
        ("\x00", "2 Jan 2026, 03:04 UTC"),
    ],
)
def test_times_are_those_of_the_reader(zone: str, shown: str) -> None:
    rendered = RENDERER.render(mail(title="T", published_at="2026-01-02T03:04:05Z", time_zone=zone))
    assert shown in rendered.text
    assert shown in rendered.html


def test_a_long_body_is_cut_and_says_so() -> None:
    rendered = RENDERER.render(mail(title="T", body="word " * 10_000))
    assert len(rendered.html) < 30_000
    assert "longer than an email" in rendered.html
    assert "longer than an email" in rendered.text


@pytest.mark.parametrize(
    ("priority", "before"), [("low", ""), ("normal", ""), ("high", "High: "), ("urgent", "Urgent: ")]
)
def test_a_priority_is_seen(priority: str, before: str) -> None:
    rendered = RENDERER.render(mail(title="T", priority=priority))
    assert rendered.subject == f"{before}[Notifyx] T"
    shown = priority != "normal"
    assert (f'class="badge {priority}"' in rendered.html) is shown
    assert (f"[{priority.capitalize()}] T" in rendered.text) is shown


def test_what_can_be_done_is_in_both_parts() -> None:
    open_, acknowledge = "https://n.test/topics/a/n/1", "https://n.test/acknowledge?token=x"
    for template in ("notification", "digest"):
        rendered = RENDERER.render(
            mail(template, notifications=[{"title": "T"}], link=open_, acknowledge_link=acknowledge)
        )
        for link in (open_, acknowledge):
            assert f'href="{link}"' in rendered.html
            assert link in rendered.text
        assert "Acknowledge" not in RENDERER.render(mail(template, link=open_)).html


def test_a_digest_of_several_topics_is_grouped() -> None:
    items = [{"title": f"N{number}", "topic": topic, "topic_title": title, "link": f"https://n.test/{number}"}
             for number, (topic, title) in enumerate([("a", "Alpha"), ("a", "Alpha"), ("user:1", "")])]  # fmt: skip
    rendered = RENDERER.render(mail("digest", notifications=items, more=2))
    assert rendered.subject == "[2 topics] 5 unread notifications"
    assert rendered.text.index("Alpha\n=====") < rendered.text.index("N1") < rendered.text.index("Direct messages\n===")
    assert '<a href="https://n.test/1">N1</a>' in rendered.html
    assert "because you subscribe to Alpha, Direct messages." in rendered.html


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
        for wanted in ("Disk full", "92 % on node-7", "Disks", "Prometheus", "2 Jan 2026, 03:04 UTC",
                       "https://notifyx.test/t/ops.disk", "https://notifyx.test/unsubscribe?token=abc"):  # fmt: skip
            assert wanted in part
    assert "prefers-color-scheme: dark" in rendered.html
    assert 'name="viewport"' in rendered.html


def test_what_is_missing_is_left_out() -> None:
    rendered = RENDERER.render(mail(body="only a body\nof two lines", topic="user:4711"))
    assert rendered.subject == "[Direct messages] only a body"
    assert "4711" not in rendered.html + rendered.text + rendered.subject
    assert RENDERER.render(mail()).subject == "[Notifyx] New notification"


@pytest.mark.parametrize("template", ["notification", "digest"])
@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"body": "The door is open."}, ["The door is open."]),
        ({"body": "The door is open.\nClose it."}, ["The door is open.", "Close it."]),
        ({"title": "Door"}, ["Door"]),
        ({"title": "Door", "body": "Door"}, ["Door"]),
        ({"title": "Door", "body": "It is open."}, ["Door", "It is open."]),
        ({"data": {"door": "open"}}, ["door: open"]),
    ],
)
def test_what_a_notification_says_stands_in_both_parts_once(
    template: str, item: dict[str, Any], shown: list[str]
) -> None:
    context = item if template == "notification" else {"notifications": [item]}
    message = parsed(mail(template, topic="ops", **context))
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    visible = (
        html.get_content()
        .partition('<div class="quiet small"')[2]
        .replace('</th><td class="rule text" dir="auto">', ": ")
    )
    times = 1 if "data" not in item else 2  # as the heading and as a row
    for words in shown:
        assert plain.get_content().count(words) == times, plain.get_content()
        assert visible.count(words) == times, visible


@pytest.mark.parametrize(
    ("priorities", "begins"),
    [
        (["low", "urgent", "high"], "Urgent: [ops] 3"),
        (["normal", "high"], "High: [ops] 2"),
        (["low", "normal"], "[ops] 2"),
    ],
)
def test_the_subject_of_a_digest_says_how_urgent_it_is(priorities: list[str], begins: str) -> None:
    items = [{"title": "T", "priority": priority} for priority in priorities]
    subject = RENDERER.render(mail("digest", topic="ops", notifications=items)).subject
    assert subject == f"{begins} unread notifications"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("[link](javascript:alert(1)) after", "link after"),
        ("![picture](javascript:alert(1)) after", "picture after"),
        ("[here](/topics) or [there](#end)", "here or there"),
        ("<javascript:alert(1)>", "javascript:alert(1)"),
    ],
)
def test_a_link_that_may_lead_nowhere_is_its_text(body: str, text: str) -> None:
    rendered = RENDERER.render(mail("notification", title="T", body=body))
    assert text in rendered.text
    assert "](" not in rendered.html + rendered.text
    assert "href" not in rendered.html.partition('<div class="markdown">')[2].partition("</div>")[0]


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
    for part in (rendered.text, rendered.html):
        assert "set a new password: then only you can sign in to this account." in part
    assert "Bo" not in rendered.text + rendered.html, "an unverified user wrote it"
    for wrong in ({}, {"link": ""}, {"link": "javascript:alert(1)"}, {"link": "https://x y"}):
        with pytest.raises(MailRejected):
            RENDERER.render(mail("verify_email", **wrong))


@pytest.mark.parametrize("kind", get_args(AccountMailKind))
def test_a_mail_about_an_account_says_what_to_do(kind: AccountMailKind) -> None:
    link, email = "https://n.test/reset-password#t", "<b>new</b>{x}@example.org"
    context = {"kind": kind, "email": email, "at": "2026-01-02T03:04Z"}
    bare = RENDERER.render(mail("account", kind=kind))
    rendered = RENDERER.render(mail("account", link=link, **context))
    words = WORDS[kind]
    assert rendered.subject == words.heading
    assert (link in rendered.text, f'href="{link}"' in rendered.html) == (bool(words.button),) * 2
    assert "2 Jan 2026" in rendered.text or not (words.once or any("{when}" in line for line in words.lines))
    assert ("{x}@example.org" in rendered.text) == (kind in ("email_change_requested", "email_changed"))
    assert "<b>new" not in rendered.html
    for part in (bare.text, bare.html, words.footer):
        assert "{when}" not in part
        assert "None" not in part
    with pytest.raises(MailRejected):
        RENDERER.render(mail("account", kind=kind, link="javascript:alert(1)"))


MISFITS: list[dict[str, Any]] = [
    {"template": "digest", "notifications": 3},
    {"template": "digest", "notifications": ["x"]},
    {"template": "digest", "more": -1},
    {"template": "digest", "topic": {"a": 1}},
    {"template": "notification", "title": None},
    {"template": "notification", "publisher": {"id": "u1", "name": "Ann"}},
    {"template": "notification", "published_at": "yesterday"},
    {"template": "verify_email"},
    {"template": "account", "kind": "unknown"},
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
        "a@b.",
        "a@b\x00",
        "a@\N{ACUTE ACCENT}",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(MailRejected) as caught:
        compose(mail().model_copy(update={"to": address}), Rendered("s", "t", "h"), SENDER, NOW)
    assert caught.value.about == "address"


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
