"""Multipart forms (RFC 7578), as senders post them that attach files. Pure.

Werkzeug's own reader is left out of the start of services, and reads streams; here the body is whole already, and no
larger than the deployment accepts.
"""

from __future__ import annotations

import re

from werkzeug.http import parse_options_header

from notifyx_common.errors import InvalidRequest
from notifyx_gateway.rest.hooks.forms import MAX_FIELDS, Form

MULTIPART = "multipart/form-data"
MAX_HEAD = 8 << 10
"""Size of the headers of a part, in bytes."""

_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{1,70}(?<! )\Z")


def read_multipart(content_type: str, body: bytes) -> Form:
    """Return the fields of a form, and the names of the files beside them. Raises :class:`InvalidRequest`."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise _malformed("its content type names no boundary")
    fields: dict[str, str] = {}
    files: list[str] = []
    _, *parts = (b"\r\n" + body).split(f"\r\n--{boundary}".encode(), MAX_FIELDS + 1)
    for part in parts:
        if part.startswith(b"--"):
            return Form(fields, files)
        head, _, content = part.partition(b"\r\n\r\n")
        options = _disposition(head)
        if "filename" in options:
            files.append(options["filename"])
            continue
        try:
            fields[options["name"]] = content.decode()
        except KeyError:
            raise _malformed("a part has no name") from None
        except UnicodeDecodeError:
            raise _malformed("a field is not in UTF-8") from None
    raise _malformed(f"it has more than {MAX_FIELDS} parts" if len(parts) > MAX_FIELDS else "its end is missing")


def _disposition(head: bytes) -> dict[str, str]:
    """Return the parameters of a part's Content-Disposition, in which browsers and clients write UTF-8."""
    if len(head) > MAX_HEAD:
        raise _malformed("the headers of a part are too long")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            return parse_options_header(value.decode(errors="replace").strip())[1]
    return {}


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(f"The body is not a multipart form: {why}.", code="malformed_form")
