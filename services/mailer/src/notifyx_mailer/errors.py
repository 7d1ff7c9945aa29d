"""Why an email was not sent. Every one is a :class:`~notifyx_common.errors.NotifyxError` whose sentence is stored.

::

    NotifyxError
    └── MailError
        ├── MailRejected    permanent: trying again is useless (``address`` tells whether the address is to blame)
        │   └── HeadersUnsafe    its headers would not be exactly those that were set
        └── MailFailed     may be tried again (``attempted`` tells whether the server was given the email)
"""

from __future__ import annotations

from notifyx_common.errors import NotifyxError


class MailError(NotifyxError):
    """An email was not sent."""

    code = "mail_error"


class MailRejected(MailError):
    """It will never be taken as it is."""

    code = "mail_refused"

    def __init__(self, reason: str, *, address: bool = False) -> None:
        super().__init__(reason)
        self.address = address


class HeadersUnsafe(MailRejected):
    """A receiver would read other headers than the mailer set. The email is never sent."""

    code = "mail_headers_unsafe"


class MailFailed(MailError):
    """It was not taken this time.

    ``attempted``: its content was on the way, so that it may have been taken. ``answered``: the server said so.
    """

    code = "mail_failed"

    def __init__(self, reason: str, *, attempted: bool, answered: bool = False) -> None:
        super().__init__(reason)
        self.attempted = attempted
        self.answered = answered
