"""HTML pages for the links in emails.

A link only shows a page with a form, because mail scanners follow links but send no forms. The one-click unsubscribe of
mail programs (RFC 8058) posts to the same address, and must not be redirected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from quart import Blueprint, Response, request

from notifyx_common.contracts.store.subscriptions import EmailedTopic
from notifyx_common.errors import NotifyxError
from notifyx_gateway.mail.links import topic_link
from notifyx_gateway.rest.bodies import read_form
from notifyx_gateway.rest.link_pages import (
    FAILED,
    broken_link,
    failed_form,
    failed_link,
    failure_page,
    incomplete_link,
    query_token,
    result_page,
)
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.rest.results import Results
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX

PAGE = "page"
"""The form field of the page with the button: a person sent the form, and follows a redirect."""

CHOICE = "choice"
"""The form field that says that a person chose; ``choice-1`` and so on are what is ticked."""


def page_routes(*, pages: Pages, store: Store, results: Results) -> Blueprint:
    """Return the routes of unsubscribing and of acknowledging."""
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/unsubscribe")
    async def unsubscribe_form() -> Response:
        if (token := query_token()) is None:
            return broken_link(pages)
        try:
            topics = await store.emailed_topics(token)
        except NotifyxError as error:
            if error.http_status < 500:
                return failed_link(pages, error)
            topics = None  # stopping them says what is the matter
        if topics == []:
            return pages.message("These emails are stopped", "You get no email for what this email was about.")
        return pages.message(
            "Stop these emails?",
            _what_stops(topics),
            action=f"/unsubscribe?token={quote(token, safe='')}",
            button="Stop the emails",
            choices=[(topic.name, _called(topic)) for topic in topics] if topics and len(topics) > 1 else [],
        )

    @blueprint.post("/unsubscribe")
    async def unsubscribe() -> Response:
        form: dict[str, str] = {}
        try:
            form = await _form()
            if (token := query_token()) is None:
                raise incomplete_link()
            chosen = _chosen_topics(form)
            await store.stop_emails(token, chosen)
        except NotifyxError as error:
            return failed_form(pages, error) if PAGE in form else failed_link(pages, error)
        if PAGE not in form:
            return pages.message(*_stopped(None if chosen is None else len(chosen)))
        return results.see("/unsubscribe/done", **({} if chosen is None else {"topics": len(chosen)}))

    @blueprint.get("/unsubscribe/done")
    async def unsubscribed() -> Response:
        return result_page(pages, results, lambda done: pages.message(*_stopped(_number(done.get("topics")))))

    @blueprint.get("/acknowledge")
    async def acknowledge_form() -> Response:
        if (token := query_token()) is None:
            return broken_link(pages)
        if (answer := await _nothing_to_acknowledge(pages, store, token)) is not None:
            return answer
        return pages.message(
            "Acknowledge?",
            "This marks everything in the email as read, on all your devices.",
            action=f"/acknowledge?token={quote(token, safe='')}",
            button="Acknowledge",
        )

    @blueprint.post("/acknowledge")
    async def acknowledge() -> Response:
        try:
            if (token := query_token()) is None:
                raise incomplete_link()
            done = await store.acknowledge_mail(token)
        except NotifyxError as error:
            return failed_form(pages, error)
        return results.see("/acknowledge/done", notifications=done.acknowledged, back=_back(done.topics))

    @blueprint.get("/acknowledge/done")
    async def acknowledged() -> Response:
        return result_page(pages, results, lambda done: _acknowledged(pages, done))

    @blueprint.get(FAILED)
    async def link_failed() -> Response:
        return failure_page(pages, request.args.get("why", ""))

    return blueprint


async def _nothing_to_acknowledge(pages: Pages, store: Store, token: str) -> Response | None:
    """Return the page of an "Acknowledge" link that cannot be used, or has nothing left to acknowledge.

    What else is the matter is said by the answer to the button.
    """
    try:
        mail = await store.mail_to_acknowledge(token)
    except NotifyxError as error:
        return failed_link(pages, error) if error.http_status == 400 else None
    if mail.unread:
        return None
    return pages.message("Acknowledged already", "Nothing in this email is unread any more.", back=_back(mail.topics))


def _acknowledged(pages: Pages, done: Mapping[str, int | str]) -> Response:
    count = done["notifications"]
    text = {0: "It was acknowledged before.", 1: "The notification is read, on all your devices."}.get(
        int(count), f"{count} notifications are read, on all your devices."
    )
    return pages.message("Acknowledged", text, back=str(done["back"]))


def _number(value: int | str | None) -> int | None:
    return None if value is None else int(value)


def _back(topics: Sequence[str]) -> str:
    """Return the page in the web client of what an email was about."""
    return topic_link("", topics[0]) if len(topics) == 1 else "/inbox"


def _what_stops(topics: Sequence[EmailedTopic] | None) -> str:
    match topics:
        case [topic]:
            return f"You will no longer get email for {_called(topic)}. The subscription itself stays."
        case None:
            return "You will no longer get email for this topic. The subscription itself stays."
    return "You will no longer get email for the topics that are ticked. The subscriptions themselves stay."


def _stopped(topics: int | None) -> tuple[str, str]:
    """Return heading and text of what was stopped: the emails of so many topics, or all that the email was about."""
    if topics == 0:
        return "Nothing changed", "No topic was ticked; you still get their emails."
    these = "what this email was about" if topics is None else f"the topics that were ticked: {topics}"
    return "Done", f"You will get no more email for {these}."


def _called(topic: EmailedTopic) -> str:
    """Return the topic's name for people."""
    return "direct messages" if topic.name.startswith(INBOX_PREFIX) else topic.title or topic.name


async def _form() -> dict[str, str]:
    """Return the fields of the page's form; mail programs may post another kind."""
    return await read_form() if request.mimetype == "application/x-www-form-urlencoded" else {}


def _chosen_topics(form: Mapping[str, str]) -> list[str] | None:
    """Return the topics that a person has ticked in the page's form; ``None``: all, as mail programs post it."""
    if CHOICE not in form:
        return None
    return [value for name, value in form.items() if name.startswith(f"{CHOICE}-")]
