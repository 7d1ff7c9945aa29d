"""Why an email was not sent. Every one is a :class:`~notifyx_common.errors.NotifyxError` whose sentence is stored.

::

    NotifyxError
    └── MailError
        ├── MailRejected    permanent: a retry is useless (``address``: the address is the cause)
        │   └── HeadersUnsafe    its headers would differ from those that were set
        └── MailFailed     may be retried (``attempted``: the server was sent the email)
"""

from __future__ import annotations

from notifyx_common.errors import NotifyxError


class MailError(NotifyxError):
    """An email was not sent."""

    code = "mail_error"


class MailRejected(MailError):
    """The email is rejected permanently, by the server or before it is sent."""

    code = "mail_refused"

    def __init__(self, reason: str, *, address: bool = False) -> None:
        super().__init__(reason)
        self.address = address


class HeadersUnsafe(MailRejected):
    """A receiver would read headers other than those that the mailer set. The email is never sent."""

    code = "mail_headers_unsafe"


class MailFailed(MailError):
    """The email was not accepted; it may be retried.

    ``attempted``: its content was being sent, so the server may have accepted it. ``answered``: the server answered.
    """

    code = "mail_failed"

    def __init__(self, reason: str, *, attempted: bool, answered: bool = False) -> None:
        super().__init__(reason)
        self.attempted = attempted
        self.answered = answered
