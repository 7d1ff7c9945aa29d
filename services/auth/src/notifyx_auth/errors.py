"""Errors of auth that have a narrower code than their kind. Grants carry the codes of RFC 6749 5.2."""

from __future__ import annotations

from notifyx_common.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotifyxError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)


class InvalidGrant(InvalidRequest):
    """The password, refresh token or verification token is wrong, used, revoked or expired."""

    code = "invalid_grant"


class UnsupportedGrantType(InvalidRequest):
    """No such ``grant_type`` here."""

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


class EmailTaken(Conflict):
    """Another user has this email."""

    code = "email_taken"


class AlreadyVerified(Conflict):
    """The email is verified already."""

    code = "already_verified"


class TooManyApiKeys(Conflict):
    """The user has as many API keys as one may have."""

    code = "too_many_api_keys"


class SignUpOff(Forbidden):
    """This deployment does not let people sign up by themselves."""

    code = "sign_up_off"


class TooManyAttempts(TooManyRequests):
    """Too many wrong passwords for one account in a short time."""

    code = "too_many_attempts"


class HashingBusy(Unavailable):
    """More passwords wait to be checked than this node takes on."""

    code = "busy"


class WrongSecret(NotifyxError):
    """``NOTIFYX_AUTH_SECRET`` is not the one that the signing keys in the database were encrypted with."""

    code = "wrong_secret"
