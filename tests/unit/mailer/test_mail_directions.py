"""Each block of an email has the direction of its own text, whatever stands around it."""

from __future__ import annotations

import re

import pytest

from notifyx_common.contracts.mailer import MAIL_CONTEXT, Mail
from notifyx_mailer.markdown import parse, to_html
from notifyx_mailer.render import Renderer

ARABIC = "هذا تنبيه."
HEBREW = "ראשון"


@pytest.mark.parametrize(
    ("body", "html"),
    [
        (f"{ARABIC}\n\nEnglish.", f'<p dir="auto">{ARABIC}</p>\n<p dir="auto">English.</p>'),
        (f"# {ARABIC}", f'<h3 dir="auto">{ARABIC}</h3>'),
        (f"- {ARABIC}\n- one", f'<ul dir="rtl">\n<li dir="rtl">{ARABIC}</li>\n<li dir="ltr">one</li>\n</ul>'),
        (f"3. 5 %\n4. {HEBREW}", f'<ol start="3" dir="rtl">\n<li>5 %</li>\n<li dir="rtl">{HEBREW}</li>\n</ol>'),
        (f"- {HEBREW}\n\n  two", f'<li dir="rtl">\n<p dir="auto">{HEBREW}</p>\n<p dir="auto">two</p>'),
        (f"> {ARABIC}", f'<blockquote dir="rtl">\n<p dir="auto">{ARABIC}</p>'),
        (f"> one\n> - {ARABIC}", f'<ul dir="rtl">\n<li dir="rtl">{ARABIC}</li>'),
        (f"|{ARABIC}|b|\n|-|-:|\n|c|d|", f'<table dir="rtl">\n<thead>\n<tr>\n<th dir="auto">{ARABIC}</th>'),
        ("```\nx\n```", "<pre><code>x"),
        ("- 1\n- 2", "<ul>\n<li>1</li>"),
    ],
)
def test_a_block_has_the_direction_of_its_text(body: str, html: str) -> None:
    assert html in to_html(parse(body))


@pytest.mark.parametrize("template", ["notification", "digest"])
def test_nothing_that_a_publisher_writes_takes_the_direction_of_the_email(template: str) -> None:
    item = {"title": ARABIC, "body": f"English.\n\n{ARABIC}", "data": {HEBREW: ARABIC}, "publisher": HEBREW,
            "priority": "high"}  # fmt: skip
    html = (
        Renderer()
        .render(
            Mail(
                id="m1",
                message_id="<m1@notifyx.test>",
                to="ann@example.org",
                context=MAIL_CONTEXT.validate_python(
                    {"template": template, **(item if template == "notification" else {"notifications": [item]})}
                ),
            )
        )
        .html
    )
    shown = html.partition("<body")[2].partition("<table")[2]
    for words in (ARABIC, HEBREW):
        before = [shown[: found.start()].rstrip() for found in re.finditer(words, shown)]
        assert before
        # The badge of a priority has a direction of its own, so it does not decide that of the heading behind it.
        badge = r'(<span class="badge high" dir="ltr">High</span>)?'
        assert all(re.search(rf'<\w+[^>]* dir="auto">{badge}$', text) for text in before)
    assert "text-align:left" not in html.replace(" ", "")
