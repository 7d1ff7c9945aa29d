"""Sentences of the API's description as HTML: what stands between backticks is code. Pure."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_ROLE = re.compile(r":[a-z]+:`~?(?:[A-Za-z_]+\.)*([A-Za-z_]+)`")
_CODE = re.compile(r"(`{1,2})([^`]+)\1")


def as_html(text: str) -> Markup:
    """Return ``text`` as HTML, in which code is marked."""
    plain = _ROLE.sub(r"`\1`", text)
    return Markup(_CODE.sub(r"<code>\2</code>", str(escape(plain))))  # noqa: S704 - escaped right here
