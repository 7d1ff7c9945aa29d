"""Bodies in a terminal: plain text that was stored as Markdown is shown as it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifyx.cli.body_text import shown_body
from notifyx_gateway.rest.hooks.plain_text import as_written

WRITTEN = st.text("ab \n\\*_~`<>[]#&;.-+|1:()!/", max_size=80)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (r"\*not bold\* and C:\\dir \_x\_", r"*not bold* and C:\dir _x_"),
        ("\\# no heading\n1\\. no list", "# no heading\n1. no list"),
        (r"a \` tick", "a ` tick"),
        ("see <https://example.com/a_b>.", "see https://example.com/a_b."),
        (r"a\b and \ c", r"a\b and \ c"),
        ("**bold** `code`", "**bold** `code`"),
        (r"`C:\_x` \_y and ``a ` \*`` \*", r"`C:\_x` _y and ``a ` \*`` *"),
        (r"no span: ` \* and \*", "no span: ` * and *"),
        (r"\`a\* `b\*`", r"`a* `b\*`"),
        ("```sh\necho \\$HOME\n\n  \\*\n```\n\\*", "```sh\necho \\$HOME\n\n  \\*\n```\n*"),
        ("- ~~~~\n  \\*\n  ~~~\n  \\*\n  ~~~~\n\\*", "- ~~~~\n  \\*\n  ~~~\n  \\*\n  ~~~~\n*"),
        ("text\n    \\*\n\n    \\*\n\n\\*", "text\n    *\n\n    \\*\n\n*"),
        ("`over\nlines \\*` \\*", "`over\nlines \\*` *"),
        ("`not\n\nover paragraphs \\*`", "`not\n\nover paragraphs *`"),
        ("", ""),
    ],
)
def test_only_what_keeps_text_from_being_markdown_is_left_out(body: str, shown: str) -> None:
    assert shown_body(body) == shown


@given(WRITTEN)
def test_what_was_plain_is_shown_as_it_was_written(written: str) -> None:
    stored = as_written(written)
    lines = [line.rstrip() for line in written.strip().split("\n")]
    assert shown_body(stored).replace("\N{NO-BREAK SPACE}", " ") == "\n".join(lines)


@pytest.mark.parametrize("body", ["\\*" * 65_536, "` `` " * 26_000, "a" + "`" * 131_072 + "\\*", "<http://" * 16_000])
def test_no_body_takes_long(body: str) -> None:
    """It is read in one go: what is quadratic does not end."""
    assert shown_body(body + "\n\n\\*").endswith("\n*")
