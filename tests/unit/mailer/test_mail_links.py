"""Web addresses in data are links, as safe as those of Markdown, and are whole in the plain text."""

from __future__ import annotations

from typing import Any

import pytest

from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail
from notifyx_mailer.links import is_link, linked
from notifyx_mailer.render import Rendered, Renderer

RENDERER = Renderer()
PULL = "https://github.com/acme/shop/pull/7?a=1&b=(2)"
LONG = f"https://prometheus.test/graph?g0.expr={'x' * 3000}"


def render(template: str, data: dict[str, Any]) -> Rendered:
    item = {"title": "T", "data": data}
    context: dict[str, Any] = item if template == "notification" else {"notifications": [item]}
    return RENDERER.render(
        Mail(
            id="m1",
            message_id="<m1@notifyx.test>",
            to="ann@example.org",
            context=MAIL_CONTEXT.validate_python({"template": template, "topic": "ops", **context}),
        )
    )


@pytest.mark.parametrize("template", ["notification", "digest"])
def test_an_address_in_data_is_a_link_and_stands_in_the_text(template: str) -> None:
    rendered = render(template, {"event": "pull_request", "url": PULL})
    shown = PULL.replace("&", "&amp;")
    assert f'<a href="{shown}" rel="noopener noreferrer">{shown}</a>' in rendered.html
    assert f"url: {PULL}\n" in rendered.text


@pytest.mark.parametrize("template", ["notification", "digest"])
def test_links_stand_in_an_email_whatever_else_there_is(template: str) -> None:
    labels = {f"label{number}": "x" for number in range(60)}
    rendered = render(template, {"labels": labels, "generatorURL": LONG, "silenceURL": PULL})
    for link in (LONG, PULL):
        assert f'<a href="{link.replace("&", "&amp;")}"' in rendered.html
        assert link in rendered.text
    assert f">{LONG[:999]}\N{HORIZONTAL ELLIPSIS}</a>" in rendered.html
    assert f"and {56 if template == 'digest' else 22} more values" in rendered.text


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("https://a.test", ["https://a.test"]),
        ("HTTP://a.test/x", ["HTTP://a.test/x"]),
        ("see https://a.test/x_(y), or https://b.test.", ["https://a.test/x_(y)", "https://b.test"]),
        ("(https://a.test/x)", ["https://a.test/x"]),
        ('{"url": "https://a.test"}', ["https://a.test"]),
        ("https://a.test/cut\N{HORIZONTAL ELLIPSIS}", []),
        ("javascript:alert(1)", []),
        ("xhttps://a.test", []),
        ("ftp://a.test mailto:a@b.test data:x //a.test", []),
        ("https://", []),
        ("https://...", []),
    ],
)
def test_only_web_addresses_become_links(text: str, links: list[str]) -> None:
    html = linked(text)
    assert html.count("<a ") == len(links)
    assert all(f'<a href="{link}" rel="noopener noreferrer">{link}</a>' in html for link in links)
    assert html.striptags() == text


def test_markup_around_an_address_stays_text() -> None:
    assert linked('https://a.test/"onclick=x <b>') == (
        '<a href="https://a.test/" rel="noopener noreferrer">https://a.test/</a>&#34;onclick=x &lt;b&gt;'
    )
    assert not is_link("https://a.test x")
    assert not is_link("see https://a.test")
