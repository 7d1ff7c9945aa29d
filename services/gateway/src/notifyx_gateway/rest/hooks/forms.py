"""Form bodies of webhooks: JSON in one field, or the fields themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from notifyx_common.errors import InvalidRequest, UnsupportedMediaType
from notifyx_gateway.rest.hooks.sent_json import read_sent_json

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 100

_OCTET = rb"%[0-9A-Fa-f]{2}"
_NAME = rb"(?:[A-Za-z0-9*._~!'()+-]++|" + _OCTET + rb")++"
_VALUE = rb"(?:[A-Za-z0-9*._~!'()+:@/,;=\[\]{}&-]++|" + _OCTET + rb")*+"
# Nothing is given back: what could be would be stored for each character, a hundred bytes for each.
_FORM = re.compile(_NAME + rb"=" + _VALUE + rb"\Z")
_ENCODED = re.compile(_OCTET)

_KNOWN = tuple(f"{name}=".encode() for name in ("payload", "version", "message", "title", "body", "priority"))
"""With what a form begins that is meant for here, however it is encoded."""

_NO_FIELD = re.compile(rb"(?:\A|&)[^&=]++(?:&|\Z)")
"""What stands after an ampersand of the text itself; a space or a percent sign alone has one meaning."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and the names of the files that came with them."""

    fields: Mapping[str, str]
    files: Sequence[str] = ()

    @property
    def has_payload(self) -> bool:
        """Whether one field holds all of it."""
        return "payload" in self.fields

    def value(self) -> Any:
        """Return the JSON of the field ``payload``, else the fields. Raises :class:`InvalidRequest`.

        Files are left out: ``attachments`` names them, as in the JSON of Apprise.
        """
        value: Any = read_sent_json(self.fields["payload"].encode()) if self.has_payload else dict(self.fields)
        if not self.files or not isinstance(value, dict):
            return value
        return {**value, "attachments": [{"filename": name} for name in self.files]}


def is_form(body: bytes) -> bool:
    """Return whether ``body`` is a form: an encoded one, or one that begins with a field that is known here.

    ``curl -d 'text'`` calls any text a form; any other text with a space, or without anything encoded, is none.
    """
    return body.startswith(_KNOWN) or (_FORM.match(body) is not None and _ENCODED.search(body) is not None)


def read_form(body: bytes) -> Form:
    """Return the fields of a form, in which a space and UTF-8 may stand for themselves, as ``curl -d`` sends them.

    Raises :class:`InvalidRequest`: a form is read or refused, and never what people read.
    """
    if _NO_FIELD.search(body):
        raise InvalidRequest(
            "An ampersand of this form begins no field: encode it (curl's --data-urlencode), or send a text as "
            "text/plain.",
            code="malformed_form",
        )
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequest("The body is not a form in UTF-8.", code="malformed_form") from None
    return Form(dict(pairs))


def not_understood() -> UnsupportedMediaType:
    """Return the error for a form, or its ``payload``, whose fields nothing is known of."""
    return UnsupportedMediaType(
        "Nothing is known of the fields of this form: send JSON, text/plain, a form whose 'payload' is a notification "
        "in JSON or a webhook of Alertmanager, Grafana or Apprise, or one with 'title', 'body' (or 'message') "
        "and 'priority'."
    )
