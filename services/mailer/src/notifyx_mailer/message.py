"""From rendered parts to the bytes that SMTP carries, and the envelope around them. Pure."""

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

from notifyx_common.contracts.auth import Email
from notifyx_common.contracts.mailer import Mail
from notifyx_mailer.errors import MailRefused
from notifyx_mailer.render import Rendered

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_UNFOLDED = frozenset({"message-id", "list-unsubscribe"})
_HEADER_LIMIT = 900


class _Policy(EmailPolicy):
    """SMTP's policy, but an id or a link is one word: folded, it would be encoded and no longer be one."""

    def fold(self, name: str, value: str) -> str:
        return f"{name}: {value}{self.linesep}" if name.lower() in _UNFOLDED else super().fold(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() in _UNFOLDED:
            return self.fold(name, value).encode("ascii")
        return super().fold_binary(name, value)


_POLICY = _Policy(linesep="\r\n", cte_type="7bit", max_line_length=SMTP.max_line_length)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One email ready to go. ``utf8``: the address needs a server that speaks SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str
    message: bytes
    utf8: bool


def compose(mail: Mail, rendered: Rendered, sender: Address, now: datetime) -> Envelope:
    """Build the message. Raises :class:`MailRefused` for an address or link that no header can carry."""
    recipient = parse_recipient(mail.to)
    utf8 = not recipient.username.isascii()
    policy = _POLICY.clone(utf8=utf8)
    message = EmailMessage(policy=policy)
    try:
        message["From"] = sender
        message["To"] = recipient
        message["Subject"] = rendered.subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = _word(mail.message_id, "message id")
        message["Auto-Submitted"] = "auto-generated"
        if mail.unsubscribe_url:
            message["List-Unsubscribe"] = f"<{_link(mail.unsubscribe_url)}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        data = message.as_bytes(policy=policy)
    except (ValueError, LookupError, AttributeError, TypeError, MessageError) as error:
        # The library's header code raises all of these for odd input; one email must not fail its whole batch.
        raise MailRefused(f"The email cannot be composed: {error}.") from None
    return Envelope(sender.addr_spec, recipient.addr_spec, data, utf8)


def parse_recipient(address: str) -> Address:
    """One plain address, its domain in ASCII. Raises :class:`MailRefused` for anything else."""
    try:
        user, _, domain = _EMAIL.validate_python(address).rpartition("@")
        ascii_domain = domain.encode("idna").decode("ascii")
        # Once more: some characters become a space and more on their way to ASCII.
        _EMAIL.validate_python(f"{user}@{ascii_domain}")
        return Address(username=user, domain=ascii_domain)
    except (ValidationError, UnicodeError, ValueError):
        raise MailRefused("The address is not a valid email address.", address=True) from None


def _link(value: str) -> str:
    if not re.match(r"https?://", value):
        raise MailRefused("The unsubscribe link is not an http or https address.")
    return _word(value, "unsubscribe link")


def _word(value: str, what: str) -> str:
    if len(value) > _HEADER_LIMIT or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise MailRefused(f"The {what} is longer than {_HEADER_LIMIT} characters or holds ones a header cannot.")
    return value
