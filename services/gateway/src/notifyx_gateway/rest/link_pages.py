"""What the pages behind the links of emails share: the token of a link, and where the answer to a form leads.

The answer to a form that changed something is a redirect to a page that says the result: so a reload, or "Forward",
sends no form again. The result is in the address as numbers; no secret and nothing of the account is.
"""

from __future__ import annotations

from urllib.parse import urlencode

from quart import Response, abort, request

from notifyx_common.errors import NotifyxError
from notifyx_gateway.rest.pages import Pages

MAX_TOKEN = 512

MAX_DIGITS = 9
"""Of a number in the address of a result."""


def query_token() -> str | None:
    """Return the token in the query; ``None`` if there is none, or it cannot be one."""
    return checked_token(request.args.get("token", ""))


def checked_token(token: str) -> str | None:
    """Return ``token`` if it can be one."""
    return token if token and len(token) <= MAX_TOKEN and token.isascii() and token.isprintable() else None


def see_result(path: str, **result: int | str) -> Response:
    """Return the redirect (303) to the page at ``path`` that says ``result``."""
    query = urlencode(result)
    return Response(status=303, headers={"Location": f"{path}?{query}" if query else path, "Cache-Control": "no-store"})


def result_number(name: str) -> int:
    """Return a number of the result that the page of this request says. An address without it leads nowhere: 404."""
    text = request.args.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        abort(404)
    return int(text)


def broken_link(pages: Pages) -> Response:
    """Return the page of a link without its token."""
    return pages.message("This link is not complete", "Open the whole link from the email.", 400)


def failed_link(pages: Pages, error: NotifyxError) -> Response:
    """Return the page of a link that cannot be used, or not now."""
    if error.http_status >= 500:
        return pages.message("Not now", "This cannot be done at the moment; please try again in a minute.", 503)
    return pages.message("This link does not work", error.reason, error.http_status)
