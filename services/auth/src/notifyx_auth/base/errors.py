"""Errors of auth with specific codes; for grants those of RFC 6749 5.2."""

from __future__ import annotations

from notifyx_common.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotifyxError,
    TooManyRequests,
    Unauthenticated,
)


class InvalidGrant(InvalidRequest):
    """The password or refresh token is wrong, used, revoked or expired."""

    code = "invalid_grant"


class InvalidLink(InvalidRequest):
    """The token of a link in a mail is wrong, used, replaced or expired, or is another account's."""

    code = "invalid_link"


class WrongPassword(InvalidRequest):
    """The password is not the account's."""

    code = "wrong_password"


class UnsupportedGrantType(InvalidRequest):
    """The ``grant_type`` is not supported."""

    code = "unsupported_grant_type"


class InvalidScope(InvalidRequest):
    """The requested scope is unknown or more than the grant carries."""

    code = "invalid_scope"


class InvalidClient(Unauthenticated):
    """The API key given as client credentials is wrong, deleted or expired."""

    code = "invalid_client"


class InvalidApiKey(Unauthenticated):
    """The API key is wrong, deleted or expired."""

    code = "invalid_api_key"


class InvalidHook(Unauthenticated):
    """The secret of a webhook, or its id, is wrong or deleted."""

    code = "invalid_hook"


class SessionEnded(Unauthenticated):
    """The session of the access token has ended, so nothing that lasts is made with the token."""

    code = "session_ended"


class InvalidTicket(Unauthenticated):
    """The ticket is unknown, used or too old, or its credential has ended."""

    code = "invalid_ticket"


class TooManyHooks(Conflict):
    """The user has the maximum number of secrets of webhooks."""

    code = "too_many_hooks"


class TooManyTickets(Conflict):
    """The user has the maximum number of tickets that wait for their use."""

    code = "too_many_tickets"


class EmailTaken(Conflict):
    """Another user has this email."""

    code = "email_taken"


class WeakPassword(InvalidRequest):
    """The password is a common one, or made of what everyone knows of the account."""

    code = "weak_password"


class AlreadyVerified(Conflict):
    """The email is verified already."""

    code = "already_verified"


class ManagedAccount(Conflict):
    """The settings of the deployment hold the address and the password of the account."""

    code = "managed_account"


class TooManyApiKeys(Conflict):
    """The user has the maximum number of API keys."""

    code = "too_many_api_keys"


class LastAdministrator(Conflict):
    """The account is the only administrator's."""

    code = "last_administrator"


class SignUpOff(Forbidden):
    """Sign-up is disabled in this deployment."""

    code = "sign_up_off"


class TooManyAttempts(TooManyRequests):
    """Too many wrong passwords for one account in a short time."""

    code = "too_many_attempts"


class TooManyMails(TooManyRequests):
    """As many mails about accounts wait to be sent as may."""

    code = "too_many_mails"


class SessionUsed(Conflict):
    """A repeated sign-in, carried out when its session was in use or had ended."""

    code = "session_used"


class HashingBusy(TooManyRequests):
    """The queue of passwords to be hashed is full, or the turn of this one did not come in time.

    It is 429 and not 503: another node would not help, and this one is well.
    """

    code = "busy"


class WrongSecret(NotifyxError):
    """``NOTIFYX_AUTH_SECRET`` is not the one that the signing keys in the database were encrypted with."""

    code = "wrong_secret"
