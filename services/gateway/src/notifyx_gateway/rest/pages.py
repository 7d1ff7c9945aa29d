"""Renders the HTML pages on the server. They load nothing from elsewhere, and their policy forbids it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from quart import Response

from notifyx_common.clock import rfc3339
from notifyx_common.serving import appearance
from notifyx_gateway.rest.codings import File, file_response, gzipped
from notifyx_gateway.rest.prose import as_html

HTML = "text/html; charset=utf-8"
DYNAMIC_LEVEL = 4
"""Of compression, for what is made anew every few seconds."""


class Pages:
    """Renders the templates of this package. ``dashboard``: whether there is one to link to."""

    def __init__(self, *, dashboard: bool = True) -> None:
        loader = PackageLoader("notifyx_gateway.rest")
        self._environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        script = loader.get_source(self._environment, "link_secret.js")[0]
        style = appearance.STYLE + loader.get_source(self._environment, "style.css")[0]
        self._environment.filters["prose"] = as_html
        self._environment.globals |= {
            "style": style,
            "link_secret": script,
            "mark": appearance.MARK,
            "icon": appearance.ICON,
            "has_dashboard": dashboard,
        }
        self._environment.globals["rfc3339"] = rfc3339
        self._policy = (
            f"default-src 'none'; style-src {_source(style)}; img-src data:; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        self._secret_policy = f"{self._policy}; script-src {_source(script)}; connect-src 'self'"
        self._live_policy = f"{self._policy}; script-src 'self'; connect-src 'self'"

    def render(self, template: str, status: int = 200, /, *, live: bool = False, **values: Any) -> Response:
        """Return the page as a response; a ``live`` one may run scripts of this origin and fetch from it."""
        headers = {"Content-Security-Policy": self._live_policy if live else self._policy}
        return Response(self.text(template, **values), status=status, content_type=HTML, headers=headers)

    def behind_link(self, template: str, status: int, /, **values: Any) -> Response:
        """Return the page of a link whose secret no server sees: it runs the script that reads it, and no other.

        The script asks this origin whether the link can be used.
        """
        headers = {"Content-Security-Policy": self._secret_policy}
        return Response(self.text(template, **values), status=status, content_type=HTML, headers=headers)

    def document(self, template: str, /, **values: Any) -> File:
        """Return a page without secrets, which is the same for everybody, with its compressed form."""
        return gzipped(HTML, self.text(template, **values).encode())

    def live_document(self, template: str, /, **values: Any) -> File:
        """Return the same of a page that is soon another one."""
        return gzipped(HTML, self.text(template, **values).encode(), DYNAMIC_LEVEL)

    def send(self, document: File) -> Response:
        """Return a page that was rendered before as a response; it may run scripts of this origin."""
        return file_response(document, {"Content-Security-Policy": self._live_policy})

    def text(self, template: str, /, **values: Any) -> str:
        """Return the page."""
        return self._environment.get_template(template).render(**values)

    def message(
        self,
        heading: str,
        text: str,
        status: int = 200,
        *,
        action: str | None = None,
        button: str = "",
        choices: Sequence[tuple[str, str]] = (),
        back: str = "/",
        again: bool = False,
    ) -> Response:
        """Return a page with one message, an optional button, and the way to the web client: ``back``.

        ``choices`` are values and their labels, each with a box that is ticked. ``again``: with a link to itself.
        """
        values: dict[str, Any] = {"heading": heading, "text": text, "action": action, "button": button, "back": back}
        values["again"] = again
        return self.render("message.html", status, choices=choices, **values)


def _source(text: str) -> str:
    """Return what stands in a policy for the element with ``text``."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
