"""HTML pages for the links in emails.

A link only shows a page with a form, because mail scanners follow links but send no forms. The one-click unsubscribe of
mail programs (RFC 8058) posts to the same address. Verifying an address takes the account's password, or sets it: the
person with the mailbox may not be the one who signed up.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from quart import Blueprint, Response, request

from notifyx_common.contracts.auth import VerifyRequest
from notifyx_common.contracts.store.subscriptions import EmailedTopic
from notifyx_common.errors import NotifyxError
from notifyx_common.reading import parse_model
from notifyx_gateway.mail.account_mails import AccountMails
from notifyx_gateway.mail.links import topic_link
from notifyx_gateway.mail.waiting import release_waiting
from notifyx_gateway.rest.authentication import RequestAuthenticator
from notifyx_gateway.rest.bodies import read_form
from notifyx_gateway.rest.pages import Pages
from notifyx_gateway.upstream.auth import Auth
from notifyx_gateway.upstream.credential_changes import CredentialChanges
from notifyx_gateway.upstream.store import Store
from notifyx_topics.names import INBOX_PREFIX

MAX_TOKEN = 512

CHOICE = "choice"
"""The form field that says that a person chose; ``choice-1`` and so on are what is ticked."""

CORRECTABLE = frozenset(
    {"wrong_password", "weak_password", "validation_failed", "rate_limited", "busy", "too_many_mails"}
)
"""Codes after which the same person may fill in the form again."""

_USED = (
    "It was used already, or is not valid any more. If your address is verified, nothing is left to do: your account "
    "page says whether it is, and has another mail sent if it is not."
)


def page_routes(
    *,
    pages: Pages,
    request_auth: RequestAuthenticator,
    auth: Auth,
    store: Store,
    changes: CredentialChanges,
    mails: AccountMails,
) -> Blueprint:
    """Return the routes of unsubscribing, of acknowledging and of verifying an address."""
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/unsubscribe")
    async def ask_unsubscribe() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
        try:
            topics = await store.emailed_topics(token)
        except NotifyxError as error:
            if error.http_status < 500:
                return _failed(pages, error)
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
        if (token := _token()) is None:
            return _broken(pages)
        try:
            await store.stop_emails(token, chosen := await _chosen_topics())
        except NotifyxError as error:
            return _failed(pages, error)
        if chosen == []:
            return pages.message("Nothing changed", "No topic was ticked; you still get their emails.")
        return pages.message("Done", f"You will get no more email for {_these(chosen)}.")

    @blueprint.get("/acknowledge")
    async def ask_acknowledge() -> Response:
        if (token := _token()) is None:
            return _broken(pages)
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
        if (token := _token()) is None:
            return _broken(pages)
        try:
            done = await store.acknowledge_mail(token)
        except NotifyxError as error:
            return _failed(pages, error)
        text = {0: "It was acknowledged before.", 1: "The notification is read, on all your devices."}.get(
            done.acknowledged, f"{done.acknowledged} notifications are read, on all your devices."
        )
        return pages.message("Acknowledged", text, back=_back(done.topics))

    @blueprint.get("/verify-email")
    async def ask_verify() -> Response:
        # Links of before have the token in the query; in others no server sees it.
        token = _token()
        return _broken(pages) if token is None and "token" in request.args else _verify_page(pages, token or "")

    @blueprint.post("/verify-email")
    async def verify() -> Response:
        token: str | None = None
        try:
            form = await read_form()
            if (token := _checked(form.get("token", ""))) is None:
                return _broken(pages)
            await request_auth.limit_token_requests()
            fields = {name: form[name] for name in ("password", "new_password") if form.get(name)}
            wanted = parse_model(VerifyRequest, {"token": token, **fields})
            user = await auth.verify_email(wanted)
        except NotifyxError as error:
            request_auth.record("email_verification", "failed", reason=error.code)
            if error.code in CORRECTABLE and token is not None:
                # Of a password, the field's reason is a sentence by itself.
                reason = error.fields[0].reason if error.fields else error.reason
                return _verify_page(pages, token, reason, error.http_status)
            if error.code == "invalid_link":
                return pages.message("This link does not work", _USED, error.http_status, back="/account")
            return _failed(pages, error)
        request_auth.record("email_verification", "succeeded", actor=user.id)
        if wanted.new_password is not None:
            request_auth.record("password_change", "succeeded", actor=user.id, reason="address_verified")
            mails.wake()
        await changes.refresh_now()
        waited = await _release(store, user.id)
        done = " Your new password holds, and everybody who was signed in is signed out." if wanted.new_password else ""
        return pages.message("Verified", f"{user.email} is verified.{done}{waited}")

    return blueprint


async def _nothing_to_acknowledge(pages: Pages, store: Store, token: str) -> Response | None:
    """Return the page of an "Acknowledge" link that cannot be used, or has nothing left to acknowledge.

    What else is the matter is said by the answer to the button.
    """
    try:
        mail = await store.mail_to_acknowledge(token)
    except NotifyxError as error:
        return _failed(pages, error) if error.http_status == 400 else None
    if mail.unread:
        return None
    return pages.message("Acknowledged already", "Nothing in this email is unread any more.", back=_back(mail.topics))


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


def _these(chosen: Sequence[str] | None) -> str:
    return "what this email was about" if chosen is None else f"the topics that were ticked: {len(chosen)}"


def _called(topic: EmailedTopic) -> str:
    """Return the topic's name for people."""
    return "direct messages" if topic.name.startswith(INBOX_PREFIX) else topic.title or topic.name


async def _chosen_topics() -> list[str] | None:
    """Return the topics that a person has ticked in the page's form; ``None``: all, as mail programs post it."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return None
    form = await read_form()
    if CHOICE not in form:
        return None
    return [value for name, value in form.items() if name.startswith(f"{CHOICE}-")]


def _token() -> str | None:
    return _checked(request.args.get("token", ""))


def _checked(token: str) -> str | None:
    return token if token and len(token) <= MAX_TOKEN and token.isascii() and token.isprintable() else None


def _verify_page(pages: Pages, token: str, problem: str = "", status: int = 200) -> Response:
    return pages.behind_link("verify.html", status, token=token, problem=problem, ended=_USED)


async def _release(store: Store, user: str) -> str:
    """Have the email sent that waited for the address; return a sentence about it."""
    mails = await release_waiting(store, user)
    words = ""
    if mails.released:
        words += f" Emails that waited for it: {mails.released}. What you have not read is on its way."
    if mails.dropped:
        words += f" Older ones that are not sent: {mails.dropped}. Your inbox has what they were about."
    return words


def _broken(pages: Pages) -> Response:
    return pages.message("This link is not complete", "Open the whole link from the email.", 400)


def _failed(pages: Pages, error: NotifyxError) -> Response:
    if error.http_status >= 500:
        return pages.message("Not now", "This cannot be done at the moment; please try again in a minute.", 503)
    return pages.message("This link does not work", error.reason, error.http_status)
