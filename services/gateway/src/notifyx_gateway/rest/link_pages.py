"""What the pages behind the links of emails share: the token of a link, and where the answer to a form leads.

The answer to a form is a redirect to a page that says what it did, or why its link does not work: so a reload, or
"Forward", sends no form again. The result is sealed (:mod:`notifyx_gateway.rest.results`); why a link does not work is
a code of a fixed sentence, which says nothing of an account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from quart import Response, abort, request

from notifyx_common.errors import InvalidRequest, NotFound, NotifyxError
from notifyx_common.serving.replies import problem_reply
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.results import Results

MAX_TOKEN = 512

FAILED = "/link-failed"
"""Path of the page that says why the link of a form does not work."""

_INCOMPLETE = "incomplete_link"
_UNREADABLE = "unreadable_form"
_NO_USE = "This link does not work"
USED_VERIFICATION = (
    "It was used already, or is not valid any more. If your address is verified, nothing is left to do: your account "
    "page says whether it is, and has another mail sent if it is not."
)
_FAILURES: Mapping[str, tuple[str, str, str]] = {
    _INCOMPLETE: ("This link is not complete", "Open the whole link from the email.", "/"),
    "invalid_token": (_NO_USE, "It is not valid. Open the whole link from the email.", "/"),
    "link_expired": (_NO_USE, "It is too old. Open Notifyx to acknowledge what the email is about.", "/inbox"),
    "invalid_link": (_NO_USE, USED_VERIFICATION, "/account"),
    _UNREADABLE: ("This did not work", "Open the link from the email, and press its button again.", "/"),
}
"""By the code of what went wrong: heading, text, and where the page leads. Texts are not taken from an address."""


def query_token() -> str | None:
    """Return the token in the query; ``None`` if there is none, or it cannot be one."""
    return checked_token(request.args.get("token", ""))


def checked_token(token: str) -> str | None:
    """Return ``token`` if it can be one."""
    return token if token and len(token) <= MAX_TOKEN and token.isascii() and token.isprintable() else None


def result_page(pages: Pages, results: Results, say: Callable[[Mapping[str, int | str]], Response]) -> Response:
    """Return the page that says the result of a form, or that there is none to say."""
    try:
        return say(results.read())
    except NotFound as error:
        return pages.message("Nothing to show here", error.reason, error.http_status, back="/account")


def broken_link(pages: Pages) -> Response:
    """Return the page of a link without its token."""
    return failure_page(pages, _INCOMPLETE)


def incomplete_link() -> InvalidRequest:
    """Return the error of a form without the token of its link."""
    return InvalidRequest("This link is not complete. Open the whole link from the email.", code=_INCOMPLETE)


def failed_link(pages: Pages, error: NotifyxError) -> Response:
    """Return the page of a link that cannot be used, or not now."""
    if error.code == _INCOMPLETE:
        return broken_link(pages)
    if error.http_status >= 500:
        response = pages.message("Not now", "This cannot be done at the moment; please try again in a minute.", 503)
    else:
        response = pages.message("Not now" if error.retryable else _NO_USE, error.reason, error.http_status)
    return as_problem(response, error)


def failed_form(pages: Pages, error: NotifyxError) -> Response:
    """Return the answer to a person's form that failed.

    What may succeed later is said at once, in place of a redirect: there a reload is to send the form again.
    """
    if error.retryable or error.http_status >= 500:
        return failed_link(pages, error)
    why = error.code if error.code in _FAILURES else _UNREADABLE
    return Response(status=303, headers={"Location": f"{FAILED}?why={why}", "Cache-Control": "no-store"})


def failure_page(pages: Pages, why: str) -> Response:
    """Return the page that says why a link does not work. A code that is none leads nowhere: 404."""
    if why not in _FAILURES:
        abort(404)
    heading, text, back = _FAILURES[why]
    return pages.message(heading, text, 400, back=back)


def as_problem(response: Response, error: NotifyxError) -> Response:
    """Return ``response`` with the headers that the problem requires, such as ``Retry-After``."""
    response.headers.update(problem_reply(error).headers)
    return response
