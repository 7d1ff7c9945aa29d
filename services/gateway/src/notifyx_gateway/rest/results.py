"""What a form in an email's page did, in the address of the page that says so: sealed, and for ten minutes.

A form is answered by a redirect, so that a reload sends it again to nobody. Anybody can write an address and send it to
others: a page that took its words from the query would say what never happened.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import orjson
from quart import Response, request

from notifyx_common.caching.sealing import Seal
from notifyx_common.clock import Clock
from notifyx_common.errors import NotFound

LIFETIME = 600.0
"""Seconds for which a page says what a form did; its reader may reload it, or come back to it."""

MAX_RESULT = 2000
"""Longest sealed result that is read, in characters."""

_NAME = "result"


class Results:
    """Seals results with ``key``, which all gateways have."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._seal = Seal(key)
        self._clock = clock

    def see(self, path: str, **result: int | str) -> Response:
        """Return the redirect (303) to the page at ``path`` that says ``result``."""
        ends = self._clock.now().timestamp() + LIFETIME
        sealed = self._seal.seal(path.encode(), orjson.dumps(result), ends)
        text = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        headers = {"Location": f"{path}?{_NAME}={text}", "Cache-Control": "no-store"}
        return Response(status=303, headers=headers)

    def read(self) -> Mapping[str, int | str]:
        """Return the result that the page of this request says.

        Raises :class:`NotFound` where no form of this deployment has led here within :data:`LIFETIME`.
        """
        text = request.args.get(_NAME, "")
        try:
            sealed = base64.b64decode(f"{text[:MAX_RESULT]}==", altchars=b"-_")
        except (binascii.Error, ValueError):
            raise _not_shown() from None
        entry = self._seal.open(request.path.encode(), sealed)
        if entry is None or entry.expires_at <= self._clock.now().timestamp():
            raise _not_shown()
        found: Mapping[str, int | str] = orjson.loads(entry.content)
        return found


def _not_shown() -> NotFound:
    return NotFound(
        "A page like this says for ten minutes what a button did. Whether your address is verified, and what sends you "
        "email, is on your account page."
    )
