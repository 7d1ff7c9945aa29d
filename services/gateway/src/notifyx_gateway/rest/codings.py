"""Bodies in several content codings: compressed where the client accepts that.

Compressed is what holds no secret: documents, scripts and the dashboard. Where a body holds a secret beside what
somebody else chose, its compressed length tells about the secret (BREACH). So pages behind links, tokens, and what the
API answers to a credential are sent as they are.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

from quart import Response, request

CODINGS = ("br", "gzip")
"""Content codings, the smallest first."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: its contents by content coding in ``forms``, always with ``identity``."""

    kind: str
    forms: Mapping[str, bytes]

    def choose(self, accepted: str) -> tuple[str, bytes]:
        """Return the coding and the bytes for a request's ``Accept-Encoding``."""
        wanted = _accepted_codings(accepted)
        for coding in CODINGS:
            if coding in wanted and coding in self.forms:
                return coding, self.forms[coding]
        return "identity", self.forms["identity"]


def gzipped(kind: str, data: bytes, level: int = 9) -> File:
    """Return a file with its compressed form."""
    return File(kind, {"identity": data, "gzip": gzip.compress(data, level, mtime=0)})


def file_response(file: File, headers: Mapping[str, str], status: int = 200) -> Response:
    """Return ``file`` in the coding that the current request accepts."""
    coding, data = file.choose(request.headers.get("Accept-Encoding", ""))
    response = Response(data, status=status, content_type=file.kind, headers={"Vary": "Accept-Encoding", **headers})
    if coding != "identity":
        response.headers["Content-Encoding"] = coding
    return response


def _accepted_codings(accepted: str) -> set[str]:
    """Return the codings of an ``Accept-Encoding`` that are not excluded by ``q=0``."""
    found = set()
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if weight.replace(" ", "").removeprefix("q=").strip("0.") or not weight:
            found.add(coding.strip())
    return found
