"""Problems for people: a browser that asks for a page gets the problem as one, a program gets it as JSON.

Which of them asks is what the request accepts. The API is for programs.
"""

from __future__ import annotations

import orjson
from quart import Quart, Response, request

from notifyx_common.contracts.call import INTERNAL
from notifyx_common.serving.replies import PROBLEM
from notifyx_gateway.rest.pages import Pages

_FOR_PROGRAMS = ("/api/", INTERNAL)


def wants_page() -> bool:
    """Return whether the current request is a browser's for a page, rather than a program's."""
    return request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"


def show_problems(app: Quart, pages: Pages) -> None:
    """Answer each problem of ``app`` with a page where a browser asks for one, with the status and headers it has."""

    @app.after_request
    async def show(response: Response) -> Response:
        if (
            response.status_code < 400
            or response.mimetype != PROBLEM
            or request.path.startswith(_FOR_PROGRAMS)
            or not wants_page()
        ):
            return response
        problem = orjson.loads(await response.get_data(as_text=False))
        # A form would be sent again, which is not what a link does.
        again = "Retry-After" in response.headers and request.method == "GET"
        page = pages.message(problem["title"], problem["detail"], response.status_code, again=again)
        for name, value in response.headers.items():
            page.headers.setdefault(name, value)
        page.headers["Vary"] = "Accept"
        return page
