"""Why an email was not sent. Every one is a :class:`~notifyx_common.errors.NotifyxError` whose sentence is stored.

::

    NotifyxError
    └── MailError
        ├── MailRejected    permanent: a retry is useless
        │   └── HeadersUnsafe    its headers would differ from those that were set
        └── MailFailed     may be retried (``attempted``: not at once by another node)
"""

from __future__ import annotations

from typing import Literal

from notifyx_common.errors import NotifyxError

Cause = Literal["address", "mailbox", "content", "policy", "sender", "system"]
"""What a mail server's permanent refusal is about. ``mailbox``: it is full; ``policy``: also every unclear one."""


class MailError(NotifyxError):
    """An email was not sent; ``about`` is set where the mail server refused it for good."""

    code = "mail_error"
    about: Cause | None = None


class MailRejected(MailError):
    """The email is rejected permanently, by the server or before it is sent."""

    code = "mail_refused"

    def __init__(self, reason: str, *, about: Cause | None = None) -> None:
        super().__init__(reason)
        self.about = about


class HeadersUnsafe(MailRejected):
    """A receiver would read headers other than those that the mailer set. The email is never sent."""

    code = "mail_headers_unsafe"


class MailFailed(MailError):
    """The email was not accepted; it may be retried.

    ``attempted``: its content was being sent, so the server may have accepted it, or the server's answer would be the
    same for every node. ``answered``: the server answered.
    """

    code = "mail_failed"

    def __init__(self, reason: str, *, attempted: bool, answered: bool = False, about: Cause | None = None) -> None:
        super().__init__(reason)
        self.about = about
        self.attempted = attempted
        self.answered = answered
