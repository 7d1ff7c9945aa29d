"""Renders a mail's template and context to subject, text and HTML. Pure; called outside the event loop.

Threads render rather than processes: a worker process would survive a mailer that is killed, and Jinja2's
compiled templates need about a millisecond per email, less than the SMTP server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, TemplateError, select_autoescape
from markupsafe import Markup

from notifyx_common.contracts.mailer import Mail, UnreadableContext
from notifyx_mailer.errors import MailRejected
from notifyx_mailer.headers import printable_line
from notifyx_mailer.links import link_to, linked
from notifyx_mailer.markdown import printable
from notifyx_mailer.presentation import TemplateContext, view_of

SUBJECT_LIMIT = 200
PREHEADER_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Rendered:
    """The parts of an email that a person sees."""

    subject: str
    text: str
    html: str


class Renderer:
    """The compiled templates; may be used from several threads."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("notifyx_mailer"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters["lines"] = _lines
        self._environment.filters["linked"] = linked
        self._environment.globals["link_to"] = link_to

    def render(self, mail: Mail) -> Rendered:
        """Render ``mail``. Raises :class:`MailRejected` when its context does not fit its template."""
        context = mail.context
        if isinstance(context, UnreadableContext):
            raise MailRejected(context.reason)
        try:
            return self._fill(context, mail.unsubscribe_url or "")
        except TemplateError as error:
            raise MailRejected(f"The template '{context.template}' cannot be filled: {error}.") from None

    def _fill(self, context: TemplateContext, unsubscribe_url: str) -> Rendered:
        name = context.template
        values = {"context": view_of(context), "unsubscribe_url": unsubscribe_url}
        subject = one_line(self._get(f"{name}.subject.txt").render(values), SUBJECT_LIMIT)
        text = self._get(f"{name}.txt").render(values)
        # Mail programs show it after the subject.
        preheader = one_line(self._get(f"{name}.preheader.txt").render(values), PREHEADER_LIMIT)
        html = self._get(f"{name}.html").render({**values, "subject": subject, "preheader": preheader})
        return Rendered(subject, re.sub(r"\n{3,}", "\n\n", printable(text)).strip() + "\n", printable(html))

    def _get(self, name: str) -> Template:
        return self._environment.get_template(name)


def one_line(text: str, limit: int) -> str:
    """Return ``text`` as one line of at most ``limit`` characters, for a header."""
    return _shorten(" ".join(printable_line(text).split()), limit)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _lines(text: str) -> Markup:
    """Return ``text`` escaped for HTML, with its links and line breaks."""
    return Markup("<br>\n").join(linked(line) for line in printable(text).split("\n"))
