"""Builds the message of an email and its SMTP envelope from the rendered parts. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime

from pydantic import TypeAdapter, ValidationError

from notifyx_common.contracts.auth import StoredEmail
from notifyx_common.contracts.mailer import Mail
from notifyx_mailer.errors import MailRejected
from notifyx_mailer.headers import address_header, is_one_word, require_names, text_header, word_header
from notifyx_mailer.render import Rendered
from notifyx_topics.email_addresses import ascii_domain

_EMAIL: TypeAdapter[str] = TypeAdapter(StoredEmail)
_DOMAIN = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[A-Za-z0-9.:]+\]")
_BODY_POLICY = EmailPolicy(linesep="\r\n", cte_type="7bit", max_line_length=SMTP.max_line_length)
_BODY_HEADERS = ("MIME-Version", "Content-Type")
_HEADER_LIMIT = 900


@dataclass(frozen=True, slots=True)
class Envelope:
    """One email ready to send. ``utf8``: the address needs a server that supports SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str
    message: bytes
    utf8: bool


def compose(mail: Mail, rendered: Rendered, sender: Address, now: datetime) -> Envelope:
    """Build the message. Raises :class:`MailRejected` for an address or link that no header can carry."""
    recipient = parse_recipient(mail.to)
    headers = {
        "From": address_header("From", sender),
        "To": address_header("To", recipient),
        "Subject": text_header("Subject", rendered.subject),
        "Date": word_header("Date", format_datetime(now)),
        "Message-ID": word_header("Message-ID", _word(mail.message_id, "message id")),
        "Auto-Submitted": word_header("Auto-Submitted", "auto-generated"),
    }
    if mail.unsubscribe_url:
        headers |= {
            "List-Unsubscribe": word_header("List-Unsubscribe", f"<{_link(mail.unsubscribe_url)}>"),
            "List-Unsubscribe-Post": word_header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        }
    data = b"".join(headers.values()) + _body(rendered)
    require_names(data, [*headers, *_BODY_HEADERS])
    return Envelope(sender.addr_spec, recipient.addr_spec, data, utf8=not recipient.username.isascii())


def _body(rendered: Rendered) -> bytes:
    """Return both parts with their MIME headers, none of which contains text that people wrote."""
    message = EmailMessage(policy=_BODY_POLICY)
    try:
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        return message.as_bytes()
    except (ValueError, LookupError, AttributeError, TypeError, MessageError) as error:
        # The library raises all of these for odd input; one email must not fail its whole batch.
        raise MailRejected(f"The email cannot be composed: {error}.") from None


def parse_recipient(address: str) -> Address:
    """Parse one plain address; its domain becomes ASCII. Raises :class:`MailRejected` for anything else."""
    try:
        user, _, domain = _EMAIL.validate_python(address).rpartition("@")
        domain = ascii_domain(domain)
        # Validate again: the conversion to ASCII turns some characters into spaces and others.
        _EMAIL.validate_python(f"{user}@{domain}")
        if not _DOMAIN.fullmatch(domain) or not is_one_word(user, ascii_only=False):
            raise ValueError("a reader of the header could interpret it differently")
        return Address(username=user, domain=domain)
    except (ValidationError, ValueError):
        raise MailRejected("The address is not a valid email address.", about="address") from None


def _link(value: str) -> str:
    if not re.match(r"https?://", value):
        raise MailRejected("The unsubscribe link is not an http or https address.")
    return _word(value, "unsubscribe link")


def _word(value: str, what: str) -> str:
    if len(value) > _HEADER_LIMIT or not is_one_word(value):
        raise MailRejected(f"The {what} is longer than {_HEADER_LIMIT} characters or holds ones a header cannot.")
    return value
