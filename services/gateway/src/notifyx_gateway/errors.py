"""Errors of the gateway with a more specific code than their base class."""

from __future__ import annotations

from notifyx_common.errors import Conflict, Forbidden, InvalidRequest, TooManyRequests, Unauthenticated


class InvalidApiKey(Unauthenticated):
    """The API key is malformed, unknown, deleted or expired."""

    code = "invalid_api_key"


class CredentialEnded(Unauthenticated):
    """The session of the token has ended, or its account is no more."""

    code = "session_ended"


class SignUpOff(Forbidden):
    """This deployment does not let people sign up by themselves."""

    code = "sign_up_off"


class EmailOff(Conflict):
    """No mailer of this deployment has a mail server to send with."""

    code = "email_off"


class InvalidEvent(InvalidRequest):
    """A CloudEvent that breaks the rules of CloudEvents 1.0."""

    code = "invalid_cloudevent"


class RateLimited(TooManyRequests):
    """This address made too many of these requests in a short time."""

    code = "rate_limited"
