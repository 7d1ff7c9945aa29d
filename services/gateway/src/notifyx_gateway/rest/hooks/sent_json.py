"""JSON as senders of webhooks write it, with what their languages let through. Pure."""

from __future__ import annotations

import re
from typing import Any

from notifyx_common.errors import InvalidRequest
from notifyx_common.reading import parse_json

BOM = b"\xef\xbb\xbf"

_PAIR = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:" + _PAIR + rb"|(" + _HALF + rb")|.)", re.DOTALL)
"""Any escape, so that the second backslash of two begins none; the group is half of a pair."""


def read_sent_json(body: bytes) -> Any:
    """Return the JSON of ``body``. Raises :class:`InvalidRequest`.

    A byte order mark is left out. Half of a surrogate pair, as JavaScript and Java make it where they cut a text
    within an emoji, becomes U+FFFD: the sender cannot do better, and would lose the whole webhook.
    """
    body = body.removeprefix(BOM)
    try:
        return parse_json(body)
    except InvalidRequest:
        whole = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        if whole == body:
            raise
        return parse_json(whole)


def is_json(body: bytes) -> bool:
    """Return whether ``body`` begins as an object or a list, which no encoded form does."""
    return body.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")
